"""Where an execution goes after `do`: output, `on_error`, dead letter, `finally`, end."""

from collections.abc import Callable, Mapping
from typing import Any

from reactor.engine.failures import plain
from reactor.engine.state import detached
from reactor.engine.turns import Ended
from reactor.errors import EvaluationError
from reactor.model.execution import Failure, State
from reactor.model.flow import AnyStep, Flow

LIMIT_SECS = 300.0  # `finally` and `undo` in all (semantics.md 4)


class Course:
    """The phases of one execution: do, on_error, dead_letter, finally, ended.

    A flow that failed stays failed; `stop` ends one that did not as ok; a cancelled one and one
    that took too long go without `on_error`.
    """

    def __init__(
        self,
        flow: Flow,
        names: dict[str, Any],
        history: Mapping[tuple[str, str], Any],
        walk: Callable[[tuple[AnyStep, ...], Ended], None],
        note: Callable[[str, str, Any], None],
    ) -> None:
        self.phase = "do"
        self.halved = False  # a batch that goes on as two: its failure is nobody's yet
        self.ended: State | None = None
        self.error: Failure | None = None
        self.output: Any = None
        self._flow = flow
        self._names = names
        self._history = history
        self._walk = walk
        self._note = note
        self._verdict = State.OK

    def do_ended(self, failure: Failure | None) -> None:
        """The steps of `do` are through."""
        if failure is None:
            failure = self._compute_output()
        if failure is None:
            self.close()
            return
        self._fail(failure)
        if self.halved:
            self.close()
            return
        self.phase = "on_error"
        self._walk(self._flow.on_error, lambda _: self._dead_letter())

    def stop(self) -> None:
        """A `stop` step was reached."""
        if self.phase == "do":
            self.do_ended(None)
        elif self.phase == "finally":
            self.end()
        else:
            self.close()

    def give_up(self, error: Failure) -> None:
        """The execution was cancelled, or ran longer than it may."""
        self._fail(error)
        if error.kind == "cancelled":
            self._verdict = State.CANCELLED
            self.close()
        elif self.phase == "dead_letter" or self.halved:
            self.close()
        else:
            self._dead_letter()

    def close(self) -> None:
        """Go to `finally`."""
        self.phase = "finally"
        if self._flow.finally_:
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
        self._walk = self._note = _nothing

    def _dead_letter(self) -> None:
        self.phase = "dead_letter"
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


def _nothing(*_: object) -> None:
    """The machine has been let go."""
