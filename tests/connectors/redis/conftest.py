"""A Redis, a client for it, and ears for what its source tells."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis as Client

from tests.brokers.listening import Ears
from tests.brokers.proxy import Proxy
from tests.brokers.redis import Redis


@pytest.fixture(scope="module")
def one_server() -> Iterator[Redis]:
    """A Redis for the tests of a module."""
    with Redis(strict=False) as server:
        yield server


@pytest.fixture
async def server(one_server: Redis) -> AsyncIterator[Redis]:
    """The Redis, empty."""
    async with Client(port=one_server.port) as client:
        await client.flushall()
        yield one_server


@pytest.fixture
async def client(server: Redis) -> AsyncIterator[Client]:
    """A client of the Redis."""
    async with Client(port=server.port) as made:
        yield made


@pytest.fixture
def proxy(server: Redis) -> Iterator[Proxy]:
    """A proxy before the Redis."""
    with Proxy(server.port) as made:
        yield made


@pytest.fixture
async def ears() -> Ears:
    """What the daemon keeps."""
    return Ears()
