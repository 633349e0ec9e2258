"""A listener on a free port and a client that speaks raw bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from reactor.clock import SystemClock
from reactor.model.http import Reply, Request
from reactor.plugin.context import Respond, Route
from reactor.web.listener import Listener
from reactor.web.reading import Limits
from reactor.web.routes import PathTable


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write bytes; a connection that the other side ended swallows them."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self, *, with_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body."""
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, headers = parse_answer(head)
            length = int(headers.get("content-length", 0)) if with_body else 0
            return status, headers, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


def parse_answer(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer's head."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines if line]
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


class Site:
    """A listener, what it heard, and the answers that a test holds back."""

    def __init__(self) -> None:
        self.ready = True
        self.table = PathTable(lambda: self.ready)
        self.heard: list[Request] = []
        self._held: asyncio.Queue[Respond] = asyncio.Queue()
        self.listener: Listener
        self.port = 0
        self._stack = AsyncExitStack()

    async def start(self, **settings: Any) -> None:
        """Listen with these settings."""
        limits = Limits(**settings.pop("limits", {}))
        settings = {"sweep_secs": 0.01} | settings
        self.listener = Listener(self.table, SystemClock(), limits=limits, **settings)
        _, self.port = await self.listener.start()

    async def serve(self, path: str = "/hook", method: str = "POST", **settings: Any) -> None:
        """Open a route that echoes the body's length, or does what `answer` says."""
        answer: Callable[[Request, Respond], None] = settings.pop("answer", self.echo)
        route = Route(method=method, path=path, **({"max_body": 1000} | settings))
        await self._stack.enter_async_context(self.table.add(route, answer))

    def echo(self, request: Request, respond: Respond) -> None:
        """Remember the request and say how long its body was."""
        self.heard.append(request)
        respond(Reply(200, b'{"length": %d}' % len(request.body)))

    def hold(self, request: Request, respond: Respond) -> None:
        """Remember the request; the test answers."""
        self.heard.append(request)
        self._held.put_nowait(respond)

    async def held(self) -> Respond:
        """The next request's `respond`, when `hold` got one."""
        async with asyncio.timeout(5):
            return await self._held.get()

    async def empty(self) -> None:
        """Wait until no client is connected."""
        floor = self.listener._floor
        async with asyncio.timeout(5):
            while floor.open:
                floor.emptied.clear()
                await floor.emptied.wait()

    @asynccontextmanager
    async def client(self, **settings: Any) -> AsyncIterator[Client]:
        """A raw connection to the listener."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **settings)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """The first answer to these bytes on a connection of their own."""
        async with self.client() as client:
            await client.send(data)
            return await client.answer()

    async def end(self) -> None:
        """Close routes and listener."""
        await self._stack.aclose()
        self.listener.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A listener with POST /hook."""
    site = Site()
    await site.start()
    await site.serve()
    yield site
    await site.end()


@pytest.fixture
async def bare() -> AsyncIterator[Site]:
    """A site that the test starts itself."""
    site = Site()
    yield site
    await site.end()
