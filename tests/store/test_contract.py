"""What every store keeps to, whatever is under it: writing."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from reactor.model.event import Started
from reactor.model.execution import Entry, Failure, State
from reactor.store import (
    Change,
    End,
    FlowFile,
    Identity,
    NewExecution,
    Record,
    StateValue,
    Version,
    Write,
    place_name,
)
from tests.store.made import an_entry, an_event, an_execution, an_id, started, stored

ONE, TWO, THREE, FOUR = (an_id(number) for number in range(1, 5))


async def test_done_is_called_in_order_of_submission(store):
    """Whoever submitted first hears first, over all commits."""
    heard: list[int] = []
    all_heard = asyncio.Event()

    for number in range(500):
        store.submit(started(an_id(number)), lambda number=number: heard.append(number))
    store.submit(Write(), all_heard.set)
    await asyncio.wait_for(all_heard.wait(), 10)

    assert heard == list(range(500))


async def test_done_comes_after_submit_returned(store):
    """Nothing is called back from inside submit."""
    heard: list[str] = []
    stored_ = asyncio.Event()

    store.submit(started(ONE), lambda: heard.append("done"))
    store.submit(Write(), stored_.set)
    heard.append("submitted")
    await asyncio.wait_for(stored_.wait(), 10)

    assert heard == ["submitted", "done"]


async def test_a_done_that_fails_does_not_stop_the_others(store, caplog):
    """One waiter's mistake is logged; those behind it still hear of their commit."""
    store.submit(started(ONE), lambda: 1 / 0)

    await stored(store, started(TWO))

    assert "a callback after a commit failed" in caplog.text


async def test_an_execution_is_read_back_as_written(store):
    """Row, event and journal come back equal, rare columns included."""
    error = Failure(step="pay", kind="http", message="no", status=500, output={"a": [1]})
    execution = an_execution(
        TWO,
        State.FAILED,
        root=ONE,
        event=ONE,
        key="k",
        reason="bisected",
        crashes=2,
        depth=3,
        retry_of=ONE,
        parent=ONE,
        error=error,
    )
    event = an_event(ONE, type="created", key="k", depth=3)
    journal = (an_entry("do.0", {"output": "x"}), Entry("", "phase", {"name": "finally"}))

    await stored(store, Write(events=[event], executions=[NewExecution(execution, journal)]))

    (found,) = await store.load([TWO])
    assert (found.execution, found.event, found.journal) == (execution, event, journal)


@pytest.mark.parametrize(
    "value",
    [
        b"\x00\xff",
        10**30,
        -(10**30),
        {"deep": [10**30, None, 1.5]},
        datetime(2024, 2, 29, tzinfo=UTC),
        {"": "", "ключ": "値"},
    ],
)
async def test_values_survive(store, value):
    """Bytes stay bytes, instants stay instants, numbers of any size stay themselves."""
    await stored(store, Write(events=[an_event(ONE, value, fields={"body": value})]))

    event = await store.history.event(ONE)
    assert (event.data, event.fields) == (value, {"body": value})


async def test_what_cannot_be_stored_says_so_in_its_place(store):
    """A value of a foreign class is a text in the stored event; its neighbours stay."""
    data = {"a": 1, "b": object(), "c": "\ud800", "d": 10**20}

    await stored(store, Write(events=[an_event(ONE, data)]), started(TWO))

    event = await store.history.event(ONE)
    assert event.data == {
        "a": 1,
        "b": "cannot be stored: a value of type object",
        "c": "\\ud800",
        "d": 10**20,
    }


async def test_a_value_that_contains_itself_is_a_stored_error(store):
    """A cycle costs its own value, not the commit."""
    endless: list[Any] = []
    endless.append(endless)

    await stored(store, started(ONE), Write(records=[Record(ONE, (an_entry("do.0", endless),))]))

    (found,) = await store.load([ONE])
    assert found.journal[1].path == "do.0"
    assert "cannot be stored" in str(found.journal[1].value)


async def test_columns_take_any_text_and_number(store):
    """Text that is not Unicode and a number beyond 64 bits do not stop a commit."""
    bad = an_event(ONE, key="k\udcff", time_ms=10**30)

    await stored(store, Write(events=[bad]), started(TWO))

    event = await store.history.event(ONE)
    assert (event.key, event.time_ms) == ("k\\udcff", (1 << 63) - 1)


