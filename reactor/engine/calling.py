"""Calling another flow: its execution starts in the commit of the step, and is waited for."""

from typing import Any

from reactor.engine.asking import AskingFrame, Heard
from reactor.engine.frames import Walk
from reactor.engine.turns import Turn
from reactor.engine.words import Calling, Emission
from reactor.ids import id_text
from reactor.model.event import Received
from reactor.model.execution import Failure, State
from reactor.model.flow import CallStep
from reactor.store import Open
from reactor.store.hearing import Wait

CALL = "\tcall"  # no flow stands before it: whoever ends knows only the number


class CallFrame(AskingFrame):
    """Another flow, run with inputs; its output is that flow's, or the execution if detached."""

    word = "call"

    def __init__(self, turn: Turn, walk: Walk, step: CallStep) -> None:
        super().__init__(turn, walk)
        self.step = step
        self._child: int | None = None

    @property
    def child(self) -> int | None:
        """The execution that was started."""
        return self._child

    def begin(self) -> None:
        """Start the flow, once, and wait for its end unless detached."""
        chosen = self.walk.recorded(self.path, "chose")
        new = chosen is None
        if chosen is None:
            chosen = self._start()
            self.walk.note(self.path, "chose", chosen)
        child = chosen["execution"]
        if self.step.detach:
            self.walk.close(self.turn, {"execution": id_text("exe", child)}, None)
            return
        self._child = child
        self.register(Wait(CALL, str(child), self.walk.stage.execution, self.path), new=new)

    def _start(self) -> dict[str, Any]:
        stage, step = self.walk.stage, self.step
        inputs = step.inputs.render(self.ground.names)
        event, child = stage.new_id(), stage.new_id()
        received = Received(
            data=inputs, time_ms=self.walk.now_ms, parent=stage.event, depth=stage.depth + 1
        )
        parent = None if step.detach else stage.execution
        calling = Calling(step.flow, child, parent)
        stage.emissions.append(Emission(event, "call", received, calling))
        shown = {"call": step.flow, "with": inputs, "execution": id_text("exe", child)}
        return {"execution": child, "input": shown}

    def take(self, answer: Heard) -> bool:
        """Whether the called execution has ended, and how."""
        found, name = answer.child, self.step.flow
        if found is None:
            why = "it is not there any more, or calls are more than 32 deep"
            self.fail("not_found", f"flow {name!r} was not started: {why}")
            return True
        row = found.execution
        if not row.state.ended:
            return False
        self._child = None
        if row.state is State.OK:
            self.walk.close(self.turn, _output(found), None)
        else:
            self.walk.close(self.turn, None, self._failure(found))
        return True

    def _failure(self, found: Open) -> Failure:
        row = found.execution
        error, number = row.error, id_text("exe", row.id)
        told = None
        if error is not None:
            told = {"step": error.step, "kind": error.kind, "message": error.message}
        output = {"execution": number, "error": told}
        if row.state is State.SKIPPED:
            kind, said = "skipped", f"did not run: {row.reason}"
        elif error is None:
            kind, said = row.state.word, f"was {row.state.word}"
        else:
            kind, said = error.kind, f"{row.state.word}: {error.message}"
        message = f"flow {self.step.flow!r} {said} ({number})"
        return Failure(step=self.turn.step.id, kind=kind, message=message, output=output)

    def too_long(self) -> None:
        """Its time is over: the called flow is cancelled."""
        self._cancel()
        super().too_long()

    def leave(self) -> None:
        """It was given up: so is the called flow."""
        self._cancel()
        super().leave()

    def _cancel(self) -> None:
        if self._child is not None:
            self.walk.stage.cancels.append(self._child)
            self._child = None


def _output(found: Open) -> Any:
    return next((each.value for each in found.journal if each.kind == "output"), None)
