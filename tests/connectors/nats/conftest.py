"""A real NATS, one for all tests of this folder, and what other programs do with it."""

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import nats
import pytest
from msgspec import json
from nats.aio.client import Client

from reactor.store.sqlite import SqliteStore
from tests.brokers import running
from tests.brokers.nats import Nats
from tests.brokers.running import Running, lasting

_names = (f"orders{number}" for number in itertools.count(1))


class Stream:
    """A stream of its own, with what a test does to it from outside."""

    def __init__(self, client: Client, url: str, name: str) -> None:
        self.client = client
        self.url = url
        self.name = name
        self.jetstream = client.jetstream()

    async def make(self) -> None:
        """Create it; it takes all subjects below its name."""
        await self.jetstream.add_stream(name=self.name, subjects=[f"{self.name}.>"])

    async def send(self, *values: Any, subject: str = "new", **headers: str) -> None:
        """Send values below its name, JSON unless they are bytes."""
        for value in values:
            raw = value if isinstance(value, bytes) else json.encode(value)
            there = f"{self.name}.{subject}"
            await self.jetstream.publish(there, raw, headers=dict(headers) or None)

    async def waiting(self, durable: str) -> tuple[int, int]:
        """How many messages a durable has not sent, and how many are not acknowledged."""
        info = await self.jetstream.consumer_info(self.name, durable)
        return info.num_pending or 0, info.num_ack_pending or 0

    def config(self, **more: Any) -> dict[str, Any]:
        """What stands under a trigger's `nats`."""
        return {"servers": [self.url], "stream": self.name, "durable": "mine", **more}


@pytest.fixture(scope="session")
def server() -> Iterator[Nats]:
    """A server for all tests that do it no harm."""
    with Nats() as made:
        yield made


@pytest.fixture
async def client(server: Nats) -> AsyncIterator[Client]:
    """Another program's connection."""
    made = await nats.connect(server.url)
    yield made
    await made.close()


@pytest.fixture
async def stream(server: Nats, client: Client) -> Stream:
    """A stream."""
    made = Stream(client, server.url, next(_names))
    await made.make()
    return made


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    """A store that outlives a restart."""
    async with lasting() as made:
        yield made


def reading(config: Mapping[str, Any], **options: Any) -> AbstractAsyncContextManager[Running]:
    """A source that runs: see `tests.brokers.running`."""
    return running.reading("nats", config, **options)
