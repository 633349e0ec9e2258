"""A TCP proxy for tests that harms what passes: slow, sliced, cut, reset or half-open.

It runs in a thread of its own, so that blocking and async tests use it alike.
"""

import asyncio
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Any, Self

_PATIENCE_SECS = 10.0
_CHUNK = 65_536
# SO_LINGER on, 0 seconds: closing sends RST.
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """`with Proxy(server.port) as proxy:` passes `proxy.port` on to the server, until it harms.

    `latency_secs` delays each chunk, `bytes_per_sec` bounds the bandwidth of each direction of a
    connection, `slice_bytes` breaks chunks up; all may be set at any time and count from the next
    chunk on. `cut`, `reset` and `half_open` happen at once; `mend` ends them all.
    """

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self.latency_secs = 0.0
        self.bytes_per_sec: float | None = None
        self.slice_bytes: int | None = None
        self.connections = 0
        self._target = (host, target)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._refuses = self._swallows = False
        self._open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def cut(self) -> None:
        """Close every connection, and each new one at once, until `mend`."""
        self._refuses = True
        self._do(self._drop(reset=False))

    def reset(self) -> None:
        """Break every connection off with RST; new ones pass."""
        self._do(self._drop(reset=True))

    def half_open(self) -> None:
        """Let every connection stand while nothing comes through, new ones too, until `mend`.

        What stood then stays dead after `mend`, as when the other machine has lost its power.
        """
        self._swallows = True
        self._do(self._forget())

    def mend(self) -> None:
        """Pass everything on again, as fast as it goes."""
        self.latency_secs, self.bytes_per_sec, self.slice_bytes = 0.0, None, None
        self._refuses = self._swallows = False

    def __enter__(self) -> Self:
        self._thread.start()
        self._server: asyncio.Server = self._do(
            asyncio.start_server(self._serve, sock=self._listening)
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECS)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_SECS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass(reader, writer)
        except asyncio.CancelledError:
            pass  # the proxy ends
        except OSError:
            pass  # either side went away
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refuses:
            return
        if self._swallows:
            await _swallow(reader)
            return
        there, back = await asyncio.open_connection(*self._target)
        pair = (writer, back)
        self._open.add(pair)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, back, pair))
                both.create_task(self._pump(there, writer, pair))
        except* OSError:
            pass  # a broken pipe ends both directions
        finally:
            self._open.discard(pair)
            back.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            if pair not in self._open:
                continue  # half-open: it goes nowhere
            if self.latency_secs:
                await asyncio.sleep(self.latency_secs)
            step = self.slice_bytes or len(chunk)
            for start in range(0, len(chunk), step):
                part = chunk[start : start + step]
                if self.bytes_per_sec is not None:
                    await asyncio.sleep(len(part) / self.bytes_per_sec)
                writer.write(part)
                await writer.drain()
                if self.slice_bytes is not None:
                    await asyncio.sleep(0)  # each part is a packet of its own
        if pair in self._open:
            raise ConnectionResetError  # one side closed: so does the other

    async def _drop(self, *, reset: bool) -> None:
        for pair in list(self._open):
            for writer in pair:
                _abort(writer, reset=reset)

    async def _forget(self) -> None:
        self._open.clear()

    async def _close(self) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass


def _abort(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        found = writer.get_extra_info("socket")
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
