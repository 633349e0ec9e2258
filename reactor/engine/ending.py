"""What the end of an execution leaves: a dead letter if it failed, an event for `flow`."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import to_builtins

from reactor.clock import Clock
from reactor.engine.bisect import halves
from reactor.engine.hearing import Hearing, waits_in
from reactor.engine.lanes import Lane
from reactor.engine.making import Passed, Running
from reactor.engine.meter import Meter
from reactor.engine.weaver import Weaver
from reactor.engine.words import Emission
from reactor.ids import Ids, id_text
from reactor.model.event import Received
from reactor.model.execution import Execution, Failure, State
from reactor.store import Dead, End, Open, Write


class Endings:
    """Adds to an execution's last write what its end leaves."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        meter: Meter,
        lane: Callable[[str], Lane],
        weaver: Weaver,
        hearing: Hearing,
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._meter = meter
        self._lane = lane
        self._weaver = weaver
        self._hearing = hearing

    def rows(self, running: Running, write: Write, state: State) -> None:
        """Dead letters, an event of the end, and whoever called the flow is woken."""
        machine, row = running.machine, running.row
        if row.parent is not None:
            self._hearing.ended(row, write)
        now_ms = self._clock.now_ms()
        for step, why in machine.not_undone:
            write.dead.append(undo_letter(row, self._ids.next(), step, why, now_ms))
        if state is State.FAILED and running.batch is not None:
            for half in halves(write, row, running.batch, self._ids, now_ms):
                self._lane(row.flow).enqueue(half, row.key)
        elif state is State.FAILED:
            self._meter.dead += 1
            write.dead.append(dead_letter(row, machine.error, now_ms))
        if self._weaver.listens("flow"):
            received = end_of(row, state, machine.error, machine.output)
            running.stage.emissions.append(Emission(self._ids.next(), "flow", received))

    def passed(self, passed: Passed, write: Write) -> None:
        """The same for an execution that went straight."""
        row = passed.row
        if row.parent is not None:
            self._hearing.ended(row, write)
        if self._weaver.listens("flow"):
            received = end_of(row, row.state, None, passed.output)
            passed.stage.emissions.append(Emission(self._ids.next(), "flow", received))

    def bury(self, opened: Open, error: Failure, done: Callable[[], None]) -> None:
        """End a stored execution that must not run any more: no `finally`, a dead letter."""
        row, now_ms = opened.execution, self._clock.now_ms()
        state, journal = State.FAILED, opened.journal
        end = End(row.id, state, row.started_ms, now_ms, journal, None, error)
        write = Write(ends=[end], dead=[dead_letter(row, error, now_ms, error.kind)])
        write.unwaits += waits_in(row, journal)
        self._meter.dead += 1
        self._hearing.ended(row, write)
        emissions = []
        if self._weaver.listens("flow"):
            emissions.append(Emission(self._ids.next(), "flow", end_of(row, state, error)))
        self._weaver.submit(write, emissions, done)


def dead_letter(row: Execution, error: Failure | None, now_ms: int, kind: str = "failed") -> Dead:
    """The dead letter of a failed execution; it has the execution's number."""
    return Dead(
        id=row.id,
        kind=kind,
        flow=row.flow,
        event=row.event,
        execution=row.id,
        reason="" if error is None else error.message,
        created_ms=now_ms,
    )


def undo_letter(
    row: Execution, number: int, step: str, why: Mapping[str, Any], now_ms: int
) -> Dead:
    """The dead letter of a step that could not be taken back."""
    return Dead(
        id=number,
        kind="undo",
        flow=row.flow,
        event=row.event,
        execution=row.id,
        reason=f"undo of step {step!r}: {why['message']}",
        created_ms=now_ms,
    )


def end_of(row: Execution, state: State, error: Failure | None, output: Any = None) -> Received:
    """The event that tells flows with `flow: {finished: …}` of this end."""
    return Received(
        data={
            "flow": row.flow,
            "execution": id_text("exe", row.id),
            "state": state.word,
            "output": output,
            "error": None if error is None else to_builtins(error, builtin_types=(bytes,)),
        },
        type=state.word,
        identity=f"{row.id}:ended",
        parent=row.event,
        depth=row.depth + 1,
    )
