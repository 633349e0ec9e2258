"""Worker processes: started when a call comes, kept for the next, killed with a call that is."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from reactor.connectors.python import worker
from reactor.errors import ActionFailed
from reactor.units import format_size, parse_size

# The argument with which a frozen `reactor` becomes a worker.
WORKER_WORD = "__worker__"

_MOST_WORKERS = 4
_LONGEST_MESSAGE = parse_size("64MiB")


class Pool:
    """At most four workers; each does one call at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_MOST_WORKERS)
        self._idle: list[Process] = []

    async def call(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer of a worker to one call; a cancelled call takes its worker with it.

        Raises `ActionFailed` if the worker ends instead.
        """
        content = msgspec.msgpack.encode(message)
        if len(content) > _LONGEST_MESSAGE:
            raise _too_large("arguments")
        async with self._free:
            process = self._awake() or await _start()
            try:
                answer = await _ask(process, content)
            except BaseException:
                await _kill(process)
                raise
            self._idle.append(process)
            return answer

    def _awake(self) -> Process | None:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        return None

    async def close(self) -> None:
        """End the workers that wait for calls."""
        while self._idle:
            await _kill(self._idle.pop())


@asynccontextmanager
async def open_pool() -> AsyncIterator[Pool]:
    """A pool, without a process yet."""
    pool = Pool()
    try:
        yield pool
    finally:
        await pool.close()


def worker_command(executable: str, *, frozen: bool) -> list[str]:
    """How a worker is started: by a frozen `reactor` itself, else by Python with the file."""
    if frozen:
        return [executable, WORKER_WORD]
    # Isolated from the folder the worker's file is in, so that its names replace no library.
    return [executable, "-P", worker.__file__]


async def _start() -> Process:
    command = worker_command(sys.executable, frozen=getattr(sys, "frozen", False))
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, start_new_session=True
    )


async def _ask(process: Process, content: bytes) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("a worker has pipes")
    try:
        process.stdin.write(worker.LENGTH.pack(len(content)) + content)
        await process.stdin.drain()
        head = await process.stdout.readexactly(worker.LENGTH.size)
        length = worker.LENGTH.unpack(head)[0]
        if length > _LONGEST_MESSAGE:
            raise _too_large("result")
        answer: dict[str, Any] = msgspec.msgpack.decode(await process.stdout.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        code = await process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ActionFailed(
            f"the worker process ended with {how}", kind="python", transient=True
        ) from error
    return answer


async def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _too_large(what: str) -> ActionFailed:
    return ActionFailed(
        f"the {what} of a function take at most {format_size(_LONGEST_MESSAGE)}", kind="too_large"
    )
