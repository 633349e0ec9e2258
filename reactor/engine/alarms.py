"""When waiting executions go on: a timer for what is near, the reconciler for the rest."""

from collections.abc import Callable

from reactor.clock import Clock
from reactor.engine.lanes import Lane
from reactor.engine.timers import Timer, Timers

NEAR_MS = 15_000  # what is due within this waits in memory, the rest in the store


class Alarms:
    """Gives waiting executions their turn when they are due."""

    def __init__(self, clock: Clock, moments: Timers, lane: Callable[[str], Lane]) -> None:
        self._clock = clock
        self._moments = moments
        self._lane = lane
        self._set: set[int] = set()

    def watch(self, execution: int, due_ms: int, flow: str) -> None:
        """Wake an execution at its time if that is near; the reconciler finds far ones."""
        if due_ms - self._clock.now_ms() > NEAR_MS or execution in self._set:
            return
        self._set.add(execution)

        def due() -> None:
            self._set.discard(execution)
            lane = self._lane(flow)
            lane.resume(execution)
            lane.turn()

        self._moments.at(due_ms, due)

    def at(self, due_ms: int, then: Callable[[], None]) -> Timer:
        """Call this at a time, for an execution that is live until then."""
        return self._moments.at(due_ms, then)

    def watches(self, execution: int) -> bool:
        """Whether an execution has its timer already."""
        return execution in self._set
