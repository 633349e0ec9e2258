"""How long an execution may take: `run.timeout` for all, an own limit for undo and finally."""

from collections.abc import Callable
from functools import partial

from reactor.clock import Clock
from reactor.engine.making import Running
from reactor.engine.timers import Timers
from reactor.model.execution import Failure
from reactor.units import format_duration

_LATE = Failure(step=None, kind="timeout", message="undo or finally took too long")


class Deadlines:
    """Sets and clears the timers of live executions; `cancel` ends one that took too long.

    For `undo` and `finally` the time does not count in which nobody was here to do them.
    """

    def __init__(self, clock: Clock, spans: Timers, cancel: Callable[[int, Failure], bool]) -> None:
        self._clock = clock
        self._spans = spans
        self._cancel = cancel
        self._here_ms = clock.now_ms()

    def set(self, running: Running) -> None:
        """Set what is not set yet: a flow's time counts from its first start, waits included."""
        limit = running.flow.run.timeout_secs
        if limit is not None and running.deadline is None and running.started_ms is not None:
            passed = (self._clock.now_ms() - running.started_ms) / 1000
            running.deadline = self._spans.after(limit - passed, partial(self.too_long, running))
        until_ms = self._until(running)
        if until_ms != running.closing_ms:
            self._close_by(running, until_ms)

    def due(self, running: Running) -> int | None:
        """The stored time to which it sleeps: what it waits for, or the end of its time."""
        times = [running.machine.due, self._until(running)]
        limit = running.flow.run.timeout_secs
        if limit is not None and running.started_ms is not None and not running.machine.closing:
            times.append(running.started_ms + round(limit * 1000))
        return min((time for time in times if time is not None), default=None)

    def _until(self, running: Running) -> int | None:
        """When `undo` or `finally` has taken too long, if one of them runs."""
        times = running.machine.closing_times
        if times is None:
            return None
        since_ms, limit_ms = times
        return max(since_ms, self._here_ms) + limit_ms

    def _close_by(self, running: Running, until_ms: int | None) -> None:
        if running.closing is not None:
            running.closing.cancel()
            running.closing = None
        running.closing_ms = until_ms
        if until_ms is not None:
            end = partial(self._cancel, running.row.id, _LATE)
            left = (until_ms - self._clock.now_ms()) / 1000
            running.closing = self._spans.after(left, end)

    def clear(self, running: Running) -> None:
        """The execution is not live any more."""
        for timer in (running.deadline, running.closing):
            if timer is not None:
                timer.cancel()
        running.deadline = running.closing = running.closing_ms = None

    def too_long(self, running: Running) -> None:
        """End an execution whose `run.timeout` is over, or that of its `undo` or `finally`."""
        until_ms = self._until(running)
        if until_ms is not None and until_ms <= self._clock.now_ms():
            self._cancel(running.row.id, _LATE)
            return
        limit = format_duration(running.flow.run.timeout_secs or 0)
        message = f"the flow ran longer than its timeout of {limit}"
        if not running.machine.closing:
            self._cancel(running.row.id, Failure(step=None, kind="timeout", message=message))
