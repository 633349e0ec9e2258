"""Control steps at work: what each is to the machine, and what it may ask of the machine."""

from collections.abc import Callable
from typing import Any, Protocol

from reactor.engine.failures import failure_of
from reactor.engine.turns import Block, Ended, Ground, Turn
from reactor.engine.words import Stage
from reactor.errors import EvaluationError
from reactor.model.execution import Failure
from reactor.model.flow import AnyStep
from reactor.units import format_duration


class Walk(Protocol):
    """The walk over a flow, as control steps see it. Nothing here recurses: blocks are queued."""

    now_ms: int

    @property
    def stage(self) -> Stage:
        """What the steps act on."""
        ...

    @property
    def taken(self) -> set[int]:
        """The events that steps of this execution have waited for and got."""
        ...

    def note(self, path: str, kind: str, value: Any) -> None:
        """Add an entry to the journal."""
        ...

    @property
    def undecided(self) -> bool:
        """Whether `state` was set and the disk does not have it yet."""
        ...

    def recorded(self, path: str, kind: str) -> Any:
        """What the journal had of a decision when the execution was taken up, or None."""
        ...

    def push(self, steps: tuple[AnyStep, ...], ended: Ended, ground: Ground) -> None:
        """Walk these steps soon; `ended` is called when they are through."""
        ...

    def pause(self, block: Block) -> None:
        """Walk this block after the next commit."""
        ...

    def unwind(
        self, turn: Turn, begins: list[str], ground: Ground, then: Callable[[], None]
    ) -> bool:
        """Drop what is open inside a control step and take back what began there, then go on.

        False, with nothing done, where nothing can be taken back.
        """
        ...

    def close(self, turn: Turn, output: Any, failure: Failure | None) -> None:
        """End a control step; all that is open inside it is dropped."""
        ...


class Frame:
    """One control step at work, for one attempt.

    `ground` is where its steps run. `limit_ms` is when it has taken too long; while it sleeps,
    `due_ms` is the stored time to which it does. `asks` says that it must be told something before
    the execution may rest, `word` what it rests for.
    """

    asks = False
    word = "wait"

    def __init__(self, turn: Turn, walk: Walk) -> None:
        self.turn = turn
        self.walk = walk
        around = turn.block.ground
        again = f"~{turn.attempt}" if turn.attempt > 1 else ""
        self.ground = Ground(around.names, around.suffix + again, turn.path, around)
        self.due_ms: int | None = None
        self.limit_ms: int | None = None
        if turn.step.timeout_secs is not None and turn.step.each is None:
            self.limit_ms = turn.began_ms + round(turn.step.timeout_secs * 1000)

    @property
    def path(self) -> str:
        """Where its decisions are in the journal."""
        return self.turn.path if self.turn.attempt == 1 else f"{self.turn.path}~{self.turn.attempt}"

    @property
    def rests(self) -> bool:
        """Whether it waits for a stored time, or for something outside."""
        return self.due_ms is not None

    def begin(self) -> None:
        """Start, or go on from what the journal has; EvaluationError fails the step."""
        raise NotImplementedError

    def tick(self) -> None:
        """Go on if it is time to."""
        now_ms = self.walk.now_ms
        if self.due_ms is not None and self.due_ms <= now_ms:
            self.due_ms = None
            self.wake()
        elif self.limit_ms is not None and self.limit_ms <= now_ms:
            self.too_long()

    def wake(self) -> None:
        """The time it slept to has come."""
        raise NotImplementedError

    def too_long(self) -> None:
        """Its `timeout` is over."""
        limit = format_duration(self.turn.step.timeout_secs or 0)
        self.fail("timeout", f"it took longer than its timeout of {limit}")

    def ended(self) -> None:
        """The step has ended."""

    def leave(self) -> None:
        """The step was given up."""

    def fail(self, kind: str, message: str) -> None:
        """End it as failed, for a reason of its own."""
        failure = Failure(step=self.turn.step.id, kind=kind, message=message)
        self.walk.close(self.turn, None, failure)

    def decide(self, decision: Callable[[], None]) -> None:
        """Take a decision; an expression without a value fails the step."""
        try:
            decision()
        except EvaluationError as error:
            self.walk.close(self.turn, None, failure_of(self.turn.step.id, error))

    def inner(self, suffix: str, **names: Any) -> Ground:
        """Ground of its own for a round, an item or a branch; `names` are what it sees besides."""
        seen = {**self.ground.names, **names}
        return Ground(seen, self.ground.suffix + suffix, self.turn.path, self.ground.above)


def last_output(steps: tuple[AnyStep, ...], names: dict[str, Any]) -> Any:
    """What a list of steps gave: the output of its last one."""
    result = names["steps"].get(steps[-1].id) if steps else None
    return None if result is None else result["output"]
