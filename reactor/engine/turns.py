"""One step of an execution while it is at work, and the blocks of steps that are walked."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from reactor.model.execution import Failure
from reactor.model.flow import ActionStep, AnyStep

Ended = Callable[[Failure | None], None]


class Act(Struct, gc=False):
    """An outside step to be performed now.

    `shown` is its input without secrets; `authored` says for each field that reaches outside how
    its text begins, as far as no event data wrote it.
    """

    step: ActionStep
    path: str
    config: Any
    shown: Any
    attempt: int
    timeout_secs: float | None
    authored: dict[str, str]


class Block(Struct, gc=False):
    """A list of steps being walked; `ended` is called with the failure that ended it, or None."""

    steps: tuple[AnyStep, ...]
    ended: Ended
    at: int = 0

    def leave(self, failure: Failure | None) -> None:
        """End the block here."""
        self.at = len(self.steps)
        self.ended(failure)


class Turn(Struct, gc=False):
    """One step while it is at work: from the moment it became ready to its result."""

    step: AnyStep
    path: str
    block: Block
    ready_ms: int
    shown: Any = None
    attempt: int = 1
    act: Act | None = None
    due_ms: int | None = None


def wanted(step: AnyStep, names: Mapping[str, Any]) -> bool:
    """Whether the conditions of a step let it run."""
    if not all(condition.test(names) for condition in step.only_if):
        return False
    return not any(condition.test(names) for condition in step.unless)


def reads_state(step: AnyStep) -> bool:
    """Whether a step must see what a `set` before it stored."""
    if any("state" in condition.roots for condition in (*step.only_if, *step.unless)):
        return True
    if not isinstance(step, ActionStep) or step.action == "set":
        return False
    return "state" in step.config.roots
