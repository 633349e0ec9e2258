"""Following a slot: rows first, then changes, each transaction stored before it is confirmed."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from msgspec import Struct

from reactor.clock import instant
from reactor.connectors.sql.postgresql import PostgresDatabase, PostgresSession
from reactor.connectors.sql.wal.messages import (
    OPS,
    Begin,
    Change,
    Commit,
    Known,
    Relation,
    Truncate,
    key_of,
    lsn_number,
    lsn_text,
    read,
    read_change,
)
from reactor.connectors.sql.wal.slot import (
    Names,
    advance_slot,
    behind,
    check_server,
    check_tables,
    find_slot,
    left_behind,
    lost_slot,
    make_publication,
    make_slot,
)
from reactor.connectors.sql.wal.snapshot import tell_rows
from reactor.connectors.sql.wal.stream import Keepalive, Stream, until_first_ends
from reactor.connectors.sql.wal.tables import Lookup, Table
from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext

# More rows of one transaction are stored in several commits.
MOST_ROWS = 10_000
MOST_BYTES = 16 << 20
_BATCH = 500
_BEAT_MS = 10_000
_ANSWER_SECS = 30.0
_LAG_MS = 30_000


class Wanted(Struct, frozen=True, kw_only=True):
    """What is followed."""

    dsn: str
    tables: tuple[str, ...]
    ops: tuple[str, ...]
    snapshot: bool
    names: Names


async def follow(wanted: Wanted, emit: Emit, context: SourceContext) -> None:
    """Run until cancelled; raises `DatabaseFailed`, or `SourceFailed` where a slot is lost."""
    async with AsyncExitStack() as stack:
        session = await PostgresDatabase(wanted.dsn).connect()
        session.limit_secs = _ANSWER_SECS
        stack.push_async_callback(session.close)
        stream = await Stream.open(wanted.dsn, context.clock)
        stack.push_async_callback(stream.close)
        lookup = Lookup(session)
        patience_ms = await check_server(session)
        beat_ms = min(_BEAT_MS, patience_ms // 3) if patience_ms else _BEAT_MS
        tables = await _prepare(wanted, session, lookup, context.log)
        mark = await _begin(
            wanted, tables, session=session, stream=stream, emit=emit, context=context
        )
        await stream.start(wanted.names.slot, wanted.names.publication, beat_ms)
        follower = Follower(
            wanted, tables, mark, stream=stream, lookup=lookup, emit=emit, context=context
        )
        work = (
            follower.run(),
            follower.beat(beat_ms),
            _watch(session, wanted.names.slot, context),
        )
        tasks = [asyncio.create_task(one) for one in work]
        await until_first_ends(tasks, session.connection.pgconn.finish)


async def _prepare(
    wanted: Wanted, session: PostgresSession, lookup: Lookup, log: logging.Logger
) -> list[Table]:
    tables = [await lookup.table(name) for name in wanted.tables]
    check_tables(tables, wanted.ops)
    await make_publication(session, wanted.names, tables, wanted.ops, log)
    for slot in await left_behind(session, wanted.names.slot):
        log.warning(
            "a replication slot that looks like ours is not read: it keeps PostgreSQL's log",
            extra={"slot": slot, "drop": f"SELECT pg_drop_replication_slot('{slot}')"},
        )
    return tables


async def _begin(
    wanted: Wanted,
    tables: Sequence[Table],
    *,
    session: PostgresSession,
    stream: Stream,
    emit: Emit,
    context: SourceContext,
) -> tuple[int, int]:
    """Where the last stored change stands; at the very first start, after the rows were told."""
    name = wanted.names.slot
    position, there = await context.position(), await find_slot(session, name)
    if isinstance(position, str) and position != "latest":
        position = {"lsn": _number(position), "index": -1}
    if isinstance(position, dict) and "lsn" in position:
        if not there:
            raise lost_slot(name, position["lsn"])
        return position["lsn"], position["index"]
    exported = None
    if isinstance(position, dict):  # a snapshot was interrupted
        if not there:
            raise lost_slot(name, position["snapshot"])
        lsn = position["snapshot"]
    else:
        lsn = 0
        if not there:
            lsn, exported = await make_slot(stream, name, context.log)
        elif position == "latest":
            await advance_slot(session, name)
        tells = wanted.snapshot and position != "latest"
        # Places without a position are left of a reset.
        gone = dict.fromkeys(await context.places())
        await context.keep(gone, position={"snapshot": lsn} if tells else {"lsn": lsn, "index": -1})
        if not tells:
            return lsn, -1
    context.up("telling the rows that are there")
    reading = await PostgresDatabase(wanted.dsn).connect()
    try:
        await tell_rows(reading, tables, emit, context, snapshot=exported, lsn=lsn)
    finally:
        await reading.close()
    told = dict.fromkeys(await context.places())
    await context.keep(told, position={"lsn": lsn, "index": -1})
    return lsn, -1


def _number(position: str) -> int:
    try:
        return lsn_number(position)
    except ValueError as error:
        raise SourceFailed(
            f"position {position!r}: it is earliest, latest or a place of the log such as 0/1A2B3C",
            fatal=True,
        ) from error


class Follower:
    """Turns the stream into events, and confirms what is stored."""

    def __init__(
        self,
        wanted: Wanted,
        tables: Sequence[Table],
        mark: tuple[int, int],
        *,
        stream: Stream,
        lookup: Lookup,
        emit: Emit,
        context: SourceContext,
    ) -> None:
        self._ops = frozenset(wanted.ops)
        self._followed = {(table.schema, table.name) for table in tables}
        self._stream = stream
        self._lookup = lookup
        self._mark = mark
        self._emit = emit
        self._context = context
        self._tables: dict[int, Known] = {}
        self._begun: Begin | None = None
        self._fields: dict[str, Any] = {}
        self._index = -1
        self._pending: list[Received] = []
        self._bytes = 0
        self._whole = 0  # so many of them are of complete transactions
        self._end = 0  # up to here those are complete

    async def run(self) -> None:
        """Read, store, confirm; ends by an error only."""
        self._context.up("following")
        while True:
            message = self._stream.take()
            if message is None:
                if self._whole < _BATCH and self._stream.refill():
                    continue  # the more in one commit, the fewer commits
                await self._store(self._whole)
                await self._stream.more()
            elif isinstance(message, Keepalive):
                await self._heard(message)
            else:
                self._bytes += len(message)
                if message[0] in OPS:
                    self._changed(read_change(message, self._tables))
                else:
                    await self._read(message)
                if len(self._pending) >= MOST_ROWS or self._bytes >= MOST_BYTES:
                    await self._store(len(self._pending))

    async def beat(self, every_ms: int) -> None:
        """Tell the server every few seconds that we live, and want to hear the same."""
        while True:
            await self._stream.confirm(0, asking=True)
            await self._context.wait_until(self._context.clock.now_ms() + every_ms)

    async def _heard(self, keepalive: Keepalive) -> None:
        if self._begun is None and not self._pending:
            # All of our tables up to there is stored: the slot need not hold the log of others.
            self._end = max(self._end, keepalive.lsn)
            await self._stream.confirm(self._end)
        elif keepalive.asks:
            await self._stream.confirm(0)

    async def _read(self, data: bytes) -> None:
        message = read(data, self._tables)
        if isinstance(message, Begin):
            self._begun, self._index = message, -1
            self._fields = {
                "lsn": lsn_text(message.lsn),
                "xid": message.xid,
                "committed": instant(message.committed_ms),
            }
        elif isinstance(message, Commit):
            self._begun, self._whole, self._end = None, len(self._pending), message.end
            if self._whole >= _BATCH:
                await self._store(self._whole)
        elif isinstance(message, Truncate):
            for table in message.tables:
                self._changed(Change("truncate", table, None, None, ()))
        elif isinstance(message, Relation):
            self._tables[message.oid] = await self._lookup.know(message)

    def _changed(self, change: Change) -> None:
        self._index += 1
        begun, table = self._begun, change.table
        relation = table.relation
        if begun is None or change.op not in self._ops:
            return
        if (begun.lsn, self._index) <= self._mark:
            return  # it was stored before we were started
        if (relation.schema, relation.table) not in self._followed:
            return
        data: dict[str, Any] = {
            "op": change.op,
            "schema": relation.schema,
            "table": relation.table,
            "old": change.old,
            "new": change.new,
        }
        if change.unchanged:
            data["unchanged"] = list(change.unchanged)
        self._pending.append(
            Received(
                data=data,
                key=key_of(table.name, table.key, change.old if change.new is None else change.new),
                fields=self._fields,
                time_ms=begun.committed_ms,
                position={"lsn": begun.lsn, "index": self._index},
            )
        )

    async def _store(self, count: int) -> None:
        """Store the first of what is pending in one commit, then confirm what is complete."""
        end = self._end
        if count:
            batch, self._pending = self._pending[:count], self._pending[count:]
            self._whole = max(0, self._whole - count)
            self._bytes = 0
            await self._emit.many(batch)
        elif not end:
            return
        if self._whole == 0 and end:
            self._end = 0
            await self._stream.confirm(end)


async def _watch(session: PostgresSession, slot: str, context: SourceContext) -> None:
    """Measure how far behind the slot is, and warn once for each reason."""
    said = None
    while True:
        bytes_, warning = await behind(session, slot)
        context.lag(bytes_)
        if warning is not None and said is None:
            context.log.warning(warning)
        said = warning
        await context.wait_until(context.clock.now_ms() + _LAG_MS)
