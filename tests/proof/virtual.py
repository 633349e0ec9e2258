"""An event loop whose time is made up: it never waits, and it may be cut off between two rounds."""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any


class Cut(BaseException):
    """The process died here; nothing may catch it."""


class Stuck(Exception):
    """Nothing is ready and nothing is due: whatever is awaited never comes."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing is ready, and then to the next thing that is due.

    `now` is where it begins. Before each round `between` is called; what it raises ends the run,
    as the death of a process would.
    """

    def __init__(self, now: float, between: Callable[[], None]) -> None:
        self.now = now
        super().__init__(_Instant(self, between))

    def time(self) -> float:
        """The made-up time."""
        return self.now

    def end(self) -> None:
        """Throw everything away: tasks are cancelled, what they do then reaches nobody."""
        self._instant.between = _nothing
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.close()

    @property
    def _instant(self) -> "_Instant":
        instant: Any = self._selector  # type: ignore[attr-defined]  # what we gave it
        found: _Instant = instant
        return found


class _Instant(selectors.BaseSelector):
    """A selector that lets time pass instead of waiting."""

    def __init__(self, loop: VirtualLoop, between: Callable[[], None]) -> None:
        self.between = between
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self.between()
        if timeout is None:
            raise Stuck
        self._loop.now += max(0.0, timeout)
        return []

    # The loop's own pipe, which nobody writes to.

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


def _nothing() -> None:
    """Nobody dies here."""


class LoopClock:
    """The engine's clock on a made-up loop; `skew_ms` is how far the wall clock was set."""

    def __init__(self, loop: VirtualLoop, begin_ms: int) -> None:
        self.loop = loop
        self.skew_ms = 0
        self._begin_ms = begin_ms

    def now_ms(self) -> int:
        return self._begin_ms + self.skew_ms + round(self.loop.time() * 1000)

    def monotonic_secs(self) -> float:
        return self.loop.time()
