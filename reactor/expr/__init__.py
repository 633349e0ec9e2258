"""The expression language: text becomes a checked, compiled and bounded question to plain data."""
