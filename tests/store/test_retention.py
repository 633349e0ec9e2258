"""What every store lets go, and what it keeps."""

from typing import Any

from reactor.model.execution import State
from reactor.store import Dead, Identity, Query, StateValue, Store, Version, Write
from reactor.store.sqlite import SqliteStore, open_sqlite
from tests.store.made import DAY_MS, START_MS, an_event, an_id, refuse, started, stored

OLD = START_MS - 10 * DAY_MS
WEEK = {"": START_MS - 7 * DAY_MS}
MONTH = {"": START_MS - 30 * DAY_MS}


async def prune_all(store: Store, ok: Any = WEEK, failed: Any = MONTH) -> int:
    """Prune until nothing goes any more; how many rows went."""
    total = 0
    while count := await store.prune(ok_before=ok, failed_before=failed, now_ms=START_MS):
        assert count <= 1000
        total += count
    return total


async def kept(store: SqliteStore) -> list[int]:
    """The executions that are there, oldest first."""
    return [one.id for one in reversed(await store.history.executions(Query(limit=9999)))]


async def test_each_end_has_its_time(store):
    """After ten days what was ok is gone and what failed is there; so is what is open."""
    for number, state in enumerate(State):
        store.submit(started(an_id(number, OLD), state))
    await stored(store, started(an_id(9), State.OK))

    await prune_all(store)

    open_or_failed = [an_id(number, OLD) for number in (0, 1, 2, 4)]
    assert await kept(store) == [*open_or_failed, an_id(9)]
    events = await store.history.events(Query())
    assert [event.id for event in reversed(events)] == [*open_or_failed, an_id(9)]


async def test_a_flow_may_have_its_own_time(store):
    """A limit under the flow's name stands before the common one."""
    await stored(
        store,
        started(an_id(1, OLD), State.OK, flow="kept"),
        started(an_id(2, OLD), State.OK, flow="other"),
    )

    await prune_all(store, ok={**WEEK, "kept": OLD})

    assert await kept(store) == [an_id(1, OLD)]


async def test_the_end_counts_not_the_start(store):
    """An execution that waited for weeks and ended today stays."""
    await stored(store, started(an_id(1, OLD), State.OK, finished_ms=START_MS))

    await prune_all(store)

    assert await kept(store) == [an_id(1, OLD)]


async def test_an_event_lives_as_long_as_an_execution_of_it(store):
    """An event with a failed and an ok execution stays until both are gone."""
    event = an_id(1, OLD)
    await stored(store, started(an_id(1, OLD), State.OK))
    write = started(an_id(2, OLD), State.FAILED, event=event)
    write.events = []
    await stored(store, write)

    await prune_all(store)
    after_week = await store.history.event(event)
    await prune_all(store, failed=WEEK)

    assert after_week is not None
    assert await store.history.event(event) is None


async def test_an_event_that_only_moved_a_gate_goes(store):
    """An event without executions stays for the longer of the two times."""
    await stored(store, Write(events=[an_event(an_id(1, OLD)), an_event(an_id(2))]))

    await prune_all(store)
    after_week = await store.history.events(Query())
    await prune_all(store, failed=WEEK)

    assert len(after_week) == 2
    assert [event.id for event in await store.history.events(Query())] == [an_id(2)]


async def test_dead_letters_go_with_what_they_are_about(store):
    """With their execution; those of events by the time for failures, and their event after."""
    await stored(store, started(an_id(1, OLD), State.FAILED))
    letters = [dead(1, an_id(1, OLD), an_id(1, OLD)), dead(2, an_id(3, OLD), None)]
    await stored(store, Write(events=[an_event(an_id(3, OLD))], dead=letters))

    await prune_all(store)
    after_week = await store.history.dead(Query())
    await prune_all(store, failed=WEEK)

    assert len(after_week) == 2
    assert await store.history.dead(Query()) == []
    assert await store.history.events(Query()) == []


async def test_identities_and_state_go_when_they_run_out(store):
    """Rows past their time are deleted whatever the history keeps; others never."""
    until = [START_MS, START_MS + 1, None]
    await stored(
        store,
        Write(
            identities=[Identity("s", str(at), 1, (), None, at) for at in until],
            states=[StateValue("a", str(at), 1, at) for at in until],
        ),
    )

    gone = await prune_all(store)

    sizes = await store.history.sizes()
    assert (gone, sizes["identities"], sizes["state"]) == (2, 2, 2)


async def test_a_chunk_is_bounded(store):
    """One call deletes at most 500 rows of history."""
    for number in range(600):
        store.submit(started(an_id(number, OLD), State.OK))
    await stored(store, Write())

    counts = [
        await store.prune(ok_before=WEEK, failed_before=MONTH, now_ms=START_MS) for _ in range(4)
    ]

    assert counts == [500, 500, 200, 0]


async def test_shrink_deletes_the_oldest_ended(store):
    """Too large a store loses its oldest history, never what is open; small enough: nothing."""
    for number in range(400):
        store.submit(started(an_id(number), State.RUNNING if number == 0 else State.OK))
    await stored(store, Write())

    unneeded = await store.shrink(1 << 40)
    gone = await store.shrink(0)

    assert (unneeded, gone) == (0, 500)
    assert await kept(store) == [an_id(0), *(an_id(number) for number in range(251, 400))]


async def test_versions_go_after_their_last_execution(tmp_path, clock):
    """A version that nothing refers to and that was not submitted since the boot is deleted."""
    versions = [Version(name, "orders", {}) for name in ("v1", "v2", "v3")]
    store = await open_sqlite(tmp_path, on_failure=refuse, clock=clock, threads=False)
    await stored(store, Write(versions=versions), started(an_id(1, OLD), State.OK, version="v1"))
    await stored(store, started(an_id(2, OLD), State.FAILED, version="v2"))
    await stored(store, started(an_id(3, OLD), State.OK, version="v3"))
    await prune_all(store, ok={})
    await store.close(clean=True)
    store = await open_sqlite(tmp_path, on_failure=refuse, clock=clock, threads=False)
    await stored(store, Write(versions=versions[2:]))

    await prune_all(store)

    left = await store.versions(["v1", "v2", "v3"])
    await store.close(clean=True)
    assert left == versions[1:]


def dead(number: int, event: int, execution: int | None) -> Dead:
    """A dead letter of an execution or of an event."""
    return Dead(
        id=an_id(number, OLD),
        kind="decode" if execution is None else "failed",
        flow=None,
        event=event,
        execution=execution,
        reason="no",
        created_ms=OLD,
    )
