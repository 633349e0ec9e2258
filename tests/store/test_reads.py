"""What every store answers: the engine's reads and the history."""

import pytest

from reactor.model.execution import State
from reactor.store import Change, Dead, NewExecution, Query, Unwanted, Write
from reactor.store.sqlite import SqliteStore
from tests.store.made import START_MS, an_event, an_execution, an_id, started, stored

ONE, TWO, THREE, FOUR, FIVE = (an_id(number) for number in range(1, 6))
STATES = list(State)


@pytest.fixture
async def seven(store: SqliteStore) -> SqliteStore:
    """Executions 0 to 6, one in each state, of flow `a` (even ids) and `b` (odd ones)."""
    for number, state in enumerate(STATES):
        flow = "ab"[number % 2]
        store.submit(started(an_id(number), state, flow=flow, key=f"k{number}", due_ms=None))
    await stored(store, Write())
    return store


async def test_open_executions_come_in_pages(store):
    """Pages in order of id, over several states, each execution once."""
    for number in range(10):
        store.submit(started(an_id(number), STATES[number % 4]))
    await stored(store, Write())
    pages = []
    after = 0

    while page := await store.open_executions([State.RUNNING, State.QUEUED], after=after, limit=2):
        pages.append([found.execution.id for found in page])
        after = pages[-1][-1]

    assert pages == [[an_id(0), an_id(1)], [an_id(4), an_id(5)], [an_id(8), an_id(9)]]


async def test_no_ended_execution_is_open(seven):
    """Asked for all states, it answers with the open ones."""
    found = await seven.open_executions(STATES, after=0, limit=100)

    assert [one.execution.state for one in found] == STATES[:3]


async def test_what_runs_now_is_of_this_boot(store):
    """A change of state belongs to the present boot, so it was not cut off."""
    await stored(store, started(ONE, State.QUEUED, epoch=-1), started(TWO, epoch=-1))
    await stored(store, Write(changes=[Change(ONE, State.RUNNING)]))

    found = await store.open_executions([State.RUNNING], after=0, limit=9, older_epoch=True)

    assert [one.execution.id for one in found] == [TWO]


async def test_load_leaves_unknown_ids_out(seven):
    """Ended executions too, each once, in order of id."""
    found = await seven.load([an_id(6), an_id(99), an_id(3), an_id(3)])

    assert [one.execution.id for one in found] == [an_id(3), an_id(6)]


async def test_load_reads_many(store):
    """More ids than one statement takes."""
    for number in range(1100):
        store.submit(started(an_id(number)))
    await stored(store, Write())

    found = await store.load([an_id(number) for number in range(1100)])

    assert [one.execution.id for one in found] == [an_id(number) for number in range(1100)]


async def test_backlog_is_what_is_queued(store):
    """Ids and keys of a flow's queued executions, a page at a time."""
    for number in range(4):
        store.submit(started(an_id(number), State.QUEUED, key=f"k{number}"))
    await stored(store, started(an_id(4)), started(an_id(5), State.QUEUED, flow="other"))

    first = await store.backlog("orders", after=0, limit=2)
    second = await store.backlog("orders", after=first[-1][0], limit=9)

    assert first == [(an_id(0), "k0"), (an_id(1), "k1")]
    assert second == [(an_id(2), "k2"), (an_id(3), "k3")]


async def test_open_keys_are_of_running_and_waiting(seven):
    """Queued and ended executions hold no key."""
    assert await seven.open_keys("a") == [(an_id(2), "k2", State.WAITING)]
    assert await seven.open_keys("b") == [(an_id(1), "k1", State.RUNNING)]


async def test_held_keys_are_of_failures_that_nobody_looked_after(store):
    """A dead letter that is retried or dropped holds no key, nor does an execution that is ok."""
    for number in (1, 2, 3):
        letter = Dead(
            id=number,
            kind="failed",
            flow="orders",
            event=an_id(number),
            execution=an_id(number),
            reason="",
            created_ms=0,
        )
        store.submit(started(an_id(number), State.FAILED, key=f"k{number}"))
        store.submit(Write(dead=[letter]))
    await stored(store, started(an_id(4), State.OK, key="k4"), Write(hidden=[2]))

    assert await store.held_keys("orders") == [(an_id(1), "k1"), (an_id(3), "k3")]
    assert await store.held_keys("other") == []


async def test_open_counts_are_by_flow_and_state(seven):
    """Flows without open executions are not named."""
    await stored(seven, started(an_id(9), State.QUEUED, flow="a"), started(an_id(10), flow="c"))

    assert await seven.open_counts() == {
        "a": {State.QUEUED: 2, State.WAITING: 1},
        "b": {State.RUNNING: 1},
        "c": {State.RUNNING: 1},
    }


