"""Blocking drivers: the calls of one connection run in a thread of its own, in order."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
_ABORT_SECS = 2.0


class Worker:
    """Runs calls one after the other; when a caller is cancelled `abort` ends the call."""

    def __init__(self, name: str, abort: Callable[[], None]) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._abort = abort

    async def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """What the call gives or raises."""
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._executor, partial(function, *args))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            self._abort()
            with suppress(Exception):
                async with asyncio.timeout(_ABORT_SECS):
                    await call
            raise

    def close(self) -> None:
        """Take no more calls; a thread that hangs is left to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
