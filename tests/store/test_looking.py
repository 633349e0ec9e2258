"""A store read from outside, beside the daemon or without one."""

import pytest

from reactor.errors import NotFound
from reactor.model.event import Received
from reactor.store import Query
from reactor.store.looking import look
from reactor.store.sqlite import open_sqlite
from reactor.testing import HandClock, World

FLOW = """\
flow: count
when: {event: {type: go}, only_if: event.data > 1}
do: [set: {last: "${{ event.data }}"}]
"""


def refuse(error):
    raise AssertionError(error)


async def live(folder, *values):
    """A store with a flow that took these values, still open."""
    clock = HandClock()
    store = await open_sqlite(folder, on_failure=refuse, clock=clock, threads=False)
    async with World(FLOW, store=store, clock=clock) as world:
        for value in values:
            await world.offer("event", Received(type="go", data=value))
    return store


async def test_what_is_stored_is_read_while_the_store_is_open(tmp_path):
    """Nothing needs the lock: events, what no flow wanted, state, flow versions."""
    store = await live(tmp_path, 1, 2, 3)

    with look(tmp_path) as stored:
        events = await stored.history.events(Query())
        unwanted = await stored.unwanted(Query())
        state = await stored.state_values(0)
        runs = await stored.history.executions(Query())
        versions = await stored.versions([runs[0].version])
    await store.close(clean=True)

    assert [event.data for event in events] == [3, 2]
    assert [row.stopped for row in unwanted] == [{"count": "only_if: event.data > 1"}]
    assert [(value.name, value.value) for value in state] == [("last", 3)]
    assert [version.flow for version in versions] == ["count"]


async def test_it_is_read_when_nobody_has_it_open(tmp_path):
    """The same after a clean stop."""
    store = await live(tmp_path, 2)
    await store.close(clean=True)

    with look(tmp_path) as stored:
        assert [event.data for event in await stored.history.events(Query())] == [2]


def test_a_folder_without_a_store_says_so(tmp_path):
    """There is nothing to read, and nothing is made."""
    with pytest.raises(NotFound, match="name the state folder with --state"), look(tmp_path):
        pass

    assert list(tmp_path.iterdir()) == []
