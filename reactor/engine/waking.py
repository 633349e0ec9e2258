"""When what the runner let go of comes back: due times that are near, results that are awaited."""

import asyncio
from collections.abc import Callable

from reactor.clock import Clock
from reactor.engine.lanes import Lane
from reactor.engine.timers import Timers

NEAR_MS = 15_000  # what is due within this waits in memory, the rest in the store


class Alarms:
    """Wakes waiting executions at their time if that is near; the reconciler finds far ones."""

    def __init__(self, clock: Clock, moments: Timers, lane: Callable[[str], Lane]) -> None:
        self._clock = clock
        self._moments = moments
        self._lane = lane
        self._set: set[int] = set()

    def __contains__(self, execution: int) -> bool:
        return execution in self._set

    def set(self, execution: int, due_ms: int, flow: str) -> None:
        """Give a waiting execution to its lane again when it is due."""
        if due_ms - self._clock.now_ms() > NEAR_MS or execution in self._set:
            return
        self._set.add(execution)

        def due() -> None:
            self._set.discard(execution)
            lane = self._lane(flow)
            lane.resume(execution)
            lane.turn()

        self._moments.at(due_ms, due)


class Progress:
    """Whoever waits until an execution has stored more than it had; `awaited` is mostly empty."""

    def __init__(self, spans: Timers) -> None:
        self._spans = spans
        self.awaited: dict[int, tuple[asyncio.Event, int]] = {}

    def stored(self, execution: int, entries: int, *, ended: bool) -> None:
        """So many entries of its journal are on disk now."""
        if execution in self.awaited:
            signal, before = self.awaited[execution]
            if ended or entries > before:
                signal.set()

    async def beyond(self, execution: int, entries: int, limit_secs: float) -> None:
        """Return when more than these are on disk, when it ended, or when the time is over."""
        signal = asyncio.Event()
        self.awaited[execution] = (signal, entries)
        timer = self._spans.after(limit_secs, signal.set)
        await signal.wait()
        timer.cancel()
        del self.awaited[execution]
