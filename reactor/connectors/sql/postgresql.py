"""PostgreSQL: psycopg on the event loop, values by our own parsers."""

import asyncio
import select
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from typing import Any, cast

from reactor.connectors.sql.database import Kind, Row
from reactor.connectors.sql.values import ARRAYS, POSTGRES, Parse, json_text, parser
from reactor.errors import DatabaseFailed

_CONNECT_SECS = 8
# libpq's own words for who we are, how long to wait, and when a silent line is given up.
_PATIENCE: dict[str, Any] = {
    "application_name": "reactor",
    "connect_timeout": _CONNECT_SECS,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_FORMS = "-c timezone=UTC -c datestyle=ISO -c bytea_output=hex -c extra_float_digits=3"
# Classes of SQLSTATE that may pass: connection, serialization and deadlock, resources, operator.
_TRANSIENT_CLASSES = ("08", "40", "53", "57P")
_TRANSIENT = ("55006", "55P03", "57014")  # in use, lock not available, query cancelled
_PROTOCOL = "08P01"  # such as too few parameters: our fault, and nothing passes
# Types that psycopg would make objects of; PostgreSQL's text says as much.
_TEXTS = (
    *("timestamp", "date", "time", "timetz", "interval", "uuid", "inet", "cidr", "record"),
    *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"),
    *("int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange"),
    "datemultirange",
)


class PostgresDatabase:
    """A database by its libpq connection string or URL."""

    kind: Kind = "postgres"

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def connect(self) -> "PostgresSession":
        """A new session."""
        return PostgresSession(await open_connection(self._dsn))


class PostgresSession:
    """One connection: `database.Session`; `limit_secs` bounds each of its queries."""

    def __init__(self, connection: Any, limit_secs: float | None = None) -> None:
        self.connection = connection
        self.limit_secs = limit_secs

    def learn(self, oid: int, parse: Parse) -> None:
        """Read values of a type of this database in this way."""
        self.connection.adapters.register_loader(oid, _loader(parse))

    async def query(self, sql: str, params: Sequence[Any] = (), *, max_rows: int) -> list[Row]:
        """The rows of a statement."""
        try:
            async with asyncio.timeout(self.limit_secs):
                return await self._query(sql, params, max_rows)
        except TimeoutError as error:
            message = f"the server did not answer within {self.limit_secs:g} s"
            raise DatabaseFailed(message, transient=True) from error

    async def _query(self, sql: str, params: Sequence[Any], max_rows: int) -> list[Row]:
        from psycopg import AsyncRawCursor, ProgrammingError
        from psycopg.rows import dict_row

        rows: list[Row] = []
        with translated():
            given = await self._given(sql, params)
            cursor = AsyncRawCursor(self.connection, row_factory=dict_row)
            try:
                async with cursor, aclosing(_stream(cursor, sql, given)) as found:
                    async for row in found:
                        rows.append(row)
                        if len(rows) > max_rows:
                            break
            except ProgrammingError as error:
                # It was done, and says so because such a statement has no rows.
                if error.sqlstate is not None or "didn't produce a result" not in str(error):
                    raise
        return rows

    async def pages(
        self, sql: str, params: Sequence[Any], size: int
    ) -> AsyncGenerator[list[Row], None]:
        """The rows of a query in pages, from a cursor on the server."""
        from psycopg import AsyncCursor, AsyncRawServerCursor
        from psycopg.rows import dict_row

        with translated():
            given = await self._given(sql, params)
            async with self.connection.transaction(), AsyncExitStack() as stack:
                cursor = AsyncRawServerCursor(self.connection, name="reactor", row_factory=dict_row)
                # On a lost line its own end gives up before it is closed on our side.
                stack.push_async_callback(AsyncCursor.close, cursor)
                await stack.enter_async_context(cursor)
                await cursor.execute(sql.encode(), given)
                while rows := await cursor.fetchmany(size):
                    yield rows

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement."""
        from psycopg import AsyncRawCursor

        with translated():
            given = await self._given(sql, params)
            async with AsyncRawCursor(self.connection) as cursor:
                await cursor.execute(sql.encode(), given)
                return max(0, cursor.rowcount)

    async def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row, in one pipeline."""
        from psycopg import AsyncRawCursor

        with translated():
            mixed = next((row for row in rows if _mixed(row)), ())
            types = await self._types(sql) if mixed else ()
            async with AsyncRawCursor(self.connection) as cursor:
                await cursor.executemany(sql.encode(), [_dumped(row, types) for row in rows])

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """One commit."""
        with translated():
            async with self.connection.transaction():
                yield

    def dropped(self) -> bool:
        """An idle server says nothing, unless it says good-bye."""
        if self.connection.closed:
            return True
        waiting = select.poll()
        waiting.register(self.connection.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    async def close(self) -> None:
        """End the connection."""
        with suppress(Exception):
            await self.connection.close()

    async def _given(self, sql: str, params: Sequence[Any]) -> Sequence[Any] | None:
        if not params:
            return None
        return _dumped(params, await self._types(sql) if _mixed(params) else ())

    async def _types(self, sql: str) -> Sequence[int]:
        """The types that the server takes for the params: only it knows an array from JSON."""
        from psycopg import generators
        from psycopg.pq import ExecStatus

        pgconn = self.connection.pgconn
        async with self.connection.lock:
            pgconn.send_prepare(b"", sql.encode())
            (prepared,) = await self.connection.wait(generators.execute(pgconn))
            if prepared.status != ExecStatus.COMMAND_OK:
                return ()  # the statement itself says what is wrong with it
            pgconn.send_describe_prepared(b"")
            (told,) = await self.connection.wait(generators.execute(pgconn))
        return [told.param_type(number) for number in range(told.nparams)]


async def open_connection(dsn: str, **parameters: Any) -> Any:
    """An autocommitting `psycopg.AsyncConnection` whose rows hold plain values."""
    from psycopg import AsyncConnection
    from psycopg.conninfo import conninfo_to_dict

    with translated():
        # After those of the DSN: values are read in these forms.
        options = f"{conninfo_to_dict(dsn).get('options') or ''} {_FORMS}".strip()
        try:
            async with asyncio.timeout(_CONNECT_SECS + 1):
                return await AsyncConnection.connect(
                    dsn,
                    autocommit=True,
                    context=_adapters(),
                    options=options,
                    **_PATIENCE,
                    **parameters,
                )
        except TimeoutError as error:
            message = f"the server did not answer within {_CONNECT_SECS} s"
            raise DatabaseFailed(message, transient=True) from error


@contextmanager
def translated() -> Iterator[None]:
    """Errors of psycopg as our own."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate
        lost = isinstance(error, psycopg.OperationalError) and state is None
        transient = lost or bool(state and state.startswith(_TRANSIENT_CLASSES))
        message = " ".join(str(error).split()) or type(error).__name__
        transient = (transient or state in _TRANSIENT) and state != _PROTOCOL
        transient = transient and not _refused(message)
        raise DatabaseFailed(message, transient=transient, code=state) from error


def _refused(message: str) -> bool:
    """Whether it is our DSN that is wrong: psycopg gives no SQLSTATE when connecting fails."""
    wrong = ("authentication failed", "does not exist", "no pg_hba.conf entry", "invalid ")
    return any(each in message for each in wrong) and "connection" in message


def _stream(cursor: Any, sql: str, given: Any) -> AsyncGenerator[Row, None]:
    return cast(AsyncGenerator[Row, None], cursor.stream(sql.encode(), given, size=500))


@lru_cache(maxsize=1)
def _adapters() -> Any:
    """The adapters of psycopg with our parsers in place of its own."""
    import psycopg
    from psycopg.adapt import AdaptersMap

    adapters = AdaptersMap(psycopg.adapters)
    for oid in (*POSTGRES, *ARRAYS):
        if oid not in (20, 21, 23):  # psycopg's own give the same, in C
            adapters.register_loader(oid, _loader(parser(oid)))
    for name in _TEXTS:
        adapters.register_loader(name, _loader(str))
    return adapters


def _loader(parse: Parse) -> Any:
    from psycopg.adapt import Loader

    class Plain(Loader):
        """A text read by us."""

        def load(self, data: Any) -> Any:
            return parse(bytes(data).decode())

    return Plain


def _mixed(params: Sequence[Any]) -> bool:
    return any(isinstance(value, list | dict) for value in params)


def _dumped(params: Sequence[Any], types: Sequence[int]) -> list[Any]:
    found = list(types) + [0] * (len(params) - len(types))
    return [_one(value, oid) for value, oid in zip(params, found, strict=False)]


def _one(value: Any, oid: int) -> Any:
    if isinstance(value, dict):
        return json_text(value)
    if isinstance(value, list):
        return json_text(value) if oid in (114, 3802) else _array_text(value)
    if isinstance(value, str) and "\x00" in value:
        raise DatabaseFailed("PostgreSQL takes no text with a NUL character")
    return cast(Any, value)


def _array_text(items: list[Any]) -> str:
    """The server reads each element as what its column holds."""
    return "{" + ",".join(map(_element, items)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _array_text(value)
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, bytes):
        text = f"\\x{value.hex()}"
    else:
        text = json_text(value) if isinstance(value, dict) else _written(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _written(value: Any) -> str:
    return value if isinstance(value, str) else value.isoformat()
