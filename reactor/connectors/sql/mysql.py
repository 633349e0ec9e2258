"""MySQL and MariaDB: pymysql in a thread."""

import re
import select
import socket
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    contextmanager,
    suppress,
)
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from reactor.connectors.sql.database import Kind, Row, one_commit
from reactor.connectors.sql.threaded import Worker
from reactor.connectors.sql.values import from_json, json_text, moment, number
from reactor.errors import DatabaseFailed

_CONNECT_SECS = 8
# Too many connections, shutting down, lock wait, deadlock, no connection, lost connection, killed.
_TRANSIENT = {1040, 1053, 1077, 1203, 1205, 1213, 1317, 1927, 2002, 2003, 2006, 2013, 2055}
# What is no parameter although it may look like one, and what is one.
_PARTS = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `[^`]*`
    | --[^\n]* | \#[^\n]* | /\*.*?\*/ | \$(?P<number>\d+) | %""",
    re.VERBOSE | re.DOTALL,
)


class MysqlDatabase:
    """A database by what pymysql takes: host, port, user, password, database and the like."""

    kind: Kind = "mysql"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    async def connect(self) -> "MysqlSession":
        """A new session."""
        session = MysqlSession()
        try:
            await session.open(self.options)
        except BaseException:
            await session.close()
            raise
        return session


class MysqlSession:
    """One connection: `database.Session`."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._work = Worker("mysql", self._abort)

    async def open(self, options: Mapping[str, Any]) -> None:
        """Connect."""
        import pymysql

        def connect() -> None:
            with translated():
                self._connection = pymysql.connect(
                    **{
                        **options,
                        "charset": "utf8mb4",
                        "connect_timeout": _CONNECT_SECS,
                        # Who takes the connection and says nothing is given up as well.
                        "read_timeout": _CONNECT_SECS,
                        "autocommit": True,
                        "conv": _conversions(),
                        "init_command": "SET time_zone = '+00:00'",
                    }
                )
                self._connection._read_timeout = options.get("read_timeout")  # noqa: SLF001

        await self._work(connect)

    async def query(self, sql: str, params: Sequence[Any] = (), *, max_rows: int) -> list[Row]:
        """The rows of a statement."""

        def read() -> list[Row]:
            with translated(), self._reading(sql, params) as cursor:
                return list(cursor.fetchmany(max_rows + 1))

        return await self._work(read)

    async def pages(
        self, sql: str, params: Sequence[Any], size: int
    ) -> AsyncGenerator[list[Row], None]:
        """The rows of a query in pages, as the server sends them."""
        with ExitStack() as stack:

            def begin() -> Any:
                with translated():
                    return stack.enter_context(self._reading(sql, params))

            def page() -> list[Row]:
                with translated():
                    return list(cursor.fetchmany(size))

            cursor = await self._work(begin)
            while rows := await self._work(page):
                yield rows

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement."""

        def run() -> int:
            with translated(), self._connection.cursor() as cursor:
                return int(cursor.execute(*_bound(sql, params)))

        return await self._work(run)

    async def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row; pymysql makes long inserts of them."""

        def run() -> None:
            with translated(), self._connection.cursor() as cursor:
                text, _ = _bound(sql, rows[0] if rows else ())
                cursor.executemany(text, [_arranged(sql, row) for row in rows])

        await self._work(run)

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """One commit."""
        return one_commit(self, begin="begin")

    @contextmanager
    def _reading(self, sql: str, params: Sequence[Any]) -> Iterator[Any]:
        """A statement whose rows are read as they come; what is left at the end is not read."""
        from pymysql.cursors import SSDictCursor

        cursor = self._connection.cursor(SSDictCursor)
        try:
            cursor.execute(*_bound(sql, params))
            yield cursor
        finally:
            result = self._connection._result  # noqa: SLF001 -- it has no other way to stop early
            if result is not None and result.unbuffered_active:
                result.unbuffered_active, result.connection = False, None
                self._abort()

    def dropped(self) -> bool:
        """An idle server says nothing, unless it says good-bye."""
        found = getattr(self._connection, "_sock", None)
        if found is None:
            return True
        waiting = select.poll()
        waiting.register(found.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    async def close(self) -> None:
        """End the connection."""
        self._abort()
        self._work.close()

    def _abort(self) -> None:
        """Hang up: who waits for an answer gets an error, and the server ends the statement."""
        found = getattr(self._connection, "_sock", None)
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)
            self._connection._force_close()  # noqa: SLF001 -- close() would talk to the server


def _bound(sql: str, params: Sequence[Any]) -> tuple[str, list[Any] | None]:
    """The statement as pymysql reads it; params as often and in the order as they are named."""
    if not params:
        return sql, None

    def place(found: re.Match[str]) -> str:
        if found["number"] is not None:
            return "%s"
        return found[0].replace("%", "%%")

    return _PARTS.sub(place, sql), _arranged(sql, params)


def _arranged(sql: str, params: Sequence[Any]) -> list[Any]:
    return [_given(params, number) for number in _order(sql)]


@lru_cache(maxsize=256)
def _order(sql: str) -> tuple[int, ...]:
    return tuple(int(found["number"]) for found in _PARTS.finditer(sql) if found["number"])


def _given(params: Sequence[Any], number: int) -> Any:
    if not 1 <= number <= len(params):
        raise DatabaseFailed(f"there is no parameter ${number}: params has {len(params)}")
    value = params[number - 1]
    if isinstance(value, list | dict):
        return json_text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return value


@lru_cache(maxsize=1)
def _conversions() -> Mapping[Any, Any]:
    """The conversions of pymysql, those of values that expressions do not know replaced."""
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import conversions

    own = {
        FIELD_TYPE.DECIMAL: number,
        FIELD_TYPE.NEWDECIMAL: number,
        FIELD_TYPE.TIMESTAMP: moment,
        FIELD_TYPE.JSON: from_json,
        FIELD_TYPE.BIT: lambda data: int.from_bytes(data, "big"),
    }
    texts = (FIELD_TYPE.DATETIME, FIELD_TYPE.DATE, FIELD_TYPE.TIME, FIELD_TYPE.NEWDATE)
    return {**conversions, **own, **dict.fromkeys(texts, str)}


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver as `DatabaseFailed`."""
    import pymysql

    try:
        yield
    except pymysql.MySQLError as error:
        code = error.args[0] if error.args and isinstance(error.args[0], int) else None
        message = str(error.args[-1]) if error.args else type(error).__name__
        # 0: our own side closed the connection.
        transient = code in _TRANSIENT or code == 0
        raise DatabaseFailed(
            message or "the connection was lost",
            transient=transient,
            code=None if code is None else str(code),
        ) from error
    except (OSError, AttributeError, ValueError) as error:
        # What pymysql raises when the socket is gone in the middle of its work.
        raise DatabaseFailed(f"the connection was lost: {error}", transient=True) from error
