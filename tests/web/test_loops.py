"""The listener on uvloop, which the daemon runs on."""

import asyncio

import uvloop

from reactor.clock import SystemClock
from reactor.model.http import Reply
from reactor.plugin.context import Route
from reactor.web.listener import Listener
from reactor.web.routes import PathTable


async def exchange():
    """What a client hears for pipelined requests, a long body, a broken one and a half one."""
    table = PathTable(lambda: True)
    listener = Listener(table, SystemClock())
    route = Route(method="POST", path="/a", max_body=1 << 20)
    heard = []

    def answer(request, respond):
        # Later, as after a commit.
        asyncio.get_running_loop().call_soon(respond, Reply(200, b"%d" % len(request.body)))

    async with table.add(route, answer):
        _, port = await listener.start()
        for sent in (
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" * 50 + b"broken\r\n\r\n",
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_001,
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            heard.append(await asyncio.wait_for(reader.read(), 5))
            writer.close()
        assert await listener.drain(1)
    listener.close()
    return heard


def test_it_works_on_uvloop():
    """The same answers as on asyncio's own loop, to the last byte but the date."""
    pipelined, long, large = uvloop.run(exchange())

    assert (pipelined.count(b"200 OK"), pipelined.count(b"400 Bad Request")) == (50, 1)
    assert b"\r\n\r\n500000HTTP/1.1 400" in long
    assert large.startswith(b"HTTP/1.1 413")
    assert large.count(b"HTTP/1.1") == 1


def test_it_works_on_asyncio():
    """The same exchange without uvloop."""
    pipelined, long, large = asyncio.run(exchange())

    assert (pipelined.count(b"200 OK"), pipelined.count(b"400 Bad Request")) == (50, 1)
    assert b"\r\n\r\n500000" in long
    assert large.startswith(b"HTTP/1.1 413")
