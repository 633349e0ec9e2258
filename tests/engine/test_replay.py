"""Stored events offered anew to one flow."""

import pytest

from reactor.engine import again
from reactor.errors import NotFound, UsageError
from reactor.ids import id_text
from reactor.store import Query
from reactor.testing import World

FLOWS = """\
flow: one
when: {event: {type: go}}
do: [log: "${{ event.data }} ${{ event.replay_of }}"]
---
flow: two
when: {event: {type: go}, unless: event.replay_of}
do: [log: two]
---
flow: other
when: {startup: {}}
do: [log: started]
"""


async def stored(world):
    """The one event that was stored."""
    (event,) = await world.store.history.events(Query(limit=1))
    return event


async def test_a_replay_is_a_new_event_for_one_flow():
    """Other flows do not hear it, and it names the event that it repeats."""
    async with World(FLOWS) as world:
        await world.emit("go", 7, identity="x")
        event = await stored(world)

        receipt = await again.replay(world.engine, event, "one")
        await world.settle()

        (opened,) = [one for one in await world.story() if one.event.id == receipt.event]
        assert [started.flow for started in receipt.executions] == ["one"]
        assert opened.event.fields == {"replay_of": id_text("evt", event.id)}
        assert opened.execution.state.word == "ok"


async def test_a_flow_may_tell_replays_apart():
    """A condition on `event.replay_of` keeps them out."""
    async with World(FLOWS) as world:
        await world.emit("go", 7)

        receipt = await again.replay(world.engine, await stored(world), "two")

        assert receipt.executions == ()


async def test_a_flow_that_does_not_hear_it_says_so():
    """An event of another source is refused, and so is an unknown flow."""
    async with World(FLOWS) as world:
        await world.emit("go", 7)
        event = await stored(world)

        with pytest.raises(UsageError, match="does not hear evt_"):
            await again.replay(world.engine, event, "other")
        with pytest.raises(NotFound, match="no flow is called 'nope'"):
            await again.replay(world.engine, event, "nope")
