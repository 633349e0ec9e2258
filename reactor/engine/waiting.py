"""Waiting for an event or for a person: `wait: {when: …}` and `wait: {approval: …}`."""

from typing import Any

from reactor.clock import instant
from reactor.engine.asking import AskingFrame, Heard, told_by
from reactor.engine.ears import ear_of
from reactor.engine.frames import Walk
from reactor.engine.router import view_of
from reactor.engine.turns import Turn
from reactor.engine.words import LogLine
from reactor.errors import EvaluationError
from reactor.ids import id_text
from reactor.model.event import Event, Received
from reactor.model.execution import Failure
from reactor.model.flow import WaitStep
from reactor.store.hearing import Wait

APPROVAL = "approval"
_WARNING = 30


class EventFrame(AskingFrame):
    """The first event that fits, from the start of the execution on; its output is the event."""

    word = "event"

    def __init__(self, turn: Turn, walk: Walk, step: WaitStep) -> None:
        super().__init__(turn, walk)
        self.step = step
        self._took: int | None = None

    def begin(self) -> None:
        """Decide what to wait for, once, and look back."""
        self._took = self.walk.recorded(self.path, "took")
        chosen = self.walk.recorded(self.path, "chose")
        new = chosen is None
        if chosen is None:
            chosen = self._choose()
            self.walk.note(self.path, "chose", chosen)
        self.wait_for(chosen, new=new)

    def wait_for(self, chosen: dict[str, Any], *, new: bool) -> None:
        """Wait under the name and key that were chosen."""
        stage = self.walk.stage
        wait = Wait(chosen["name"], chosen["key"], stage.execution, self.path)
        self.register(wait, new=new)

    def _choose(self) -> dict[str, Any]:
        ear = ear_of(self.walk.stage.flow, self.step)
        key = ear.own_key(self.ground.names)
        shown: dict[str, Any] = {
            "when": ear.trigger.source,
            "only_if": [each.text for each in self._all()],
        }
        if self.limit_ms is not None:
            shown["until"] = instant(self.limit_ms)
        return {"name": ear.name, "key": key, "input": shown}

    def _all(self) -> tuple[Any, ...]:
        return () if self.step.when is None else self.step.when.only_if

    def take(self, answer: Heard) -> bool:
        """Take the first event that fits and was not taken by a step before."""
        taken = self.walk.taken
        for event in answer.events:
            self.after = event.id
            if event.id in taken and event.id != self._took:
                continue
            if not told_by(event, self.limit_ms):
                break
            view = _view(event)
            if event.id == self._took or self.fits(view):
                self.walk.note(self.path, "took", event.id)
                taken.add(event.id)
                self.finish(view)
                return True
        return False

    def fits(self, view: dict[str, Any]) -> bool:
        """Whether the conditions hold for an event; a wrong type is told, and the event passes."""
        trigger, names = self.step.when, {**self.ground.names, "incoming": view}
        names["now"] = instant(self.turn.ready_ms)
        if trigger is None:
            return True
        try:
            return all(condition.test(names) for condition in trigger.only_if) and not any(
                condition.test(names) for condition in trigger.unless
            )
        except EvaluationError as error:
            text = f"event {view['id']} could not be judged: {error}"
            self.walk.stage.lines.append(LogLine(self.turn.path, _WARNING, text))
            return False

    def finish(self, view: dict[str, Any]) -> None:
        """The step ends with the event."""
        self.walk.close(self.turn, view, None)


class ApprovalFrame(EventFrame):
    """A person's answer; its output is who and when and what the form says."""

    word = "approval"

    def begin(self) -> None:
        """Ask, and let `notify` tell whoever may answer."""
        config = self.step.config
        chosen = self.walk.recorded(self.path, "chose")
        self._took = self.walk.recorded(self.path, "took")
        new = chosen is None
        if chosen is None:
            given = {} if config is None else config.render(self.ground.names)
            shown = {"approval": given.get("approval"), "form": given.get("form") or {}}
            if self.limit_ms is not None:
                shown["until"] = instant(self.limit_ms)
            stage = self.walk.stage
            name = f"{stage.flow.name}\t{APPROVAL}"
            chosen = {"name": name, "key": f"{stage.execution}:{self.path}", "input": shown}
            self.walk.note(self.path, "chose", chosen)
        self.wait_for(chosen, new=new)
        if self.step.notify:
            self.walk.push(self.step.notify, self._notified, self.ground)

    def _notified(self, failure: Failure | None) -> None:
        if failure is not None:
            self.walk.close(self.turn, None, failure)

    def fits(self, view: dict[str, Any]) -> bool:
        """Whoever answered knew what."""
        return True

    def finish(self, view: dict[str, Any]) -> None:
        """Approved, or failed as denied."""
        answer = view["data"]
        if answer["approved"]:
            output = {"by": answer["by"], "at": view["time"], **answer["form"]}
            self.walk.close(self.turn, output, None)
            return
        said = f": {answer['message']}" if answer["message"] else ""
        self.fail("denied", f"denied by {answer['by']}{said}")


def _view(event: Event) -> dict[str, Any]:
    received = Received(data=event.data, fields=event.fields, type=event.type, key=event.key)
    number = id_text("evt", event.id)
    return view_of(received, source=event.source, event_id=number, time_ms=event.time_ms)
