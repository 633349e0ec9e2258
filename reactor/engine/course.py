"""Where an execution goes after `do`: output, undo, `on_error`, dead letter, `finally`, end."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from reactor.engine.failures import plain
from reactor.engine.state import detached
from reactor.engine.turns import Ended
from reactor.engine.undoing import Undoing
from reactor.errors import EvaluationError
from reactor.model.execution import Failure, State
from reactor.model.flow import AnyStep, Flow, inside, steps_of

LIMIT_SECS = 300.0  # `finally` and `undo`, each in all, unless a step there has longer
# With this a newer execution takes the place of one.
REPLACED = Failure(
    step=None, kind="replaced", message="a newer event took its place (run: mode: restart)"
)


class Course:
    """The phases of one execution: do, undo, on_error, dead_letter, finally, ended.

    A flow that failed stays failed; `stop` ends one that did not as ok; a cancelled one and one
    that took too long go without `on_error`, one whose place a newer one takes without `undo`.
    """

    def __init__(
        self,
        flow: Flow,
        names: dict[str, Any],
        history: Mapping[tuple[str, str], Any],
        walk: Callable[[tuple[AnyStep, ...], Ended], None],
        note: Callable[[str, str, Any], None],
        *,
        undoing: Undoing,
        now_ms: Callable[[], int],
    ) -> None:
        self.phase = "do"
        self.since_ms: int | None = None  # when `undo` or `finally` began, by the journal
        self.halved = False  # a batch that goes on as two: its failure is nobody's yet
        self.ended: State | None = None
        self.error: Failure | None = None
        self.output: Any = None
        self._flow = flow
        self._names = names
        self._history = history
        self._walk = walk
        self._note = note
        self._undoing = undoing
        self._now_ms = now_ms
        self._after_undo: Callable[[], None] = _nothing
        self._verdict = State.OK

    def do_ended(self, failure: Failure | None) -> None:
        """The steps of `do` are through."""
        if failure is None:
            failure = self._compute_output()
        if failure is None:
            self.close()
            return
        self._fail(failure)
        self._undo(self.close if self.halved else self._rescue)

    def stop(self) -> None:
        """A `stop` step was reached."""
        if self.phase == "do":
            self.do_ended(None)
        elif self.phase == "undo":
            self._undoing.stop(self._note)
            self._undo(self._after_undo)
        elif self.phase == "finally":
            self.end()
        else:
            self.close()

    def give_up(self, error: Failure) -> None:
        """The execution was cancelled, or ran longer than it may."""
        phase, replaced = self.phase, error.kind == REPLACED.kind
        if replaced:
            error = replace(error, kind="cancelled")
        self._fail(error)
        quiet = self.halved or phase == "dead_letter"
        after = self.close if quiet else self._dead_letter
        if error.kind == "cancelled":
            self._verdict = State.CANCELLED
            after = self.close
        if replaced:
            after()
        else:
            self._undo(after)

    def leave(self, error: Failure) -> None:
        """Leave `undo` or `finally` as it is, and go on after it; cancelled, end at once."""
        undoing = self.phase == "undo"
        if undoing:
            self._undoing.leave(error, self._note)
        if undoing and error.kind != "cancelled":
            self._undone()
        else:
            self.end()

    @property
    def limit_secs(self) -> float:
        """How long `undo` or `finally` may take in all: five minutes, or as long as one step."""
        steps = self._flow.finally_
        if self.phase == "undo":
            steps = tuple(each for step in steps_of(self._flow) for each in step.undo)
        return max(LIMIT_SECS, *(_longest(step) for step in steps))

    def close(self) -> None:
        """Go to `finally`."""
        self.phase, self.since_ms = "finally", None
        if self._flow.finally_:
            self._begin("closing")
            self._walk(self._flow.finally_, lambda _: self.end())
        else:
            self.end()

    def end(self) -> None:
        """All is through."""
        self.phase = "ended"
        self.ended = self._verdict
        self.let_go()

    def let_go(self) -> None:
        """Let go of the machine: executions go by reference counts, not by the collector."""
        self._walk = self._note = self._after_undo = _nothing
        self._now_ms = int

    def _undo(self, then: Callable[[], None]) -> None:
        pending = self._undoing.pending()
        if not pending:
            then()
            return
        self.phase = "undo"
        self._begin("undoing")
        self._after_undo = then
        self._undoing.run(pending, self._undone, self._note)

    def _undone(self) -> None:
        after, self._after_undo = self._after_undo, _nothing
        after()

    def _begin(self, kind: str) -> None:
        recorded = self._history.get(("", kind))
        if recorded is None:
            recorded = self._now_ms()
            self._note("", kind, recorded)
        self.since_ms = recorded

    def _rescue(self) -> None:
        self.phase, self.since_ms = "on_error", None
        self._walk(self._flow.on_error, lambda _: self._dead_letter())

    def _dead_letter(self) -> None:
        self.phase, self.since_ms = "dead_letter", None
        letter = self._flow.dead_letter
        self._walk(() if letter is None else (letter,), lambda _: self.close())

    def _compute_output(self) -> Failure | None:
        if self._flow.output is None:
            return None
        if ("", "output") in self._history:
            self.output = self._history["", "output"]
            return None
        try:
            output = self._flow.output.render(self._names)
        except EvaluationError as error:
            return Failure(step=None, kind="type", message=f"output: {error}")
        self.output = detached(output) if "state" in self._flow.output.roots else output
        self._note("", "output", self.output)
        return None

    def _fail(self, failure: Failure) -> None:
        self.error = failure
        self._verdict = State.FAILED
        self._names["error"] = plain(failure)


def _longest(step: AnyStep) -> float:
    """How long one step may take, by what is written beside it and the steps inside it."""
    retry = None if step.retry is None else step.retry.within_secs
    return max(step.timeout_secs or 0.0, retry or 0.0, *(_longest(each) for each in inside(step)))


def _nothing(*_: object) -> None:
    """The machine has been let go."""
