"""How Writes meet in commits makes no difference to what is stored."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from reactor.model.execution import State
from reactor.store import (
    Change,
    End,
    Identity,
    NewExecution,
    Query,
    Record,
    StateValue,
    Write,
)
from reactor.store.sqlite import SqliteStore, open_memory
from tests.store.made import HandClock, an_entry, an_event, an_execution, refuse, stored

IDS = some.integers(1, 3)
OPEN = some.sampled_from([State.QUEUED, State.RUNNING, State.WAITING])
ENDED = some.sampled_from([State.OK, State.FAILED, State.CANCELLED])
SMALL = some.integers(0, 3)
MAYBE = some.none() | SMALL
ENTRIES = some.lists(SMALL.map(lambda value: an_entry(f"do.{value}", value)), max_size=2).map(tuple)
WRITES = some.builds(
    Write,
    positions=some.lists(some.tuples(some.sampled_from("ab"), MAYBE), max_size=2),
    records=some.lists(some.builds(Record, IDS, ENTRIES), max_size=2),
    changes=some.lists(
        some.builds(Change, IDS, OPEN, MAYBE, some.none() | some.just("why"), MAYBE, MAYBE),
        max_size=1,
    ),
    ends=some.lists(some.builds(End, IDS, ENDED, MAYBE, SMALL, ENTRIES), max_size=1),
    states=some.lists(
        some.builds(StateValue, some.sampled_from("ab"), some.just(""), MAYBE), max_size=2
    ),
    identities=some.lists(
        some.builds(
            Identity,
            some.just("s"),
            some.sampled_from("ab"),
            SMALL,
            some.just(()),
            some.none(),
            some.none(),
        ),
        max_size=2,
    ),
    meta=some.lists(some.tuples(some.sampled_from("ab"), MAYBE), max_size=1),
)


@settings(max_examples=150)
@given(some.lists(WRITES, max_size=8))
def test_one_commit_or_many(writes):
    """All Writes in one commit leave the same rows as a commit for each."""
    together, apart = asyncio.run(both(writes))

    assert together == apart


async def both(writes: list[Write]) -> tuple[Any, Any]:
    """What is stored after all at once, and after one by one."""
    seen = []
    for at_once in (True, False):
        store = await open_memory(on_failure=refuse, clock=HandClock())
        first = Write(
            events=[an_event(id_) for id_ in (1, 2, 3)],
            executions=[NewExecution(an_execution(id_), (an_entry("vars"),)) for id_ in (1, 2, 3)],
        )
        if at_once:
            await stored(store, first, *writes)
        else:
            for write in (first, *writes):
                await stored(store, write)
        seen.append(await everything(store))
        await store.close(clean=True)
    return seen[0], seen[1]


async def everything(store: SqliteStore) -> Any:
    """All that can be read."""
    known: list[Any] = []
    store.known([("s", "a"), ("s", "b")], known.extend)
    return (
        await store.load([1, 2, 3]),
        await store.history.executions(Query()),
        await store.state_values(),
        [await store.position(name) for name in "ab"],
        [await store.meta(name) for name in "ab"],
        (await store.history.sizes())["steps"],
        await store.due(9, limit=9),
        known,
    )
