"""A broker, a client for it, and ears for what its source tells."""

from collections.abc import AsyncIterator, Iterator

import aiomqtt
import pytest

from tests.brokers.listening import Ears
from tests.brokers.mosquitto import Mosquitto
from tests.brokers.proxy import Proxy


@pytest.fixture
def server() -> Iterator[Mosquitto]:
    """A broker."""
    with Mosquitto(strict=False) as server:
        yield server


@pytest.fixture
async def client(server: Mosquitto) -> AsyncIterator[aiomqtt.Client]:
    """A client of the broker."""
    version = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client("127.0.0.1", server.port, protocol=version) as made:
        made.pending_calls_threshold = 1000
        yield made


@pytest.fixture
def proxy(server: Mosquitto) -> Iterator[Proxy]:
    """A proxy before the broker."""
    with Proxy(server.port) as made:
        yield made


@pytest.fixture
async def ears() -> Ears:
    """What the daemon keeps."""
    return Ears()
