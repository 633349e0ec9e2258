"""When X happens, do Y, then Z, unless A, and only if B."""

__version__ = "0.1.0"
