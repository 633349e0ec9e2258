"""NATS: messages of subjects and streams that start flows, and messages that flows send."""
