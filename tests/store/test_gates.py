"""What every store keeps of gates: rows by name, due times, held events, what executions took."""

from typing import Any

import pytest

from reactor.model.execution import State
from reactor.store import NewExecution, Query, Write
from reactor.store.gated import GateRow, Held, Judged, Taken
from tests.store.made import START_MS, an_event, an_execution, an_id, started, stored

ONE, TWO, THREE, FOUR = (an_id(number) for number in range(1, 5))
DAY_MS = 86_400_000


def a_row(key: str = "a", state: Any = None, **values: Any) -> GateRow:
    """A row of one gate."""
    kept = {"count": 1} if state is None else state
    return GateRow("orders", "http", "batch", key, kept, **values)


async def found(store: Any, *keys: str) -> list[GateRow | None]:
    """The rows of these keys."""
    answers: list[list[GateRow | None]] = []
    store.gates.find([("orders", "http", "batch", key) for key in keys], answers.append)
    return answers[0]


async def test_a_row_is_found_by_its_name(store):
    """What was written last is found; what nobody wrote is not."""
    rows = Write(gates=[a_row(state={"n": 1}), a_row(state={"n": 2}, due_ms=5, event=ONE)])
    await stored(store, rows)

    assert await found(store, "a", "b") == [a_row(state={"n": 2}, due_ms=5, event=ONE), None]


async def test_a_row_without_state_is_gone(store):
    """State None deletes."""
    await stored(store, Write(gates=[a_row()]))

    await stored(store, Write(gates=[GateRow("orders", "http", "batch", "a", None)]))

    assert await found(store, "a") == [None]


async def test_keys_may_hold_any_text(store):
    """Text that is not Unicode is a key too."""
    await stored(store, Write(gates=[a_row("k\udcff")]))

    (row,) = await found(store, "k\udcff")
    assert row is not None
    assert row.state == {"count": 1}


async def test_due_rows_come_in_order_without_those_of_frozen_flows(store):
    """Earliest first, as many as asked for."""
    other = GateRow("frozen", "http", "batch", "", {}, 1)
    rows = [a_row("a", due_ms=30), a_row("b", due_ms=10), a_row("c"), a_row("d", due_ms=99), other]
    await stored(store, Write(gates=rows))

    due = await store.gates.due(50, frozen=["frozen"], limit=9)

    assert [(due_ms, name[3]) for due_ms, name in due] == [(10, "b"), (30, "a")]
    assert await store.gates.due(50, limit=1) == [(1, other.name)]


async def test_gates_are_listed_by_kind_and_key(store):
    """A reload looks for what is not there any more."""
    rows = [a_row(key) for key in "cab"]
    await stored(store, Write(gates=[*rows, GateRow("orders", "http", "debounce", "x", {})]))

    assert await store.gates.kinds() == [
        ("orders", "http", "batch"),
        ("orders", "http", "debounce"),
    ]
    page = await store.gates.rows(("orders", "http", "batch"), after="a", limit=9)
    assert [row.key for row in page] == ["b", "c"]


async def test_an_execution_comes_with_the_events_it_took(store):
    """Its part of the group in order, with names and facts."""
    events = [an_event(id_) for id_ in (ONE, TWO, THREE)]
    held = [Held(FOUR, place, event.id, f"n{place}") for place, event in enumerate(events)]
    taken = Taken(THREE, FOUR, 1, 2, {"many": "list"})
    row = NewExecution(an_execution(THREE, State.QUEUED), ())

    await stored(store, Write(events=events, held=held, executions=[row], taken=[taken]))

    (opened,) = await store.load([THREE])
    assert opened.taken == taken
    assert opened.gathered == (("n1", events[1]), ("n2", events[2]))


async def test_let_go_events_are_not_held(store):
    """One place, or the whole group."""
    held = [Held(ONE, place, FOUR) for place in range(3)] + [Held(TWO, 0, FOUR)]
    await stored(store, Write(events=[an_event(FOUR)], held=held))

    await stored(store, Write(let_go=[(ONE, 1), (TWO, None)]))

    assert [one.place for one in await store.gates.held(ONE)] == [0, 2]
    assert await store.gates.held(TWO) == []


@pytest.mark.parametrize("by", ["row", "group", "execution"])
async def test_events_that_gates_need_are_not_pruned(store, by, clock):
    """An event lives as long as a gate or an execution refers to it, and goes with them."""
    needs = {
        "row": Write(gates=[a_row(event=ONE)]),
        "group": Write(held=[Held(FOUR, 0, ONE)]),
        "execution": Write(
            events=[an_event(TWO)],
            executions=[NewExecution(an_execution(TWO, State.QUEUED), ())],
            held=[Held(FOUR, 0, ONE)],
            taken=[Taken(TWO, FOUR, 0, 0, {})],
        ),
    }
    await stored(store, Write(events=[an_event(ONE)]), needs[by])
    limits = {"": START_MS + DAY_MS}

    for _ in range(3):
        await store.prune(ok_before=limits, failed_before=limits, now_ms=START_MS + DAY_MS)

    assert await store.history.event(ONE) is not None


async def test_a_group_goes_with_the_last_execution_that_took_of_it(store):
    """Two halves of a batch share its events."""
    events = [an_event(id_) for id_ in (ONE, TWO)]
    held = [Held(FOUR, place, event.id) for place, event in enumerate(events)]
    rows = [NewExecution(an_execution(id_, State.OK), ()) for id_ in (ONE, TWO)]
    taken = [Taken(ONE, FOUR, 0, 0, {}), Taken(TWO, FOUR, 1, 1, {})]
    await stored(store, Write(events=events, held=held, executions=rows, taken=taken))
    limits = {"": START_MS + DAY_MS}

    for _ in range(4):
        await store.prune(ok_before=limits, failed_before=limits, now_ms=START_MS + DAY_MS)

    assert await store.gates.held(FOUR) == []
    assert await store.history.events(Query()) == []


async def test_what_gates_said_is_kept_with_the_event(store):
    """The last word of each trigger."""
    first = Judged(ONE, "orders", "http", "held", "batch: 1 of 5")
    last = Judged(ONE, "orders", "http", "stopped", "join: nothing met it within 1h")
    await stored(store, Write(events=[an_event(ONE)], judged=[first]), Write(judged=[last]))

    assert await store.history.judged(ONE) == [last]


async def test_executions_of_an_event_are_also_those_that_took_it_in_a_group(store):
    """`reactor why` finds where an event went."""
    write = started(TWO)
    write.events.append(an_event(ONE))
    write.held.append(Held(FOUR, 0, ONE))
    write.taken.append(Taken(TWO, FOUR, 0, 0, {}))
    await stored(store, write)

    assert [row.id for row in await store.history.executions(Query(event=ONE))] == [TWO]


async def test_a_queued_execution_with_a_time_is_due_and_not_in_the_backlog(store):
    """What a throttle delays starts neither before its time nor after a restart."""
    later = an_execution(ONE, State.QUEUED, due_ms=50, reason="throttled")
    now = an_execution(TWO, State.QUEUED)
    events = [an_event(ONE), an_event(TWO)]
    rows = [NewExecution(later, ()), NewExecution(now, ())]
    await stored(store, Write(events=events, executions=rows))

    assert await store.backlog("orders", after=0, limit=9) == [(TWO, None)]
    assert await store.due(60, limit=9) == [(50, ONE)]
    assert await store.delayed("orders") == [(ONE, 50)]
    assert await store.next_due() == 50
