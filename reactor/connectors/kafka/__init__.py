"""Kafka: records that start flows, and records that flows send."""
