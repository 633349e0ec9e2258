"""Actions that wait can be cancelled."""

import asyncio
import sys

import pytest

from reactor.plugin.catalog import Catalog


@pytest.mark.parametrize("word", ["http", "shell", "python"])
async def test_a_cancelled_action_ends(word, attempt, tmp_path):
    """Cancelling an action that waits ends it within a second."""
    begun = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connect = f"import socket; socket.create_connection(('127.0.0.1', {port})).recv(1)"
    (tmp_path / "waits.py").write_text(f"def here():\n    {connect}\n")
    written = {
        "http": {"get": f"http://127.0.0.1:{port}/"},
        "shell": {"args": [sys.executable, "-c", connect]},
        "python": {"call": "waits.here"},
    }
    spec = Catalog().find("action", word)
    assert spec is not None
    acting = asyncio.create_task(attempt.do(spec, written[word]))
    await begun.wait()

    acting.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([acting])

    server.close()
    await server.wait_closed()
    assert acting.cancelled()
