"""When X happens, do Y, then Z, unless A, and only if B."""
