"""Storing what a broker has sent, through patience and cancellation."""

import asyncio

import pytest

from reactor.errors import Overloaded
from reactor.model.event import Received
from reactor.plugin.storing import store_held

BATCH = [Received(data=1)]


class Disk:
    """An `Emit` that stores when the test lets it."""

    def __init__(self):
        self.asked = asyncio.Event()
        self.may = asyncio.Event()
        self.refusals = 0

    async def many(self, batch):
        """Refuse as often as told, then store once there is room."""
        self.asked.set()
        if self.refusals:
            self.refusals -= 1
            raise Overloaded("full")
        await self.may.wait()
        return []


@pytest.fixture
def disk():
    """One on which nothing is stored yet."""
    return Disk()


async def never():
    """Nothing takes long here."""
    pytest.fail("it was held")


async def test_a_refused_batch_is_offered_again(disk):
    """It was only too much at once."""
    disk.refusals = 2
    disk.may.set()

    await store_held(disk, BATCH, never)

    assert disk.refusals == 0


async def test_while_it_takes_long_the_broker_is_kept_content(disk):
    """`held` is awaited until it is stored."""
    held = []

    async def hold():
        held.append(1)
        if len(held) == 3:
            disk.may.set()

    await store_held(disk, BATCH, hold, every_secs=0.001)

    assert len(held) >= 3


async def test_what_is_stored_at_the_last_moment_is_known(disk):
    """Cancelled while the batch is on its way, it still says that it arrived."""
    stored = asyncio.Event()
    storing = asyncio.create_task(store_held(disk, BATCH, never, stored=stored.set))
    await disk.asked.wait()

    storing.cancel()
    disk.may.set()

    with pytest.raises(asyncio.CancelledError):
        await storing
    assert stored.is_set()


async def test_a_cancelled_batch_that_finds_no_room_is_left(disk):
    """It ends soon, and nothing is said to be stored."""
    stored = asyncio.Event()
    storing = asyncio.create_task(store_held(disk, BATCH, never, stored=stored.set))
    await disk.asked.wait()

    storing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await storing
    assert not stored.is_set()
