"""MQTT: messages that start flows, and messages that flows publish."""
