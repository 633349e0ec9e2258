"""What an execution decided, let out once it is on disk: state, lines, replies, its end."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from reactor.engine.bell import Bell
from reactor.engine.meter import Meter
from reactor.engine.outcomes import Outcomes
from reactor.engine.state import SharedState
from reactor.engine.words import Stage
from reactor.ids import id_text
from reactor.model.event import Outcome
from reactor.model.execution import Execution, Failure, State

Say = Callable[[int, str, str, Mapping[str, str]], None]


def log_line(level: int, name: str, text: str, facts: Mapping[str, str]) -> None:
    """Say a flow's line through `logging`."""
    logging.getLogger(name).log(level, "%s", text, extra=dict(facts))


class Aftermath:
    """Tells the world after a commit."""

    def __init__(
        self, *, shared: SharedState, outcomes: Outcomes, meter: Meter, bell: Bell, say: Say
    ) -> None:
        self._shared = shared
        self._outcomes = outcomes
        self._meter = meter
        self._bell = bell
        self._say = say
        self._log = logging.getLogger("reactor.runner")

    def let_out(self, row: Execution, stage: Stage) -> None:
        """New values of `state`, the flow's lines, its reply."""
        if stage.states:
            states, stage.states = stage.states, []
            self._shared.commit(states)
        if stage.lines:
            lines, stage.lines = stage.lines, []
            execution = id_text("exe", row.id)
            for line in lines:
                facts = {"flow": row.flow, "execution": execution, "step": line.step}
                self._say(line.level, "reactor.flow", line.text, facts)
        if stage.reply is not None:
            reply, stage.reply = dict(stage.reply.reply), None
            self._outcomes.answer(Outcome(row.id, "replied", reply=reply))

    def ended(self, row: Execution, state: State, output: Any, error: Failure | None) -> None:
        """An execution is over."""
        word = state.word
        self._meter.finished(row.flow, word)
        if self._bell.listeners:
            self._bell.ring("execution", flow=row.flow, execution=row.id, state=word)
        if self._outcomes.awaited:
            kind = None if error is None else error.kind
            self._outcomes.answer(Outcome(row.id, word, output=output, error_kind=kind))
        if error is not None:
            execution = id_text("exe", row.id)
            facts = {"flow": row.flow, "execution": execution, "error": error.message}
            self._log.warning("execution failed", extra=facts)
