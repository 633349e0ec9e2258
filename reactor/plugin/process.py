"""Programs on this machine: a clean environment, a group of their own, bounded output."""

import asyncio
import os
import resource
import signal
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

from msgspec import Struct

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TERM_SECS = 0.5
_KILL_SECS = 0.2
# How long output may still come after the program ended: what left its group may hold the pipe.
_DRAIN_SECS = 0.5
_OPEN_FILES = 1024


class Ended(Struct, frozen=True):
    """How a program ended; `exit` is 128 + the signal's number if a signal ended it."""

    exit: int
    stdout: bytes
    stderr: bytes
    truncated: bool


class Heard(asyncio.SubprocessProtocol):
    """What a program says; `exited` is set when it has ended."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        """The program has ended; what it printed may still come."""
        self.exited.set()


P = TypeVar("P", bound=Heard)


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a program sees of the daemon's environment: next to nothing, and `extra`.

    Secrets stay out, and so do `LD_LIBRARY_PATH` and `_PYI_…` of a frozen build, which would lead
    the program to our libraries.
    """
    return {
        "PATH": os.environ.get("PATH", _PATH),
        "HOME": str(Path.home()),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "TMPDIR": tempfile.gettempdir(),
        **extra,
    }


async def run_program(
    args: Sequence[str], *, cwd: str, env: Mapping[str, str], stdin: bytes, max_output: int
) -> Ended:
    """Run a program to its end, keeping at most `max_output` bytes of stdout and of stderr.

    What it started in its process group ends with it, and when the caller is cancelled all of it
    ends: SIGTERM, half a second, SIGKILL. Raises OSError if it cannot start.
    """
    transport, capture = await begin(lambda: _Capture(max_output), args, cwd=cwd, env=env)
    try:
        try:
            _feed(transport, stdin)
            await capture.exited.wait()
        finally:
            await end_group(transport.get_pid(), capture.exited)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECS):
                await capture.drained.wait()
        code = transport.get_returncode() or 0
    finally:
        transport.close()
    return Ended(
        exit=128 - code if code < 0 else code,
        stdout=bytes(capture.kept[1]),
        stderr=bytes(capture.kept[2]),
        truncated=capture.truncated,
    )


async def begin(
    protocol: Callable[[], P], args: Sequence[str], *, cwd: str, env: Mapping[str, str]
) -> tuple[asyncio.SubprocessTransport, P]:
    """Start a program in a process group of its own; who cancels this leaves none behind.

    The caller ends the group and closes the transport. Raises OSError if it cannot start.
    """
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            protocol,
            *args,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    )
    try:
        transport, heard = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # asyncio may wait for ever when it is cancelled in the middle of a start: let it start.
        transport, heard = await starting
        try:
            await end_group(transport.get_pid(), heard.exited)
        finally:
            transport.close()
        raise
    _limit(transport.get_pid())
    return transport, heard


async def end_group(pid: int, exited: asyncio.Event) -> None:
    """End a process group, politely while its leader lives."""
    try:
        if not exited.is_set():
            _signal_group(pid, signal.SIGTERM)
            await _within(_TERM_SECS, exited)
    finally:
        _signal_group(pid, signal.SIGKILL)
    await _within(_KILL_SECS, exited)


class _Capture(Heard):
    """Keeps the beginning of what a program prints and reads the rest to drop it."""

    def __init__(self, max_output: int) -> None:
        super().__init__()
        self._max = max_output
        self._open = {1, 2}
        self.kept = {1: bytearray(), 2: bytearray()}
        self.truncated = False
        self.drained = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.kept[fd]
        room = self._max - len(kept)
        kept += data[:room]
        self.truncated |= len(data) > room

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open:
            self.drained.set()


def _feed(transport: asyncio.SubprocessTransport, stdin: bytes) -> None:
    # uvloop's transports do not derive from asyncio's.
    pipe = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
    if not pipe.is_closing():  # as when the program has ended already
        pipe.write(stdin)
        pipe.write_eof()


def _limit(pid: int) -> None:
    """No core dumps, and the customary number of files although the daemon may have more."""
    with suppress(OSError):
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        soft = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def _within(secs: float, exited: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(secs):
            await exited.wait()
