"""Things to do at a time, in memory: seconds ahead; longer spans are rows of the store."""

import heapq
from collections.abc import Callable


class Timer:
    """One call at a time; `cancel` takes it back."""

    __slots__ = ("at", "call", "serial")

    def __init__(self, at: float, serial: int, call: Callable[[], object]) -> None:
        self.at = at
        self.serial = serial
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """Never call it."""
        self.call = None

    def __lt__(self, other: "Timer") -> bool:
        return (self.at, self.serial) < (other.at, other.serial)


class Timers:
    """A heap of calls on one time axis, turned by whoever owns the clock.

    `changed` is called when a new earliest time appears, so that a sleeping driver can wake.
    """

    def __init__(self, now: Callable[[], float], changed: Callable[[], None]) -> None:
        self._now = now
        self._changed = changed
        self._heap: list[Timer] = []
        self._serial = 0

    def at(self, moment: float, call: Callable[[], object]) -> Timer:
        """Call at a moment of this axis; one in the past is called at the next turn."""
        self._serial += 1
        timer = Timer(moment, self._serial, call)
        heapq.heappush(self._heap, timer)
        if self._heap[0] is timer:
            self._changed()
        return timer

    def after(self, span: float, call: Callable[[], object]) -> Timer:
        """Call after a span of this axis."""
        return self.at(self._now() + span, call)

    def next(self) -> float | None:
        """The earliest moment that is set."""
        while self._heap and self._heap[0].call is None:
            heapq.heappop(self._heap)
        return self._heap[0].at if self._heap else None

    def turn(self) -> None:
        """Do what is due, in order of time; what it sets itself for now is done too."""
        while (moment := self.next()) is not None and moment <= self._now():
            call = heapq.heappop(self._heap).call
            if call is not None:
                call()
