"""The binary log, read in a thread of its own: few messages wait here, the rest at the server."""

import asyncio
import logging
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread
from typing import Any

from msgspec import Struct

from reactor.connectors.sql.binlog.server import Table
from reactor.connectors.sql.binlog.values import Parse, parsers_of, row_of
from reactor.connectors.sql.mysql import translated
from reactor.errors import DatabaseFailed, ReactorError

# The server says every so often that it lives; a line that is silent for longer is dead.
_BEAT_SECS = 5
SILENCE_SECS = 15
_CONNECT_SECS = 8
_WAITING = 64
_END_SECS = 0.5
# MariaDB: the transaction is one statement, and nothing says that it ends.
_STANDALONE = 1
# Compressed forms of what we need, by the numbers that the servers give them.
_UNREADABLE = {40, 165, 166, 167, 168, 169, 170, 171}
_NOT_DDL = re.compile(r"\s*(savepoint|rollback\s+to|xa\s)", re.IGNORECASE)


class Begun(Struct, frozen=True):
    """A transaction begins."""

    gtid: str
    secs: int


class Rows(Struct, frozen=True):
    """Rows of a table of ours that one message holds: old and new."""

    op: str
    table: Table
    key: tuple[str, ...]
    rows: list[tuple[dict[str, Any] | None, dict[str, Any] | None]]
    size: int


class Statement(Struct, frozen=True):
    """A statement that is logged as such: DDL, and what bypasses rows."""

    schema: str
    text: str


class Ended(Struct, frozen=True):
    """The transaction is complete."""


class Beat(Struct, frozen=True):
    """The server lives, and is between two transactions."""


class Failed(Struct, frozen=True):
    """Nothing more comes."""

    error: ReactorError


Message = Begun | Rows | Statement | Ended | Beat | Failed


