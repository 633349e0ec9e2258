"""Positions by name go in with the events that bring them."""

from reactor.model.event import Received
from reactor.testing import World

FLOW = """
flow: inbox
when: {file: {path: inbox/*}}
only_if: event.data.size > 0
do: [{log: hi}]
"""


async def test_the_places_of_an_event_are_stored_with_it():
    """Each under its name; None forgets, and an event that no flow wants stores nothing."""
    async with World(FLOW) as world:
        (instance,) = world.engine.intake.router.instances()
        await world.offer(
            instance,
            Received(data={"size": 1}, places={"a": 1, "b": 2}),
            Received(data={"size": 1}, places={"b": None, "c": [3]}),
            Received(data={"size": 0}, places={"d": 4}),
        )

        assert await world.store.places(instance) == {"a": 1, "c": [3]}
