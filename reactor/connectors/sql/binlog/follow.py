"""Following the binary log: rows first, then changes, each transaction stored as one."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reactor.clock import instant
from reactor.connectors.sql.binlog.gtid import Done, done
from reactor.connectors.sql.binlog.server import (
    Table,
    begin_snapshot,
    behind,
    check,
    explained,
    find_table,
    latest,
)
from reactor.connectors.sql.binlog.tap import (
    Beat,
    Begun,
    Ended,
    Failed,
    Message,
    Rows,
    Statement,
    Tap,
)
from reactor.connectors.sql.database import Session
from reactor.connectors.sql.mysql import MysqlDatabase
from reactor.connectors.sql.pool import Pool
from reactor.connectors.sql.wal.messages import key_of
from reactor.connectors.sql.wal.snapshot import DONE, tell_table
from reactor.connectors.sql.wal.stream import until_first_ends
from reactor.errors import DatabaseFailed, SourceFailed
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext

# More rows of one transaction are stored in several commits.
MOST_ROWS = 10_000
MOST_BYTES = 16 << 20
_BATCH = 500
# So often the position moves while our tables are idle.
_KEEP_MS = 10_000
_LAG_MS = 30_000
_ANSWER_SECS = 60
_TRUNCATE = re.compile(
    r"(?:/\*.*?\*/\s*)*truncate\s+(?:table\s+)?"
    r"(?:(?:`(?P<s1>[^`]+)`|(?P<s2>\w+))\s*\.\s*)?(?:`(?P<t1>[^`]+)`|(?P<t2>\w+))",
    re.IGNORECASE | re.DOTALL,
)
_WRITES = re.compile(
    r"(?:/\*.*?\*/\s*)*(insert|update|delete|replace|load)\b", re.IGNORECASE | re.DOTALL
)


class Wanted(Struct, frozen=True, kw_only=True):
    """What is followed."""

    database: MysqlDatabase
    tables: tuple[str, ...]
    ops: tuple[str, ...]
    snapshot: bool


async def follow(wanted: Wanted, emit: Emit, context: SourceContext) -> None:
    """Run until cancelled; raises `DatabaseFailed`, or `SourceFailed` where the log is gone."""
    async with AsyncExitStack() as stack:
        options = wanted.database.options
        asked = MysqlDatabase({**options, "read_timeout": _ANSWER_SECS})
        session = await asked.connect()
        stack.push_async_callback(session.close)
        server = await check(session)
        schema = options.get("database")
        tables = [await find_table(session, name, schema) for name in wanted.tables]
        mark = await _begin(
            wanted, tables, session=session, mariadb=server.mariadb, emit=emit, context=context
        )
        await session.close()
        at = mark["gtid"]
        tap = Tap(
            options,
            tables,
            at,
            mariadb=server.mariadb,
            # Drawn anew: a server hangs up on the elder of two readers with the same number.
            server_id=(1 << 31) + int(context.chance() * ((1 << 31) - 1)),
        )
        stack.push_async_callback(tap.close)
        follower = Follower(
            wanted.ops,
            tables,
            mark,
            completed=_completed(at, mariadb=server.mariadb),
            tap=tap,
            emit=emit,
            context=context,
        )
        pool = Pool(asked, 1)
        stack.push_async_callback(pool.close)
        watch = _watch(pool, follower, context, mariadb=server.mariadb)
        await until_first_ends([asyncio.create_task(one) for one in (follower.run(), watch)])


async def _watch(
    pool: Pool, follower: "Follower", context: SourceContext, *, mariadb: bool
) -> None:
    """Measure how far behind we are."""
    while True:
        # The stream says it when the server is gone; a figure is no reason to end it.
        with suppress(DatabaseFailed):
            async with pool.session() as session:
                context.lag(await behind(session, follower.stored, mariadb=mariadb))
        await context.wait_until(context.clock.now_ms() + _LAG_MS)


async def _begin(
    wanted: Wanted,
    tables: Sequence[Table],
    *,
    session: Session,
    mariadb: bool,
    emit: Emit,
    context: SourceContext,
) -> Mapping[str, Any]:
    """Where the last stored change stands; at the very first start, after the rows were told."""
    position = await context.position()
    if isinstance(position, str) and position != "latest":
        _completed(position, mariadb=mariadb)
        return {"gtid": position}
    if isinstance(position, dict) and "gtid" in position:
        return position
    if isinstance(position, dict):  # a snapshot was interrupted
        at = position["snapshot"]
        await begin_snapshot(session, mariadb=mariadb)
    else:
        tells = wanted.snapshot and position != "latest"
        at = (
            await begin_snapshot(session, mariadb=mariadb)
            if tells
            else await latest(session, mariadb=mariadb)
        )
        # Places without a position are left of a reset.
        gone = dict.fromkeys(await context.places())
        await context.keep(gone, position={"snapshot": at} if tells else {"gtid": at})
        if not tells:
            return {"gtid": at}
    context.up("telling the rows that are there")
    places = await context.places()
    for table in tables:
        after = places.get(f"{table.schema}.{table.name}")
        if after != DONE:
            fields = {"gtid": at, "committed": None}
            await tell_table(
                session, table, emit, context, after=after, fields=fields, kind="mysql"
            )
    told = dict.fromkeys(await context.places())
    await context.keep(told, position={"gtid": at})
    return {"gtid": at}


def _completed(at: str, *, mariadb: bool) -> Done:
    try:
        return done(at, mariadb=mariadb)
    except ValueError as error:
        form = "0-1-42" if mariadb else "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-42"
        raise SourceFailed(
            f"position {at!r}: it is earliest, latest or a GTID such as {form}", fatal=True
        ) from error


class Follower:
    """Turns messages of the log into events; all up to `stored` is."""

    def __init__(
        self,
        ops: Sequence[str],
        tables: Sequence[Table],
        mark: Mapping[str, Any],
        *,
        completed: Done,
        tap: Tap,
        emit: Emit,
        context: SourceContext,
    ) -> None:
        self._ops = frozenset(ops)
        self._tables = {(table.schema, table.name): table for table in tables}
        self._mark = (mark.get("in"), mark.get("index", -1))
        self._completed = completed
        self._at = self._kept = self.stored = str(mark["gtid"])
        self._kept_ms = 0
        self._tap = tap
        self._emit = emit
        self._context = context
        self._gtid: str | None = None
        self._time_ms = 0
        self._fields: dict[str, Any] = {}
        self._index = -1
        self._pending: list[Received] = []
        self._bytes = 0
        self._whole = 0  # so many of them are of complete transactions

    async def run(self) -> None:
        """Read and store; ends by an error only."""
        following = False
        while True:
            message = self._tap.take()
            if message is not None:
                if not following and not isinstance(message, Failed):
                    self._context.up("following")
                    following = True
                await self._read(message)
            else:
                if self._whole:
                    await self._store(self._whole)
                await self._tap.more()

    async def _read(self, message: Message) -> None:
        if isinstance(message, Rows):
            self._bytes += message.size
            for old, new in message.rows:
                self._changed(message.op, message.table, message.key, old, new)
                if len(self._pending) >= MOST_ROWS or self._bytes >= MOST_BYTES:
                    await self._store(len(self._pending))
        elif isinstance(message, Begun):
            await self._end()  # of a transaction whose end was not told
            self._gtid, self._index = message.gtid, -1
            self._time_ms = message.secs * 1000
            self._fields = {"gtid": message.gtid, "committed": instant(self._time_ms)}
        elif isinstance(message, Ended):
            await self._end()
        elif isinstance(message, Statement):
            self._said(message)
        elif isinstance(message, Beat):
            await self._keep()
        elif isinstance(message, Failed):
            await self._store(self._whole)
            raise self._why(message)

    def _why(self, message: Failed) -> Exception:
        if isinstance(message.error, DatabaseFailed):
            return explained(message.error, self._at)
        return message.error

    async def _end(self) -> None:
        if self._gtid is None:
            return
        self._completed.add(self._gtid)
        self._at, self._gtid = str(self._completed), None
        if len(self._pending) > self._whole:
            # All of it is stored with its last change: the server need not send it again.
            self._pending[-1] = replace(self._pending[-1], position={"gtid": self._at})
            self._whole = len(self._pending)
        if not self._pending:
            self.stored = self._at
        if self._whole >= _BATCH:
            await self._store(self._whole)
        elif self._context.clock.now_ms() - self._kept_ms >= _KEEP_MS:
            await self._keep()

    def _said(self, statement: Statement) -> None:
        if (found := _TRUNCATE.match(statement.text)) is not None:
            name = found["t1"] or found["t2"]
            table = self._tables.get((found["s1"] or found["s2"] or statement.schema, name))
            if table is not None:
                self._changed("truncate", table, (), None, None)
        elif _WRITES.match(statement.text):
            named = [name for _, name in self._tables if name in statement.text]
            if named:
                self._context.log.warning(
                    "a session has logged its statement and not its rows: changes are missed",
                    extra={"tables": named, "mend": "SET GLOBAL binlog_format = 'ROW'"},
                )

    def _changed(
        self,
        op: str,
        table: Table,
        key: Sequence[str],
        old: dict[str, Any] | None,
        new: dict[str, Any] | None,
    ) -> None:
        self._index += 1
        if op not in self._ops or (self._gtid == self._mark[0] and self._index <= self._mark[1]):
            return  # not wanted, or stored before we were started
        # A session that logs less of a row may leave the key out of one of both.
        row = {**old, **new} if old and new else new or old
        self._pending.append(
            Received(
                data={
                    "op": op,
                    "schema": table.schema,
                    "table": table.name,
                    "old": old,
                    "new": new,
                },
                key=key_of(f"{table.schema}.{table.name}", key, row),
                fields=self._fields,
                time_ms=self._time_ms,
                position={"gtid": self._at, "in": self._gtid, "index": self._index},
            )
        )

    async def _store(self, count: int) -> None:
        """Store the first of what is pending in one commit."""
        if not count:
            return
        batch, self._pending = self._pending[:count], self._pending[count:]
        self._whole = max(0, self._whole - count)
        self._bytes = 0
        await self._emit.many(batch)
        if not self._pending:
            self.stored = self._at

    async def _keep(self) -> None:
        """Keep the position that no event has carried: the log before it may go."""
        if self._pending or self._gtid is not None or self._kept == self._at:
            return
        self._kept_ms = self._context.clock.now_ms()
        await self._context.keep({}, position={"gtid": self._at})
        self._kept = self._at