async def test_an_unencodable_error_is_kept(store):
    """An execution fails with its message even if what the step returned cannot be stored."""
    error = Failure(step="a", kind="type", message="bad \ud800", output=object())
    await stored(store, started(ONE))

    await stored(store, Write(ends=[End(ONE, State.FAILED, 1, 2, (), error=error)]))

    (found,) = await store.load([ONE])
    assert found.execution.error == Failure(
        step="a",
        kind="type",
        message="bad \\ud800",
        output="cannot be stored: a value of type object",
    )


async def test_records_follow_the_journal(store):
    """An open execution's journal is what it was inserted with, then each record in order."""
    await stored(store, started(ONE))
    for path in ("do.0", "do.1"):
        store.submit(Write(records=[Record(ONE, (an_entry(path),))]))
    await stored(store, Write(records=[Record(ONE, (an_entry("do.2"), an_entry("do.3")))]))

    (found,) = await store.load([ONE])

    assert [entry.path for entry in found.journal] == ["vars", "do.0", "do.1", "do.2", "do.3"]


async def test_an_end_replaces_the_records(store):
    """An ended execution has the journal of its end and nothing beside it."""
    await stored(store, started(ONE), Write(records=[Record(ONE, (an_entry("do.0"),))]))

    await stored(store, Write(ends=[End(ONE, State.OK, 1, 2, (an_entry("all"),), "r")]))

    (found,) = await store.load([ONE])
    assert [entry.path for entry in found.journal] == ["all"]
    assert found.execution == replace(
        an_execution(ONE, State.OK), started_ms=1, finished_ms=2, reason="r"
    )
    assert (await store.history.sizes())["steps"] == 0


async def test_one_write_applies_in_the_order_of_its_fields(store):
    """Inserted, recorded, changed and ended in one Write is ended."""
    write = started(ONE, State.QUEUED)
    write.records = [Record(ONE, (an_entry("do.0"),))]
    write.changes = [Change(ONE, State.RUNNING)]
    write.ends = [End(ONE, State.OK, 5, 6, (an_entry("all"),))]

    await stored(store, write)

    (found,) = await store.load([ONE])
    assert (found.execution.state, len(found.journal)) == (State.OK, 1)


async def test_terminal_rows_never_change(store):
    """Nothing moves an ended execution: no change, no record, no other end."""
    await stored(store, started(ONE), Write(ends=[End(ONE, State.OK, 1, 2, (an_entry("all"),))]))
    before = await store.load([ONE])

    await stored(
        store,
        Write(changes=[Change(ONE, State.RUNNING, crashes=9)]),
        Write(records=[Record(ONE, (an_entry("late"),))]),
        Write(ends=[End(ONE, State.FAILED, 1, 3, ())]),
    )

    assert await store.load([ONE]) == before
    assert (await store.history.sizes())["steps"] == 0


async def test_of_two_ends_in_one_commit_the_first_counts(store):
    """It makes no difference whether two ends meet in one commit."""
    store.submit(started(ONE))
    store.submit(Write(ends=[End(ONE, State.CANCELLED, 1, 2, ())]))

    await stored(store, Write(ends=[End(ONE, State.OK, 1, 3, ())]))

    (found,) = await store.load([ONE])
    assert found.execution.state is State.CANCELLED


async def test_changes_meet_in_one_commit(store):
    """The last state counts; what a change leaves alone comes from the one before."""
    store.submit(started(ONE, State.QUEUED))
    store.submit(Write(changes=[Change(ONE, State.RUNNING, started_ms=7, crashes=2)]))

    await stored(store, Write(changes=[Change(ONE, State.WAITING, due_ms=9, reason="retry")]))

    (found,) = await store.load([ONE])
    row = found.execution
    assert (row.state, row.due_ms, row.reason) == (State.WAITING, 9, "retry")
    assert (row.started_ms, row.crashes) == (7, 2)


async def test_identities_are_known_after_their_commit(store):
    """A name is found with its event, executions and digest; others are None."""
    name = Identity("http:/orders", "7", ONE, (Started("orders", ONE),), b"digest", None)
    await stored(store, Write(identities=[name]))
    found: list[Any] = []

    store.known([("http:/orders", "8"), ("http:/orders", "7"), ("other", "7")], found.extend)

    assert found == [None, name, None]


