"""A real web server that remembers what it was asked."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer


class Site:
    """A server on this machine; the test says what each path answers."""

    def __init__(self) -> None:
        self.asked: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.answers: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {}
        self.server = TestServer(web.Application())

    def answer(self, path: str, body: bytes = b"", *, status: int = 200, **headers: str) -> None:
        """What GET, POST and so on of a path answer."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}

        async def give(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=status, body=body, headers=named)

        self.answers[path] = give

    def url(self, path: str = "/") -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.server.port}{path}"

    async def hear(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.read())
        found = self.answers.get(request.path)
        return web.Response(status=404) if found is None else await found(request)


async def _serve() -> AsyncIterator[Site]:
    site = Site()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", site.hear)
    site.server = TestServer(application)
    await site.server.start_server()
    yield site
    await site.server.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """One server."""
    async for each in _serve():
        yield each


@pytest.fixture
async def other_site() -> AsyncIterator[Site]:
    """Another server, so another origin."""
    async for each in _serve():
        yield each
