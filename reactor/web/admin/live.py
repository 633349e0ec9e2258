"""Live happenings for many listeners: one subscription, a short memory, ids to go on from."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

from reactor.clock import Clock, instant
from reactor.web.admin.control import Control
from reactor.web.admin.wire import Happening

_LOG = logging.getLogger("reactor.admin")
_REMEMBERED = 1024
_LINGER_SECS = 30.0


class Live:
    """Shares one subscription among all streams.

    It begins with the first listener and ends half a minute after the last one left, so that who
    comes back in time misses nothing and a daemon that nobody watches does no work for it.
    """

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        # Part of each id: numbers of a daemon before this one mean nothing here.
        self._boot = f"{clock.now_ms():x}"
        self._last = 0
        self._memory: deque[tuple[int, Happening]] = deque(maxlen=_REMEMBERED)
        self._news = asyncio.Event()
        self._listeners = 0
        self._closed = False
        self._reading: asyncio.Task[None] | None = None
        self._end: asyncio.TimerHandle | None = None

    async def listen(self, after: str | None) -> AsyncGenerator[tuple[str, Happening]]:
        """Happenings with their ids, from now on or after the id that was heard last.

        A `gap` says that some are missing: forgotten, told by an earlier daemon, or too fast.
        """
        self._arrive()
        try:
            at, gap = self._begin(after)
            while not self._closed:
                news = self._news
                if gap or (self._memory and self._memory[0][0] > at + 1):
                    gap = False
                    yield self._id(at), self._gap()
                for number, happening in list(self._memory):
                    if number > at:
                        at = number
                        yield self._id(at), happening
                if at == self._last:
                    await news.wait()
        finally:
            self._leave()

    async def close(self) -> None:
        """End the subscription and every stream."""
        self._closed = True
        self._news.set()
        if self._end is not None:
            self._end.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _begin(self, after: str | None) -> tuple[int, bool]:
        """The number to go on after, and whether something may be missing before the next."""
        if after is None:
            return self._last, False
        boot, _, number = after.rpartition("-")
        known = boot == self._boot and number.isdecimal() and int(number) <= self._last
        return (int(number), False) if known else (0, True)

    def _arrive(self) -> None:
        self._listeners += 1
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="admin: live happenings")

    def _leave(self) -> None:
        self._listeners -= 1
        if self._listeners == 0 and self._reading is not None:
            loop = asyncio.get_running_loop()
            self._end = loop.call_later(_LINGER_SECS, self._reading.cancel)

    async def _read(self) -> None:
        try:
            async with aclosing(self._control.subscribe()) as happenings:
                async for happening in happenings:
                    self._tell(happening)
        except Exception:  # noqa: BLE001 (the root of the task)
            # The next listener subscribes again; those who listen now hear nothing more.
            _LOG.exception("live happenings broke off")

    def _tell(self, happening: Happening) -> None:
        self._last += 1
        self._memory.append((self._last, happening))
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _id(self, number: int) -> str:
        return f"{self._boot}-{number}"

    def _gap(self) -> Happening:
        return Happening(
            time=instant(self._clock.now_ms()),
            kind="gap",
            detail="what happened in between was not kept: `reactor runs` lists it",
        )
