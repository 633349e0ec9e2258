"""Programs that go on: what they print, line by line, no faster than it is taken."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

from reactor.plugin.process import Heard, begin, end_group

LONGEST_LINE = 1 << 20
LINES_AT_ONCE = 1000

_COMPLAINT = 4096
# How long output may still come after the program ended: what left its group may hold the pipe.
_DRAIN_SECS = 0.5


class Program(Heard):
    """A program at work; `pid` is its process and its group."""

    def __init__(self) -> None:
        super().__init__()
        self.pid = 0
        self._transport: asyncio.SubprocessTransport | None = None
        self._printed = bytearray()
        self._complained = bytearray()
        self._more = asyncio.Event()
        self._closed = False

    async def lines(self) -> AsyncIterator[list[bytes]]:
        """What it prints, as soon as whole lines are there; ends when it has ended.

        A line longer than a mebibyte comes in pieces. While nobody asks, the program waits.
        """
        while True:
            lines = self._take()
            if lines:
                yield lines
            elif self._closed:
                return
            elif self.exited.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_DRAIN_SECS):
                        await self._news()
                    continue
                self._closed = True
            else:
                await self._news()

    async def ended(self) -> int:
        """Its exit code, 128 + the signal's number if a signal ended it."""
        await self.exited.wait()
        code = (self._transport.get_returncode() if self._transport else None) or 0
        return 128 - code if code < 0 else code

    @property
    def complaint(self) -> str:
        """The last line that it printed as an error."""
        text = self._complained.decode(errors="replace")
        return next((line for line in reversed(text.splitlines()) if line.strip()), "")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has started; it hears nothing."""
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It printed something."""
        if fd == 2:
            self._complained += data
            del self._complained[:-_COMPLAINT]
            return
        self._printed += data
        if len(self._printed) > LONGEST_LINE:
            self._pipe().pause_reading()
        self._more.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """It will print nothing more."""
        if fd == 1:
            self._closed = True
            self._more.set()

    def process_exited(self) -> None:
        """It has ended."""
        super().process_exited()
        self._more.set()

    async def _news(self) -> None:
        self._more.clear()
        await self._more.wait()

    def _take(self) -> list[bytes]:
        """The whole lines that are there; at the end also what has no newline."""
        printed = self._printed
        *lines, rest = printed.split(b"\n", LINES_AT_ONCE)
        if len(rest) > LONGEST_LINE and len(lines) < LINES_AT_ONCE:
            lines, rest = [*lines, rest[:LONGEST_LINE]], rest[LONGEST_LINE:]
        elif not lines and self._closed and rest:
            lines, rest = [rest], bytearray()
        self._printed = rest
        if lines and not self._closed and len(rest) <= LONGEST_LINE:
            self._pipe().resume_reading()
        return [bytes(line.removesuffix(b"\r")) for line in lines]

    def _pipe(self) -> asyncio.ReadTransport:
        transport = self._transport
        return cast(asyncio.ReadTransport, transport and transport.get_pipe_transport(1))


@asynccontextmanager
async def printing(
    args: Sequence[str], *, cwd: str, env: Mapping[str, str]
) -> AsyncIterator[Program]:
    """A program that runs while the context is open, without input.

    Its process group ends with the context: SIGTERM, half a second, SIGKILL. Raises OSError if it
    cannot start.
    """
    transport, program = await begin(Program, args, cwd=cwd, env=env)
    try:
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        stdin.close()
        try:
            yield program
        finally:
            await end_group(program.pid, program.exited)
    finally:
        transport.close()
