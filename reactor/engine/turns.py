"""One step of an execution while it is at work, and the blocks of steps that are walked."""

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from reactor.model.execution import Failure
from reactor.model.flow import ActionStep, AnyStep

_ATTEMPT = re.compile(r"~[0-9]+")

Ended = Callable[[Failure | None], None]
Wake = Callable[["Turn"], None]


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


class Ground(Struct, gc=False):
    """Where a block runs: the names its steps see, and what makes their paths unique.

    `suffix` is `@index` for each loop around (`do.0.do.1@3`), `~attempt` for each control step that
    is tried again; `inside` is the path of the control step around, `above` the ground that one
    stands on.
    """

    names: dict[str, Any]
    suffix: str = ""
    inside: str = ""
    above: "Ground | None" = None

    def within(self, path: str) -> bool:
        """Whether the control step at this path is somewhere around."""
        ground: Ground | None = self
        while ground is not None:
            if ground.inside == path:
                return True
            ground = ground.above
        return False


class Block(Struct, gc=False):
    """A list of steps being walked; `ended` is called with the failure that ended it, or None."""

    steps: tuple[AnyStep, ...]
    ended: Ended
    ground: Ground
    at: int = 0

    def leave(self, failure: Failure | None) -> None:
        """End the block here."""
        self.at = len(self.steps)
        self.ended(failure)


class Turn(Struct, gc=False):
    """One step while it is at work: from the moment it became ready to its result.

    `due_ms` is the stored time it sleeps to, `wake` what happens then, `held` the connection whose
    turn it waits for.
    """

    step: AnyStep
    path: str
    block: Block
    ready_ms: int
    shown: Any = None
    attempt: int = 1
    act: Act | None = None
    due_ms: int | None = None
    wake: Wake | None = None
    held: str | None = None

    @property
    def began_ms(self) -> int:
        """When the attempt under way began: as it became ready, or as the stored time came."""
        return self.ready_ms if self.due_ms is None else self.due_ms

    @property
    def names(self) -> dict[str, Any]:
        """What the step's expressions see."""
        return self.block.ground.names


def key_path(path: str) -> str:
    """The part of a step's key that its path gives: the same for each attempt around it."""
    return _ATTEMPT.sub("", path) if "~" in path else path
