"""What is waited for, and what was heard: rows that come, are found and go."""

from reactor.model.execution import State
from reactor.store import End, Version, Write
from reactor.store.hearing import Heard, Wait
from tests.store.made import START_MS, an_event, an_id, started, stored

NAME, OTHER = "orders\tabc", "orders\tdef"


async def test_who_waits_is_found_by_name_and_key(store):
    """Two steps of an execution are one; who does not wait any more is not found."""
    one, two = an_id(1), an_id(2)
    waits = [Wait(NAME, "[1]", one, "do.0"), Wait(NAME, "[1]", one, "do.1")]
    await stored(store, Write(waits=[*waits, Wait(NAME, "[1]", two, "do.0")]))

    before = store.ears.waiting(NAME, "[1]")
    await stored(store, Write(unwaits=waits))

    assert before == [one, two]
    assert store.ears.waiting(NAME, "[1]") == [two]
    assert store.ears.waiting(NAME, "[2]") == store.ears.waiting(OTHER, "[1]") == []


async def test_waits_of_a_kind_are_listed_over_all_flows(store):
    """In order of their executions."""
    first = Wait("b\tapproval", "k", an_id(1), "do.0")
    second = Wait("a\tapproval", "k", an_id(2), "do.0")
    await stored(store, Write(waits=[second, first, Wait(NAME, "k", an_id(1), "do.1")]))

    assert await store.ears.waits("approval") == [first, second]


async def test_what_was_heard_comes_in_order_and_in_pages(store):
    """Later than an id, under one name and key."""
    ids = [an_id(number) for number in range(1, 5)]
    write = Write(events=[an_event(id_) for id_ in ids])
    write.heard = [Heard(NAME, "[1]", id_) for id_ in reversed(ids[:3])]
    write.heard.append(Heard(NAME, "[2]", ids[3]))
    await stored(store, write)

    found = await store.ears.heard(NAME, "[1]", after=ids[0], limit=1)

    assert [event.id for event in found] == [ids[1]]
    assert [e.id for e in await store.ears.heard(NAME, "[1]", after=0, limit=9)] == ids[:3]


async def test_what_was_heard_lives_as_long_as_an_execution_of_the_flow_is_open(store):
    """The event stays for an old open execution and goes with its end."""
    old = START_MS - 40 * 86_400_000
    execution, event = an_id(1, old), an_id(2, old)
    await stored(store, started(execution, State.WAITING))
    await stored(store, Write(events=[an_event(event)], heard=[Heard(NAME, "[1]", event)]))
    limits = {"": START_MS - 30 * 86_400_000}

    async def prune() -> None:
        while await store.prune(ok_before=limits, failed_before=limits, now_ms=START_MS):
            pass

    await prune()
    kept = await store.history.event(event)
    await stored(store, Write(ends=[End(execution, State.OK, old, START_MS, ())]))
    await prune()

    assert kept is not None
    assert await store.history.event(event) is None
    assert await store.ears.heard(NAME, "[1]", after=0, limit=9) == []


async def test_versions_that_wait_are_known_while_something_of_them_is_open(store):
    """A version whose document waits for events, with an open execution."""
    waiting = {"do": [{"wait": {"when": {"event": {"type": "x"}}}}]}
    versions = [Version("v1", "orders", waiting), Version("v2", "orders", {"do": [{"log": "x"}]})]
    await stored(store, Write(versions=versions), started(an_id(1), State.WAITING))
    await stored(store, started(an_id(2), State.WAITING, version="v2"))

    pinned, is_open = await store.ears.pinned(), await store.ears.any_open("orders")
    await stored(store, Write(ends=[End(an_id(1), State.OK, START_MS, START_MS, ())]))

    assert (pinned, is_open) == (["v1"], True)
    assert await store.ears.pinned() == []
    assert await store.ears.any_open("other") is False