class Tap:
    """Reads from a place on, until it is closed."""

    def __init__(
        self,
        options: Mapping[str, Any],
        tables: Sequence[Table],
        at: str,
        *,
        mariadb: bool,
        server_id: int,
    ) -> None:
        self._options = dict(options)
        self._tables = {(table.schema, table.name): table for table in tables}
        self._at = at
        self._mariadb = mariadb
        self._server_id = server_id
        self._loop = asyncio.get_running_loop()
        self._queue: Queue[Message] = Queue(_WAITING)
        self._arrived = asyncio.Event()
        self._stopping = False
        self._lines: list[Any] = []
        self._parsers: dict[int, dict[str, Parse]] = {}
        self._open = False
        self._thread = Thread(target=self._run, name="binlog", daemon=True)
        self._thread.start()

    def take(self) -> Message | None:
        """The next message that has come in; None if there is none yet."""
        try:
            return self._queue.get_nowait()
        except Empty:
            return None

    async def more(self) -> None:
        """Wait until there is one."""
        while self._queue.empty():
            self._arrived.clear()
            if self._queue.empty():
                await self._arrived.wait()

    async def close(self) -> None:
        """Hang up; the thread ends, whatever it waits for."""
        self._stopping = True
        for line in self._lines:
            found = getattr(line, "_sock", None)
            if found is not None:
                with suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)
        while self.take() is not None:
            pass  # makes room for the message that the thread may wait with
        await asyncio.to_thread(self._thread.join, _END_SECS)

    def _run(self) -> None:
        stream: Any = None
        try:
            stream = self._stream()
            while not self._stopping:
                event = _next(stream)
                for message in self._read(event):
                    self._put(message)
        except ReactorError as error:
            self._put(Failed(error))
        except Exception as error:  # noqa: BLE001 -- the root of this thread
            said = f"the binary log cannot be read: {type(error).__name__}: {error}"
            self._put(Failed(DatabaseFailed(said)))
        finally:
            for line in self._lines:
                line._force_close()  # noqa: SLF001 -- close() would talk to the server

    def _put(self, message: Message) -> None:
        if self._stopping:
            return
        self._queue.put(message)
        if not self._arrived.is_set():
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._arrived.set)

    def _stream(self) -> Any:
        from pymysqlreplication import BinLogStreamReader, event, row_event

        # It warns that it connects anew, which we do not let it.
        logging.getLogger("pymysqlreplication").setLevel(logging.ERROR)
        return BinLogStreamReader(
            connection_settings={"charset": "utf8mb4"},
            pymysql_wrapper=self._connect,
            server_id=self._server_id,
            blocking=True,
            resume_stream=True,
            is_mariadb=self._mariadb,
            auto_position=self._at,
            slave_heartbeat=_BEAT_SECS,
            only_schemas=sorted({schema for schema, _ in self._tables}),
            only_tables=sorted({name for _, name in self._tables}),
            only_events=[
                event.GtidEvent,
                event.MariadbGtidEvent,
                event.XidEvent,
                event.XAPrepareEvent,
                event.QueryEvent,
                event.FormatDescriptionEvent,
                event.HeartbeatLogEvent,
                event.NotImplementedEvent,
                row_event.TableMapEvent,
                row_event.WriteRowsEvent,
                row_event.UpdateRowsEvent,
                row_event.DeleteRowsEvent,
                row_event.PartialUpdateRowsEvent,
            ],
            filter_non_implemented_events=False,
            enable_logging=False,
        )

    def _connect(self, **settings: Any) -> Any:
        """The stream, and the line on which the library asks; it may not connect a third time."""
        import pymysql

        if len(self._lines) >= 2 or self._stopping:
            # It would begin anew where it first began.
            raise DatabaseFailed("the connection was lost, or silent for too long", transient=True)
        # The library's old name for it, of which the driver warns.
        if (name := settings.pop("db", None)) is not None:
            settings["database"] = name
        line = pymysql.connect(
            **{
                **self._options,
                **settings,
                "connect_timeout": _CONNECT_SECS,
                "read_timeout": SILENCE_SECS,
                "autocommit": True,
            }
        )
        self._lines.append(line)
        return line

    def _read(self, event: Any) -> list[Message]:
        kind = type(event).__name__
        if kind in ("GtidEvent", "MariadbGtidEvent"):
            self._open = self._mariadb and not event.flags & _STANDALONE
            return [Begun(event.gtid, event.timestamp)]
        if kind in ("XidEvent", "XAPrepareEvent"):
            return [Ended()]
        if kind == "QueryEvent":
            return self._said(event)
        # The other one is the first thing of each log: the server takes our place.
        if kind in ("HeartbeatLogEvent", "FormatDescriptionEvent"):
            return [Beat()]
        if kind == "NotImplementedEvent":
            if event.event_type in _UNREADABLE:
                raise DatabaseFailed(
                    "the server compresses its binary log: SET GLOBAL log_bin_compress = 'OFF' "
                    "(MariaDB) or binlog_transaction_compression = 'OFF' (MySQL)"
                )
            return []
        table = self._tables.get((event.schema, event.table))
        if table is None:
            return []
        if kind == "TableMapEvent":
            self._know(event, table)
            return []
        return [self._rows(event, table)]

    def _said(self, event: Any) -> list[Message]:
        text = event.query.strip()
        word = text.upper()
        if word == "BEGIN":
            self._open = True
            return []
        if word in ("COMMIT", "ROLLBACK"):
            return [Ended()]
        if _NOT_DDL.match(text):
            return []
        said: list[Message] = [Statement(event.schema.decode(errors="replace"), text)]
        return said if self._open else [*said, Ended()]

    def _know(self, event: Any, table: Table) -> None:
        if not event.optional_metadata.column_name_list:
            raise DatabaseFailed(
                f"changes of {table.schema}.{table.name} were logged without the names of columns: "
                "SET GLOBAL binlog_row_metadata = 'FULL', in the configuration too; then run "
                "reactor sources reset ID --to earliest (all rows again) or latest (only what "
                "comes)"
            )
        self._parsers[event.table_id] = parsers_of(event.columns, table.types)

    def _rows(self, event: Any, table: Table) -> Rows:
        parsers = self._parsers[event.table_id]
        found: list[tuple[dict[str, Any] | None, dict[str, Any] | None]] = []
        op = {"WriteRowsEvent": "insert", "DeleteRowsEvent": "delete"}.get(
            type(event).__name__, "update"
        )
        for row in event.rows:
            if op == "update":
                old = row_of(row["before_values"], row["before_none_sources"], parsers)
                new = row_of(row["after_values"], row["after_none_sources"], parsers)
                found.append((old, new))
            else:
                told = row_of(row["values"], row["none_sources"], parsers)
                found.append((None, told) if op == "insert" else (told, None))
        key = event.primary_key
        names = (key,) if isinstance(key, str) else tuple(key)
        return Rows(op, table, names if key else table.key, found, event.event_size)


def _next(stream: Any) -> Any:
    import pymysql

    try:
        event = stream.fetchone()
    except (pymysql.MySQLError, OSError):
        with translated():
            raise
    if event is None:
        raise DatabaseFailed("the server has ended its log", transient=True)
    return event
