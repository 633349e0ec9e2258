"""Takes the result of a step from the journal, as if it had just ended so."""

from typing import Any, Protocol

from reactor.engine.failures import failure_of, from_plain
from reactor.engine.recall import recall
from reactor.engine.render import Rendering
from reactor.engine.turns import Block, Turn
from reactor.errors import ActionFailed, EvaluationError
from reactor.model.execution import Failure
from reactor.model.flow import ActionStep


class Replayed(Protocol):
    """The walk, as a replayed step sees it."""

    rendering: Rendering

    def recorded(self, path: str, kind: str) -> Any:
        """What the journal has of a decision."""
        ...

    def rescue(self, turn: Turn, error: dict[str, Any]) -> bool:
        """Do what `on_error` of a failed step says."""
        ...

    def failed(self, turn: Turn, failure: Failure, now_ms: int) -> bool:
        """End a step as failed."""
        ...

    def stop(self, block: Block) -> None:
        """End the flow here."""
        ...


def replay(walk: Replayed, turn: Turn, done: Any) -> bool:
    """Take a result that the journal has; whether the walk goes on with the next step at once."""
    step, names = turn.step, turn.names
    result = {name: done[name] for name in ("output", "status", "error", "attempts")}
    names["steps"][step.id] = result
    if not isinstance(step, ActionStep) or step.each is not None:
        recall(step, turn.block.ground, walk.recorded)
    if done["status"] == "cancelled":
        return False
    if done["status"] == "failed":
        if step.each is not None:
            turn.block.leave(from_plain(done["error"]))
            return False
        return walk.rescue(turn, done["error"])
    if done["status"] == "ok" and isinstance(step, ActionStep) and step.each is None:
        if step.action == "stop":
            walk.stop(turn.block)
            return False
        if step.action == "vars":
            return _name_again(walk, turn, step, done["input"])
    return True


def _name_again(walk: Replayed, turn: Turn, step: ActionStep, stored: Any) -> bool:
    """Give `vars` the values that they had; what holds a secret is read anew."""
    real = stored
    if walk.rendering.has_secrets(step):
        try:
            real = walk.rendering.config(step, turn.names)[0]
        except (EvaluationError, ActionFailed) as error:
            return walk.failed(turn, failure_of(step.id, error), turn.ready_ms)
    walk.rendering.add_vars(real, stored, turn.names)
    return True
