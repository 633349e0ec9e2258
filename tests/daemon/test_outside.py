"""What the daemon lends to actions and sources."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from reactor.daemon.outside import Opened, named_secrets
from reactor.loading.load import Loading, load_text
from reactor.plugin.catalog import Catalog
from reactor.settings import ConnectionSettings, Settings


class Door:
    """Counts how often it is opened and closed; fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.opened = 0
        self.closed = 0
        self.gate = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Door"]:
        """Open when the gate is."""
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no")
        self.opened += 1
        yield self
        self.closed += 1


def test_secrets_are_found_where_they_are_named() -> None:
    """Flows and connections, with a dot or in brackets."""
    text = (
        "flow: f\nwhen: {http: {path: /f, verify: {bearer: '${{ secrets.one }}'}}}\n"
        "do:\n  - http: {post: 'http://h/${{ secrets[\"two-2\"] }}'}\n"
    )
    loaded = load_text(text, "f.yaml", Loading(catalog=Catalog()))
    config = {"base": "http://x/${{ secrets.three }}"}
    settings = Settings(connections={"main": ConnectionSettings("http", config)})

    found = named_secrets(loaded.flows, settings)

    assert found == {"one", "two-2", "three"}


async def test_a_thing_is_opened_once() -> None:
    """Who asks while it opens waits for the same thing; it is closed once."""
    opened, door = Opened(), Door()
    asking = [asyncio.create_task(opened("door", door.open)) for _ in range(3)]
    door.gate.set()

    found = await asyncio.gather(*asking)
    await opened.close()

    assert found == [door, door, door]
    assert (door.opened, door.closed) == (1, 1)


async def test_a_failure_is_not_kept() -> None:
    """The first one hears of it, the next one tries again."""
    opened, door = Opened(), Door(failures=1)
    asking = [asyncio.create_task(opened("door", door.open)) for _ in range(2)]
    door.gate.set()

    first, second = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(first, ConnectionError)
    assert second is door
    await opened.close()


async def test_who_is_cancelled_does_not_take_others_along() -> None:
    """When the one who opens is cancelled, the next one opens."""
    opened, door = Opened(), Door()
    first = asyncio.create_task(opened("door", door.open))
    second = asyncio.create_task(opened("door", door.open))
    await asyncio.wait([first], timeout=0)

    first.cancel()
    door.gate.set()

    assert await second is door
    with pytest.raises(asyncio.CancelledError):
        await first
    await opened.close()
