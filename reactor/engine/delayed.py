"""Executions that a throttle keeps waiting: queued rows with a time before which none starts."""

from collections.abc import Callable

from msgspec.structs import replace

from reactor.clock import Clock
from reactor.engine.alarms import NEAR_MS
from reactor.engine.course import REPLACED
from reactor.engine.lanes import Admission, Lane
from reactor.engine.outcomes import Outcomes
from reactor.engine.timers import Timers
from reactor.model.event import Outcome
from reactor.model.execution import Execution, Failure, State
from reactor.store import Change, End, NewExecution, Store, Write


class Delayed:
    """Admits executions to their lane when their time has come.

    `begin` starts one that has its slot, from the store; `cancel` ends one that must make room.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        moments: Timers,
        lane: Callable[[str], Lane],
        begin: Callable[[str, int], None],
        cancel: Callable[[int, Failure], None],
        outcomes: Outcomes,
    ) -> None:
        self.begin = begin
        self._store = store
        self._clock = clock
        self._moments = moments
        self._lane = lane
        self._cancel = cancel
        self._outcomes = outcomes
        self._set: set[int] = set()

    def put(self, write: Write, row: Execution, start_ms: int, now_ms: int) -> int:
        """Store a new execution that starts later, or (0) never; its number."""
        if start_ms == 0:
            dropped = replace(row, state=State.SKIPPED, reason="throttled", finished_ms=now_ms)
            write.executions.append(NewExecution(dropped, ()))
            return row.id
        waiting = replace(row, reason="throttled", due_ms=start_ms)
        write.executions.append(NewExecution(waiting, ()))
        self.watch(waiting)
        return row.id

    def watch(self, row: Execution) -> None:
        """Admit it at its time if that is near; the reconciler finds far ones."""
        due_ms = row.due_ms
        if due_ms is None or row.id in self._set or due_ms - self._clock.now_ms() > NEAR_MS:
            return
        self._set.add(row.id)
        self._moments.at(due_ms, lambda: self._admit(row))

    def _admit(self, row: Execution) -> None:
        verdict, now_ms = self._lane(row.flow).admit(row.id, row.key), self._clock.now_ms()
        write = Write()
        if verdict.supersede is not None:
            end = End(verdict.supersede, State.SKIPPED, None, now_ms, (), reason="superseded")
            write.ends.append(end)
        if verdict.admission is Admission.SKIP:
            write.ends.append(End(row.id, State.SKIPPED, None, now_ms, (), reason="busy"))
        else:
            write.changes.append(Change(row.id, State.QUEUED))
        skipped = [end.execution for end in write.ends]
        self._store.submit(write, lambda: self._admitted(row.id, skipped))
        if verdict.admission is Admission.START:
            self.begin(row.flow, row.id)
        if verdict.cancel is not None:
            self._cancel(verdict.cancel, REPLACED)

    def _admitted(self, execution: int, skipped: list[int]) -> None:
        self._set.discard(execution)  # only now does the store say that it is not due any more
        for number in skipped:
            self._outcomes.answer(Outcome(number, "skipped"))
