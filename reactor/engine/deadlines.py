"""How long an execution may take: `run.timeout` for the whole, five minutes for `finally`."""

from collections.abc import Callable
from functools import partial

from reactor.clock import Clock
from reactor.engine.course import LIMIT_SECS
from reactor.engine.making import Running
from reactor.engine.timers import Timers
from reactor.model.execution import Failure
from reactor.units import format_duration


class Deadlines:
    """Sets and clears the timers of live executions; `cancel` ends one that took too long."""

    def __init__(self, clock: Clock, spans: Timers, cancel: Callable[[int, Failure], bool]) -> None:
        self._clock = clock
        self._spans = spans
        self._cancel = cancel

    def set(self, running: Running) -> None:
        """Set what is not set yet: a flow's time counts from its first start, waits included."""
        limit = running.flow.run.timeout_secs
        if limit is not None and running.deadline is None and running.started_ms is not None:
            passed = (self._clock.now_ms() - running.started_ms) / 1000
            running.deadline = self._spans.after(limit - passed, partial(self.too_long, running))
        if running.machine.closing and running.closing is None:
            late = Failure(step=None, kind="timeout", message="finally took too long")
            end = partial(self._cancel, running.row.id, late)
            running.closing = self._spans.after(LIMIT_SECS, end)

    def clear(self, running: Running) -> None:
        """The execution is not live any more."""
        for timer in (running.deadline, running.closing):
            if timer is not None:
                timer.cancel()
        running.deadline = running.closing = None

    def too_long(self, running: Running) -> None:
        """End an execution whose `run.timeout` is over."""
        limit = format_duration(running.flow.run.timeout_secs or 0)
        message = f"the flow ran longer than its timeout of {limit}"
        if not running.machine.closing:
            self._cancel(running.row.id, Failure(step=None, kind="timeout", message=message))
