"""Changes of databases stored, and rows upserted: what both databases are measured by."""

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import uvloop

from measure import Row, Size, interleaved
from reactor.clock import SystemClock
from reactor.connectors.sql.dsn import database
from reactor.connectors.sql.statements import BATCH
from reactor.errors import StorageFailed
from reactor.logs import configure
from reactor.model.event import Receipt, Received
from reactor.plugin.context import Emit, Files
from reactor.plugin.decode import decode
from reactor.plugin.spec import Spec
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
TABLE = "(id bigint primary key, state varchar(20), total numeric(12, 2), note varchar(100))"
ROWS_A_TRANSACTION = 100
COLUMNS = ["id", "state", "total", "note"]


def against(module: str, server: str, measure: Callable[[Any], list[Row]]) -> list[Row]:
    """What is measured against a server of the tests; nothing where it is not installed."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import pytest

    try:
        begun = getattr(import_module(f"tests.brokers.{module}"), server)()
    except pytest.skip.Exception as missing:
        print(missing, file=sys.stderr)
        return []
    begun.output = lambda: ""
    with begun:
        return measure(begun)


def change_row(
    key: str,
    name: str,
    size: Size,
    folder: Path,
    *,
    emitted: Callable[[int, Path | None], Coroutine[Any, Any, float]],
    only_read: Callable[[int], Coroutine[Any, Any, float]],
) -> Row:
    """Changes stored, beside a reader that stores none; the facts say where the time goes.

    `emitted` says how long the source takes, with a store in a folder or to nobody.
    """
    # As the daemon has it, for all that are measured.
    gc.set_threshold(50_000, 20, 100)
    sys.setswitchinterval(0.0005)
    count, turn = size.flows_in_process, iter(range(1000))
    ours, alone, inside, bare = interleaved(
        size.rounds,
        lambda: count / uvloop.run(emitted(count, folder / f"{key}{next(turn)}")),
        lambda: count / uvloop.run(emitted(count, None)),
        lambda: count / uvloop.run(_without_database(count, folder / f"{key}{next(turn)}")),
        lambda: count / uvloop.run(only_read(count)),
    )
    ratio = ours.median / bare.median
    return Row(
        key=key,
        what=f"changes of {name} stored, each with a flow that is run and recorded",
        unit="/s",
        measured=ours,
        reference="a bare reader that stores nothing",
        beside=bare,
        figure=ratio,
        aim="≥ 0.4 of it",
        passed=ratio >= 0.4,
        facts={
            "changes": count,
            "rows_a_transaction": ROWS_A_TRANSACTION,
            "same_events_without_database_a_sec": inside.median,
            "source_alone_a_sec": alone.median,
            "source_alone_of_bare_reader": alone.median / bare.median,
        },
    )


def upsert_row(
    key: str,
    name: str,
    size: Size,
    *,
    dsn: str,
    text: str,
    driver: str,
    executemany: Callable[[Sequence[Sequence[Any]]], None],
) -> Row:
    """Many rows upserted in one step, beside what the driver has for it."""
    count = 5 * size.flows_in_process
    given = [[number, "new", number * 0.25, "a note"] for number in range(count)]

    def theirs() -> float:
        began = time.perf_counter()
        executemany(given)
        return time.perf_counter() - began

    ours, beside = interleaved(
        size.rounds,
        lambda: count / uvloop.run(_upsert(dsn, text, given)),
        lambda: count / theirs(),
    )
    ratio = ours.median / beside.median
    return Row(
        key=key,
        what=f"rows upserted into {name}, {count:,} in one step",
        unit="/s",
        measured=ours,
        reference=f"{driver}'s own executemany",
        beside=beside,
        figure=ratio,
        aim="≥ 0.5 of it",
        passed=ratio >= 0.5,
    )


async def emit_changes(
    source: Spec, config: Mapping[str, Any], count: int, state: Path | None, *, position: Any = None
) -> float:
    """Seconds in which a source that follows has emitted so many changes that wait for it."""
    if state is None:
        return await _timed(source, config, _Counting(None, count), position)
    store = await open_sqlite(state, on_failure=_stop, clock=SystemClock())
    with configure("json", "info", Redactor(), StringIO()):
        async with World(FLOW, store=store) as world:
            emit = _Counting(world.engine.emitter("event"), count)
            secs = await _timed(source, config, emit, position)
            await world.settle()
    await store.close(clean=True)
    return secs


async def _timed(
    source: Spec, config: Mapping[str, Any], emit: "_Counting", position: Any
) -> float:
    assert source.run is not None
    context = _Context(position)
    running = asyncio.create_task(source.run(decode(config, source.config), emit, context))
    await asyncio.wait([running, emit.all], return_when=asyncio.FIRST_COMPLETED)
    secs = time.perf_counter() - context.began
    running.cancel()
    await asyncio.wait([running])
    emit.all.result()
    return secs


async def _without_database(count: int, state: Path) -> float:
    """The same events with the same flow, in batches as a stream makes them."""
    store = await open_sqlite(state, on_failure=_stop, clock=SystemClock())
    events = [_event(number) for number in range(count)]
    with configure("json", "info", Redactor(), StringIO()):
        async with World(FLOW, store=store) as world:
            emit = world.engine.emitter("event")
            began = time.perf_counter()
            for start in range(0, count, BATCH):
                await emit.many(events[start : start + BATCH])
            secs = time.perf_counter() - began
            await world.settle()
    await store.close(clean=True)
    return secs


def _event(number: int) -> Received:
    new = {"id": number, "state": "new", "total": number * 1.5, "note": "x" * 50}
    return Received(
        data={"op": "insert", "schema": "public", "table": "t", "old": None, "new": new},
        type="change",
        key=f"public.t/{number}",
        position={"lsn": 1000 + number // ROWS_A_TRANSACTION, "index": number % ROWS_A_TRANSACTION},
    )


async def _upsert(dsn: str, text: str, given: list[list[Any]]) -> float:
    began = time.perf_counter()
    session = await database(dsn, ".").connect()
    async with session.transaction():
        for start in range(0, len(given), BATCH):
            await session.many(text, given[start : start + BATCH])
    await session.close()
    return time.perf_counter() - began


class _Counting:
    """Emits to somebody or nobody, and says when all is emitted."""

    def __init__(self, emit: Emit | None, count: int) -> None:
        self.all: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._emit = emit
        self._left = count

    async def many(self, received: Sequence[Received]) -> list[Receipt]:
        """Store a batch."""
        receipts: list[Receipt] = []
        if self._emit is not None:
            receipts = await self._emit.many([_typed(one) for one in received])
        self._left -= len(received)
        if self._left <= 0 and not self.all.done():
            self.all.set_result(None)
        return receipts


def _typed(one: Received) -> Received:
    return Received(data=one.data, key=one.key, type="change", position=one.position)


class _Context:
    """What a source asks here."""

    clock = SystemClock()
    files = Files(base=".")
    instance = "source:bench"
    log = logging.getLogger("bench")

    def __init__(self, position: Any) -> None:
        self._position = position
        self.began = 0.0

    def up(self, detail: str = "") -> None:
        """It works: what it took to connect is no part of a rate."""
        self.began = time.perf_counter()

    def lag(self, events: float) -> None:
        """How far behind it is."""

    def chance(self) -> float:
        """No chance."""
        return 0.5

    async def position(self) -> Any:
        """Where it begins."""
        return self._position

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
