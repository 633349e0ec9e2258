"""Branches that run at once, and the verdict that joins them."""

from functools import partial
from typing import Any

from reactor.engine.frames import Frame, Walk, last_output
from reactor.engine.recall import recall_inside
from reactor.engine.turns import Turn
from reactor.expr.parse import Expression
from reactor.model.execution import Failure
from reactor.model.flow import AnyStep, ParallelStep


class ParallelFrame(Frame):
    """All branches until `join` is decided; the rest are dropped.

    Its output is a map of the outputs of the branches that ended well.
    """

    def __init__(self, turn: Turn, walk: Walk, step: ParallelStep) -> None:
        super().__init__(turn, walk)
        self.step = step
        self.branches: dict[str, dict[str, Any]] = {
            name: {"status": "running", "output": None} for name, _ in step.branches
        }
        self.failure: Failure | None = None

    def begin(self) -> None:
        """Walk every branch; where the verdict is known, only what is left of taking back."""
        joined = self.walk.recorded(self.path, "joined")
        if joined is not None:
            self.branches = joined
            recall_inside(self.step, self.ground, self.walk.recorded)
            if not self._unwind():
                self._close()
            return
        for name, steps in self.step.branches:
            ground = self.inner("")
            self.walk.push(steps, partial(self._ended, name, steps, ground.names), ground)

    def _ended(
        self,
        name: str,
        steps: tuple[AnyStep, ...],
        names: dict[str, Any],
        failure: Failure | None,
    ) -> None:
        output = None if failure is not None else last_output(steps, names)
        status = "ok" if failure is None else "failed"
        self.branches[name] = {"status": status, "output": output}
        self.failure = failure or self.failure
        self.decide(partial(self._judge, failure))

    def _judge(self, failure: Failure | None) -> None:
        join, states = self.step.join, [each["status"] for each in self.branches.values()]
        ok, running = states.count("ok"), states.count("running")
        if join == "all":
            self._verdict(good=not running, bad=failure is not None)
        elif join == "first":
            self._verdict(good=failure is None, bad=failure is not None)
        elif isinstance(join, Expression):
            holds = join.test({**self.ground.names, "branches": self.branches})
            self._verdict(good=holds, bad=not running)
        else:
            wanted = 1 if join == "any" else int(join)
            self._verdict(good=ok >= wanted, bad=ok + running < wanted)

    def _verdict(self, *, good: bool, bad: bool) -> None:
        if bad and not good:
            if self.failure is None:
                self.fail("join", "all branches ended and join does not hold")
            else:
                self.walk.close(self.turn, None, self.failure)
        elif good and not (self.step.join == "all" and bad):
            if self._unwind():
                self.walk.note(self.path, "joined", self.branches)
            else:
                self._close()

    def _unwind(self) -> bool:
        """Whether losers have something to take back; the step ends after that."""
        losers = [name for name, each in self.branches.items() if each["status"] != "ok"]
        begins = [f"{self.step.path}.{name}." for name in losers]
        return self.walk.unwind(self.turn, begins, self.ground, self._close)

    def _close(self) -> None:
        done = self.branches.items()
        output = {name: each["output"] for name, each in done if each["status"] == "ok"}
        self.walk.close(self.turn, output, None)
