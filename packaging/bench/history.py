"""Intake with a long history in the store, beside intake into an empty one."""

import asyncio
from pathlib import Path

from load import ORDER, post_orders
from measure import Row, Size, interleaved
from processes import Served, daemon
from reactor.clock import SystemClock
from reactor.errors import StorageFailed
from reactor.ids import Ids
from reactor.model.event import Event
from reactor.model.execution import Entry, Execution, State
from reactor.store import NewExecution, Write
from reactor.store.sqlite import SqliteStore, open_sqlite
from webhook import FLOW

AT_ONCE = 1_000


def rows(size: Size, folder: Path) -> list[Row]:
    """Webhooks a second into a store with many finished executions, and into an empty one."""
    long, empty = folder / "long", folder / "empty"
    asyncio.run(fill(long / "state", size.history))
    with daemon(long, {"orders.yaml": FLOW}) as full, daemon(empty, {"orders.yaml": FLOW}) as fresh:
        for served in (full, fresh):  # warm up
            _rate(served, 1, folder)
        found, beside = interleaved(
            size.rounds,
            lambda: _rate(full, size.load_secs, folder),
            lambda: _rate(fresh, size.load_secs, folder),
        )
    ratio = found.median / beside.median
    return [
        Row(
            key="history",
            what=f"durable webhook with {size.history:,} finished executions",
            unit="/s",
            measured=found,
            reference="with an empty store",
            beside=beside,
            figure=ratio,
            aim="≥ 0.9 of it",
            passed=ratio >= 0.9,
        )
    ]


def _rate(served: Served, secs: float, folder: Path) -> float:
    rate = post_orders(served.address, secs, folder).rate
    served.settle()
    return rate


async def fill(state: Path, count: int) -> None:
    """A store in which so many executions have ended, just now."""
    state.parent.mkdir(parents=True)
    store = await open_sqlite(state, on_failure=stop, clock=SystemClock())
    ids = Ids(SystemClock())
    for _ in range(count // AT_ONCE):
        await store_at_once(store, _ended(ids))
    await store.close(clean=True)


def _ended(ids: Ids) -> Write:
    write = Write()
    now_ms = SystemClock().now_ms()
    done = {"status": "ok", "attempts": 1, "started": now_ms, "finished": now_ms}
    for _ in range(AT_ONCE):
        event, execution = ids.next(), ids.next()
        write.events.append(
            Event(event, "http", "http:orders", now_ms, now_ms, None, None, 0, ORDER, {})
        )
        ended = Execution(
            id=execution,
            root=execution,
            flow="orders",
            version="0" * 64,
            event=event,
            trigger="http",
            key=None,
            state=State.OK,
            created_ms=now_ms,
            started_ms=now_ms,
            finished_ms=now_ms,
        )
        entry = Entry("do.0", "done", {**done, "input": "order 4711 from Ada", "output": None})
        write.executions.append(NewExecution(ended, (entry,)))
    return write


async def store_at_once(store: SqliteStore, write: Write) -> None:
    """Write, and return when it is on disk."""
    stored = asyncio.Event()
    store.submit(write, stored.set)
    await stored.wait()


def stop(error: StorageFailed) -> None:
    """Fail the measurement."""
    raise error