async def test_due_is_earliest_first(store):
    """By time, then id; at the time itself too; without a time never."""
    for number, due_ms in enumerate([30, 10, 20, 10, 21, None]):
        store.submit(started(an_id(number), State.WAITING, due_ms=due_ms))
    await stored(store, started(an_id(9), State.RUNNING, due_ms=1))

    found = await store.due(20, limit=9)

    assert found == [(10, an_id(1)), (10, an_id(3)), (20, an_id(2))]
    assert await store.due(20, limit=1) == found[:1]
    assert await store.next_due() == 10


async def test_nothing_is_due_in_an_empty_store(store):
    """No waiting execution, no time."""
    assert await store.next_due() is None
    assert await store.due(1 << 60, limit=9) == []


async def test_history_is_newest_first(seven):
    """All executions from the last to the first, and by a cursor on from there."""
    first = await seven.history.executions(Query(limit=4))
    second = await seven.history.executions(Query(before=first[-1].id))

    assert [one.id for one in first + second] == [an_id(number) for number in range(6, -1, -1)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (Query(flow="a"), [6, 4, 2, 0]),
        (Query(flow="a", limit=3), [6, 4, 2]),
        (Query(flow="a", before=an_id(4)), [2, 0]),
        (Query(flow="c"), []),
        (Query(states=(State.FAILED,)), [4]),
        (Query(states=(State.OK, State.QUEUED)), [3, 0]),
        (Query(flow="b", states=(State.OK, State.FAILED)), [3]),
        (Query(event=an_id(5)), [5]),
        (Query(event=an_id(5), flow="a"), []),
        (Query(event=an_id(5), states=(State.CANCELLED,)), [5]),
        (Query(since_ms=START_MS), [6, 5, 4, 3, 2, 1, 0]),
        (Query(since_ms=START_MS + 1), []),
    ],
)
async def test_history_answers_queries(seven, query, numbers):
    """Conditions hold together; limits and cursors count after them."""
    found = await seven.history.executions(query)

    assert [one.id for one in found] == [an_id(number) for number in numbers]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (Query(limit=2), [6, 5]),
        (Query(flow="a", before=an_id(6)), [4, 2, 0]),
        (Query(states=(State.OK, State.FAILED)), [4, 3]),
        (Query(event=an_id(3)), [3]),
        (Query(since_ms=START_MS + 1), []),
    ],
)
async def test_events_are_listed(seven, query, numbers):
    """Newest first; by the flows and states of their executions."""
    found = await seven.history.events(query)

    assert [event.id for event in found] == [an_id(number) for number in numbers]


async def test_an_unknown_id_is_none(store):
    """Nothing is made up."""
    history = store.history

    assert await history.execution(ONE) is None
    assert await history.event(ONE) is None
    assert await history.unwanted(ONE) is None
    assert await history.dead_letter(ONE) is None


async def test_an_execution_without_its_event_can_be_shown(store):
    """A row whose event was never stored has an empty one with its id."""
    await stored(store, Write(executions=[NewExecution(an_execution(TWO, event=ONE), ())]))

    found = await store.history.execution(TWO)

    assert (found.event.id, found.event.data) == (ONE, None)


async def test_dead_letters_are_hidden_not_lost(store):
    """A dropped letter is not listed; by its id it is still there."""
    letters = [
        Dead(
            id=id_,
            kind="failed",
            flow=flow,
            event=ONE,
            execution=TWO,
            reason="no",
            created_ms=START_MS,
        )
        for id_, flow in ((ONE, "a"), (TWO, "b"), (THREE, "a"))
    ]
    await stored(store, Write(dead=letters))

    await stored(store, Write(hidden=[ONE]))

    assert await store.history.dead(Query()) == [letters[2], letters[1]]
    assert await store.history.dead(Query(flow="a")) == [letters[2]]
    assert (await store.history.dead_letter(ONE)).hidden


async def test_unwanted_events_are_a_ring(store):
    """The last few stay (three here), with what stopped each flow."""
    events = [an_event(an_id(number), {"n": number}) for number in range(5)]

    await stored(store, Write(unwanted=[Unwanted(event, {"a": "no"}) for event in events[:3]]))
    await stored(store, Write(unwanted=[Unwanted(event, {"a": "no"}) for event in events[3:]]))

    kept = [await store.history.unwanted(event.id) for event in events]
    assert kept[:2] == [None, None]
    assert kept[2:] == [Unwanted(event, {"a": "no"}) for event in events[2:]]
    assert await store.history.event(events[4].id) == events[4]


async def test_sizes_count_rows(seven):
    """Rows by table, and the bytes on disk."""
    sizes = await seven.history.sizes()

    assert (sizes["events"], sizes["executions"], sizes["dead"]) == (7, 7, 0)
    assert sizes["bytes"] > 0
