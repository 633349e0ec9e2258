"""Databases: rows that are new, what changes in PostgreSQL, statements as steps."""
