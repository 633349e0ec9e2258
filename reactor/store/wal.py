"""SQLite's write-ahead log: written back into the database before it grows long."""

import sqlite3
from sqlite3 import Connection

_LIMIT_BYTES = 16 << 20
_COMMIT_BYTES = 32 << 10  # what a small commit adds: a page or two of each table and index
_ROWS_BYTES = 4  # a byte of a row comes again in indexes, and with the rest of its page


class Log:
    """Writes the log back when what was committed weighs, more or less, `limit_bytes`.

    SQLite would do it by itself, but keep it to itself when the disk fails meanwhile: nothing is
    lost then, only the log grows for ever.
    """

    def __init__(self, connection: Connection, limit_bytes: int = _LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._connection = connection
        self._bytes = 0

    def committed(self, rows_bytes: int) -> None:
        """Rows of so many bytes were committed."""
        self._bytes += _COMMIT_BYTES + _ROWS_BYTES * rows_bytes
        if self._bytes < self.limit_bytes:
            return
        self._bytes = 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.OperationalError as error:
            # The commit itself found room; the next one says that there is none.
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise

    def empty(self) -> bool:
        """Write all of it back and give its room to the disk; False if a reader is in the way."""
        busy: int = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy
