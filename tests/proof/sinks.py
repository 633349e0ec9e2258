"""An HTTP server for what steps send, fast enough to stand beside a daemon under load."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing, suppress
from threading import Event, Thread
from typing import Any, Self


class Sink:
    """Keeps the JSON bodies that it is sent, with their Idempotency-Key, in order of arrival."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.url = ""
        self._ready = Event()
        self._loop = asyncio.new_event_loop()
        self._end: Callable[[], None] = self._ready.clear
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        over = asyncio.Event()
        self._end = over.set
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, limit=1 << 22)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await over.wait()
        server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError), closing(writer):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:] if line)
                lower = {name.lower(): value for name, value in headers.items()}
                body = await reader.readexactly(int(lower.get("content-length", 0)))
                self.heard.append((lower.get("idempotency-key", ""), json.loads(body)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