async def test_identities_run_out(store, clock):
    """An identity is known until its time, not at it."""
    until = clock.ms + 10
    await stored(store, Write(identities=[Identity("s", "7", ONE, (), None, until)]))
    found: list[Any] = []

    clock.ms = until - 1
    store.known([("s", "7")], found.extend)
    clock.ms = until
    store.known([("s", "7")], found.extend)

    assert [identity is None for identity in found] == [False, True]


async def test_an_identity_that_is_not_unicode_is_known(store):
    """What was stored under a name of any bytes is found by it."""
    await stored(store, Write(identities=[Identity("s", "\udcff", ONE, (), None, None)]))
    found: list[Any] = []

    store.known([("s", "\udcff")], found.extend)

    assert found[0].event == ONE


async def test_places_are_the_positions_of_one_instance(store):
    """Each by its name; those of other instances and the instance's own position are no places."""
    rows = [("k", 1), (place_name("k", "a/b"), [1]), (place_name("k", ""), 2), ("k2", 3)]
    rows += [(place_name("k2", "a"), 4), (place_name("k", "gone"), 5)]
    await stored(store, Write(positions=rows))
    await stored(store, Write(positions=[(place_name("k", "gone"), None)]))

    assert await store.places("k") == {"a/b": [1], "": 2}
    assert await store.places("l") == {}
    assert await store.position("k") == 1


async def test_positions_are_the_last_ones(store):
    """Of many positions the last submitted stays, moved by hand or not."""
    store.submit(Write(positions=[("k", {"0": 1}), ("k", {"0": 2}), ("l", 1)]))
    await stored(store, Write(positions=[("k", {"0": 3})]))

    await store.set_position("l", None)

    assert await store.position("k") == {"0": 3}
    assert await store.position("l") is None


async def test_state_values_live_until_their_time(store, clock):
    """None deletes; a value past its time is not there; the last one counts."""
    await stored(store, Write(states=[StateValue("a", "", 1), StateValue("b", "k", 1)]))

    await stored(
        store,
        Write(states=[StateValue("a", "", 2), StateValue("b", "k", None)]),
        Write(states=[StateValue("c", "", 3, clock.ms), StateValue("d", "", 4, clock.ms + 1)]),
    )

    found = {value.name: value.value for value in await store.state_values()}
    assert found == {"a": 2, "d": 4}


async def test_versions_are_kept_once(store):
    """By hash, or all that open executions are pinned to; the first text of a hash stays."""
    one, two = Version("v1", "orders", {"do": [1]}), Version("v2", "orders", {"do": [2]})
    await stored(store, Write(versions=[one, two]), started(ONE), started(TWO, State.OK))

    await stored(store, Write(versions=[Version("v1", "orders", {})]))

    assert await store.versions() == [one]
    assert await store.versions(["v2", "v3"]) == [two]


async def test_flow_files_are_the_last_good_texts(store):
    """A file without text is gone."""
    await stored(store, Write(files=[FlowFile("a.yaml", "1"), FlowFile("b.yaml", "1")]))

    await stored(store, Write(files=[FlowFile("a.yaml", "2"), FlowFile("b.yaml", None)]))

    assert await store.files() == [FlowFile("a.yaml", "2")]


async def test_meta_is_kept_by_key(store):
    """Small values come back; None forgets one."""
    await stored(store, Write(meta=[("paused", ["orders"]), ("other", 1)]))

    await stored(store, Write(meta=[("other", None)]))

    assert await store.meta("paused") == ["orders"]
    assert await store.meta("other") is None


async def test_pressure_counts_what_waits(store):
    """Rows count from submit until their commit is answered."""
    done = asyncio.Event()

    store.submit(started(ONE), done.set)
    waiting = store.pressure()
    await asyncio.wait_for(done.wait(), 10)
    after = store.pressure()

    assert (waiting.rows, after.rows, after.bytes) == (2, 0, 0)
    assert waiting.bytes > 0
    assert after.store_bytes > 0


async def test_last_id_is_of_what_was_there_at_the_start(store):
    """An empty store has seen no id, and counts this as its first boot."""
    assert (store.last_id, store.epoch) == (0, 1)
