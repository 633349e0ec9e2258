"""PostgreSQL: changes from its log and upserts, beside readers and writers that do no more."""

import asyncio
import logging
import sys
import time
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import uvloop

from measure import Row, Size, interleaved
from reactor.clock import SystemClock
from reactor.connectors.sql.changes import postgres as source
from reactor.connectors.sql.dsn import database
from reactor.connectors.sql.statements import BATCH, upsert_sql
from reactor.connectors.sql.wal.messages import Commit, read
from reactor.connectors.sql.wal.stream import Stream
from reactor.errors import StorageFailed
from reactor.logs import configure
from reactor.model.event import Receipt, Received
from reactor.plugin.context import Files
from reactor.plugin.decode import decode
from reactor.secrets import Redactor
from reactor.store.sqlite import open_sqlite
from reactor.testing import World

FLOW = """\
flow: changes
when:
  event: {type: change}
do:
  - vars: {id: "${{ event.data.new.id }}"}
"""
TABLE = "(id bigint primary key, state text, total numeric, note text)"
ROWS_A_TRANSACTION = 100


def rows(size: Size, folder: Path) -> list[Row]:
    """Both rows, against a server of their own; none where PostgreSQL is not installed."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import pytest

    from tests.brokers.postgres import Postgres

    try:
        server = Postgres()
    except pytest.skip.Exception as missing:
        print(missing, file=sys.stderr)
        return []
    server.output = lambda: ""  # type: ignore[method-assign]
    with server:
        return [_changes(server.dsn, size, folder), _upserts(server.dsn, size)]


def _changes(dsn: str, size: Size, folder: Path) -> Row:
    count, turn = size.flows_in_process, iter(range(1000))
    ours, inside, bare = interleaved(
        size.rounds,
        lambda: count / uvloop.run(_stored(dsn, f"s{next(turn)}", count, folder)),
        lambda: count / uvloop.run(_without_postgres(count, folder / f"i{next(turn)}")),
        lambda: count / uvloop.run(_only_read(dsn, f"b{next(turn)}", count)),
    )
    ratio, of_reader = ours.median / inside.median, ours.median / bare.median
    return Row(
        key="wal",
        what="changes of PostgreSQL stored, each with a flow that is run and recorded",
        unit="/s",
        measured=ours,
        reference="the same events without PostgreSQL",
        beside=inside,
        figure=ratio,
        aim="≥ 0.8 of it, or ≥ 0.4 of a bare reader",
        passed=ratio >= 0.8 or of_reader >= 0.4,
        facts={
            "changes": count,
            "rows_a_transaction": ROWS_A_TRANSACTION,
            "bare_reader_a_sec": bare.median,
            "of_bare_reader": of_reader,
        },
    )


def _upserts(dsn: str, size: Size) -> Row:
    count = 5 * size.flows_in_process
    given = [[number, "new", number * 0.25, "a note"] for number in range(count)]
    text = upsert_sql("postgres", "upserted", ["id", "state", "total", "note"], ["id"], ["state"])
    with psycopg.connect(dsn, autocommit=True) as line:
        line.execute(f"create table upserted {TABLE}")
    ours, theirs = interleaved(
        size.rounds,
        lambda: count / uvloop.run(_upsert(dsn, text, given)),
        lambda: count / _executemany(dsn, text, given),
    )
    ratio = ours.median / theirs.median
    return Row(
        key="upsert",
        what=f"rows upserted into PostgreSQL, {count:,} in one step",
        unit="/s",
        measured=ours,
        reference="psycopg's own executemany",
        beside=theirs,
        figure=ratio,
        aim="≥ 0.5 of it",
        passed=ratio >= 0.5,
    )


def _prepare(dsn: str, table: str, count: int) -> None:
    """A table, a slot, and changes that wait in the log."""
    with psycopg.connect(dsn, autocommit=True) as line:
        line.execute(f"create table {table} {TABLE}")
        line.execute(f"create publication {table} for table {table}")
        line.execute(f"select pg_create_logical_replication_slot('{table}', 'pgoutput')")
        text = f"insert into {table} select n, 'new', n * 1.5, repeat('x', 50) "
        for start in range(0, count, ROWS_A_TRANSACTION):
            line.execute(
                f"{text} from generate_series({start}, {start + ROWS_A_TRANSACTION - 1}) n"
            )


async def _stored(dsn: str, table: str, count: int, folder: Path) -> float:
    _prepare(dsn, table, count)
    store = await open_sqlite(folder / table, on_failure=_stop, clock=SystemClock())
    with configure("json", "info", Redactor(), StringIO()):
        async with World(FLOW, store=store) as world:
            emit = _Counting(world, count)
            config = {"dsn": dsn, "tables": [table], "slot": table, "snapshot": False}
            assert source.run is not None
            began = time.perf_counter()
            run = source.run(decode(config, source.config), emit, _Context())
            running = asyncio.create_task(run)
            await asyncio.wait([running, emit.all], return_when=asyncio.FIRST_COMPLETED)
            secs = time.perf_counter() - began
            running.cancel()
            await asyncio.wait([running])
            emit.all.result()
            await world.settle()
    await store.close(clean=True)
    return secs


async def _without_postgres(count: int, state: Path) -> float:
    """The same events with the same flow, in batches as the stream makes them."""
    store = await open_sqlite(state, on_failure=_stop, clock=SystemClock())
    new = {"id": 1, "state": "new", "total": 1.5, "note": "x" * 50}
    data = {"op": "insert", "schema": "public", "table": "t", "old": None, "new": new}
    batch = [Received(data=data, type="change", position={"lsn": 1, "index": 1})] * 1000
    with configure("json", "info", Redactor(), StringIO()):
        async with World(FLOW, store=store) as world:
            emit = world.engine.emitter("event")
            began = time.perf_counter()
            for _ in range(0, count, len(batch)):
                await emit.many(batch)
            secs = time.perf_counter() - began
            await world.settle()
    await store.close(clean=True)
    return secs


async def _only_read(dsn: str, table: str, count: int) -> float:
    """Take the same messages in, tell commits from rows, and confirm."""
    _prepare(dsn, table, count)
    began = time.perf_counter()
    stream = await Stream.open(dsn, SystemClock())
    await stream.start(table, table, 10_000)
    seen = 0
    while seen < count:
        message = stream.take()
        if message is None:
            await stream.more()
        elif isinstance(message, bytes):
            seen += message[:1] == b"I"
            if message[:1] == b"C" and isinstance(commit := read(message, {}), Commit):
                await stream.confirm(commit.end)
    secs = time.perf_counter() - began
    await stream.close()
    return secs


async def _upsert(dsn: str, text: str, given: list[list[Any]]) -> float:
    began = time.perf_counter()
    session = await database(dsn, ".").connect()
    async with session.transaction():
        for start in range(0, len(given), BATCH):
            await session.many(text, given[start : start + BATCH])
    await session.close()
    return time.perf_counter() - began


def _executemany(dsn: str, text: str, given: list[list[Any]]) -> float:
    began = time.perf_counter()
    with psycopg.connect(dsn) as line:
        psycopg.RawCursor(line).executemany(text.encode(), given)
    return time.perf_counter() - began


class _Counting:
    """Emits into a world and says when all is stored."""

    def __init__(self, world: World, count: int) -> None:
        self.all: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._emit = world.engine.emitter("event")
        self._left = count

    async def many(self, received: list[Received]) -> list[Receipt]:
        """Store a batch."""
        given = [_typed(one) for one in received]
        receipts = await self._emit.many(given)
        self._left -= len(receipts)
        if self._left <= 0 and not self.all.done():
            self.all.set_result(None)
        return receipts


def _typed(one: Received) -> Received:
    return Received(data=one.data, key=one.key, type="change", position=one.position)


class _Context:
    """What the source asks here."""

    clock = SystemClock()
    files = Files(base=".")
    instance = "postgres:bench"
    log = logging.getLogger("bench")

    def up(self, detail: str = "") -> None:
        """It works."""

    def lag(self, events: float) -> None:
        """How far behind it is."""

    async def position(self) -> Any:
        """The first start."""
        return None

    async def places(self) -> dict[str, Any]:
        """Nothing was told."""
        return {}

    async def keep(self, places: Mapping[str, Any], *, position: Any = None) -> None:
        """Forget."""

    async def wait_until(self, ms: int) -> None:
        """Sleep."""
        await asyncio.sleep(max(0, ms - self.clock.now_ms()) / 1000)


def _stop(error: StorageFailed) -> None:
    raise error
