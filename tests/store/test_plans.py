"""No read of the engine walks the history: each finds its rows by an index."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reactor.model.execution import State
from reactor.store import Query
from reactor.store.sqlite import SqliteStore, open_memory
from tests.store.made import START_MS, HandClock, refuse, started, stored

Ask = Callable[[SqliteStore], Awaitable[Any]]
LIMITS = {"": START_MS}

READS: dict[str, Ask] = {
    "open": lambda store: store.open_executions([State.RUNNING, State.QUEUED], after=0, limit=9),
    "older": lambda store: store.open_executions(
        [State.RUNNING], after=0, limit=9, older_epoch=True
    ),
    "load": lambda store: store.load([1, 2]),
    "backlog": lambda store: store.backlog("orders", after=0, limit=9),
    "delayed": lambda store: store.delayed("orders"),
    "open_keys": lambda store: store.open_keys("orders"),
    "held_keys": lambda store: store.held_keys("orders"),
    "due": lambda store: store.due(1, limit=9),
    "next_due": lambda store: store.next_due(),
    "open_counts": lambda store: store.open_counts(),
    "versions": lambda store: store.versions(),
    "prune": lambda store: store.prune(ok_before=LIMITS, failed_before=LIMITS, now_ms=START_MS),
    "shrink": lambda store: store.shrink(0),
    "failed": lambda store: store.history.executions(Query(states=(State.FAILED,))),
    "flow": lambda store: store.history.executions(Query(flow="orders", before=9)),
    "event": lambda store: store.history.executions(Query(event=1)),
}


@pytest.mark.parametrize("name", READS)
async def test_reads_use_an_index(name):
    """The plan of every statement searches; it walks no table and sorts no rows of history."""
    store = await open_memory(on_failure=refuse, clock=HandClock())
    await stored(store, started(1), started(2, State.OK))
    asked: list[str] = []
    store._connection.set_trace_callback(asked.append)
    await READS[name](store)
    store._connection.set_trace_callback(None)

    plans = [
        row[3]
        for sql in asked
        if sql.startswith(("SELECT", "DELETE"))
        for row in store._connection.execute(f"EXPLAIN QUERY PLAN {sql}")
    ]

    await store.close(clean=True)
    assert plans
    walks = [plan for plan in plans if plan.startswith("SCAN") and "COVERING INDEX" not in plan]
    assert [plan for plan in walks if "executions" in plan or "events" in plan] == []
