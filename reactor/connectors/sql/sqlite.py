"""SQLite: the standard library's module, in a thread."""

import sqlite3
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    closing,
    contextmanager,
    suppress,
)
from datetime import datetime
from pathlib import Path
from typing import Any

from reactor.connectors.sql.database import Kind, Row, one_commit
from reactor.connectors.sql.threaded import Worker
from reactor.connectors.sql.values import json_text
from reactor.errors import DatabaseFailed
from reactor.expr.values import to_text

_BUSY_SECS = 5.0
# Locked by another program, for longer than we wait; a disk that fails for a moment.
_TRANSIENT = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}


class SqliteDatabase:
    """A file. It is not made when it is missing."""

    kind: Kind = "sqlite"

    def __init__(self, path: Path, *, busy_secs: float = _BUSY_SECS) -> None:
        self._path = path
        self._busy_secs = busy_secs

    async def connect(self) -> "SqliteSession":
        """A new session."""
        session = SqliteSession()
        try:
            await session.open(self._path, self._busy_secs)
        except BaseException:
            await session.close()
            raise
        return session


class SqliteSession:
    """One connection: `database.Session`."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection
        self._work = Worker("sqlite", self._interrupt)

    async def open(self, path: Path, busy_secs: float) -> None:
        """Connect to a file that is there."""

        def connect() -> None:
            with _translated():
                try:
                    uri = f"{path.absolute().as_uri()}?mode=rw"
                    self._connection = sqlite3.connect(
                        uri,
                        uri=True,
                        timeout=busy_secs,
                        isolation_level=None,
                        check_same_thread=False,
                    )
                except sqlite3.OperationalError as error:
                    raise DatabaseFailed(f"{path}: {error}", code=error.sqlite_errorname) from error

        await self._work(connect)

    async def query(self, sql: str, params: Sequence[Any] = (), *, max_rows: int) -> list[Row]:
        """The rows of a statement."""

        def read() -> list[Row]:
            with _translated(), closing(self._run(sql, params)) as cursor:
                rows = cursor.fetchmany(max_rows + 1)
                if len(rows) <= max_rows:
                    cursor.fetchall()  # a statement that writes is done only then
                return _named(cursor, rows)

        return await self._work(read)

    async def pages(
        self, sql: str, params: Sequence[Any], size: int
    ) -> AsyncGenerator[list[Row], None]:
        """The rows of a query in pages."""

        def begin() -> sqlite3.Cursor:
            with _translated():
                return self._run(sql, params)

        def page() -> list[Row]:
            with _translated():
                return _named(cursor, cursor.fetchmany(size))

        cursor = await self._work(begin)
        try:
            while rows := await self._work(page):
                yield rows
        finally:
            await self._work(cursor.close)

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement."""

        def run() -> int:
            with _translated(), closing(self._run(sql, params)) as cursor:
                cursor.fetchall()
                return max(0, cursor.rowcount)

        return await self._work(run)

    async def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row."""

        def run() -> None:
            with _translated():
                self._connection.executemany(sql, [_bound(row) for row in rows])

        await self._work(run)

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """One commit."""
        return one_commit(self, begin="begin immediate")

    def dropped(self) -> bool:
        """A file does not hang up."""
        return False

    async def close(self) -> None:
        """End the connection."""
        with suppress(AttributeError, sqlite3.Error):
            await self._work(self._end)
        self._work.close()

    def _interrupt(self) -> None:
        self._connection.interrupt()

    def _end(self) -> None:
        self._connection.close()

    def _run(self, sql: str, params: Sequence[Any]) -> sqlite3.Cursor:
        return self._connection.execute(sql, _bound(params))


def _bound(params: Sequence[Any]) -> Mapping[str, Any]:
    """SQLite reads `$1` as a parameter of the name 1."""
    return {str(number): _given(value) for number, value in enumerate(params, 1)}


def _given(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json_text(value)
    return to_text(value) if isinstance(value, datetime) else value


def _named(cursor: sqlite3.Cursor, rows: Sequence[tuple[Any, ...]]) -> list[Row]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        name = getattr(error, "sqlite_errorname", None)
        raise DatabaseFailed(str(error), transient=code in _TRANSIENT, code=name) from error
    except OverflowError as error:
        raise DatabaseFailed("a whole number is beyond 64 bits: give it as text") from error
