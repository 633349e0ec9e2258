"""The control steps that take one way: groups, choose, wait; and the door to all of them."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from reactor.clock import to_ms
from reactor.engine.calling import CallFrame
from reactor.engine.frames import Frame, Walk, last_output
from reactor.engine.loops import EachFrame, RepeatFrame
from reactor.engine.moments import next_time_of_day
from reactor.engine.parallel import ParallelFrame
from reactor.engine.turns import Turn
from reactor.engine.waiting import ApprovalFrame, EventFrame
from reactor.errors import ActionFailed
from reactor.expr.values import kind
from reactor.model.execution import Failure
from reactor.model.flow import (
    AnyStep,
    CallStep,
    ChooseStep,
    GroupStep,
    ParallelStep,
    RepeatStep,
    WaitStep,
)
from reactor.units import parse_duration

_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")


def frame_of(turn: Turn, walk: Walk) -> Frame:
    """The control step of a turn, at work."""
    step = turn.step
    if step.each is not None:
        return EachFrame(turn, walk)
    if isinstance(step, GroupStep):
        return GroupFrame(turn, walk, step)
    if isinstance(step, ChooseStep):
        return ChooseFrame(turn, walk, step)
    if isinstance(step, RepeatStep):
        return RepeatFrame(turn, walk, step)
    if isinstance(step, ParallelStep):
        return ParallelFrame(turn, walk, step)
    if isinstance(step, WaitStep):
        return _WAITS[step.form](turn, walk, step)
    if isinstance(step, CallStep):
        return CallFrame(turn, walk, step)
    raise ActionFailed(f"{type(step).__name__} is not built yet", kind="not_built")


class GroupFrame(Frame):
    """Steps that share retry, timeout and on_error; its output is that of its last step."""

    def __init__(self, turn: Turn, walk: Walk, step: GroupStep) -> None:
        super().__init__(turn, walk)
        self.step = step

    def begin(self) -> None:
        """Walk the steps."""
        self.walk.push(self.step.do, self._ended, self.ground)

    def _ended(self, failure: Failure | None) -> None:
        output = last_output(self.step.do, self.ground.names) if failure is None else None
        self.walk.close(self.turn, output, failure)


class ChooseFrame(Frame):
    """The first choice whose conditions hold; its output is that of the choice's last step."""

    def __init__(self, turn: Turn, walk: Walk, step: ChooseStep) -> None:
        super().__init__(turn, walk)
        self.step = step

    def begin(self) -> None:
        """Choose, and walk the steps chosen."""
        chosen = self.walk.recorded(self.path, "chose")
        if chosen is None:
            chosen = self._choose()
            self.walk.note(self.path, "chose", chosen)
        if chosen < 0:
            self.walk.close(self.turn, None, None)
            return
        steps = self.step.choices[chosen].do
        self.walk.push(steps, partial(self._ended, steps), self.ground)

    def _choose(self) -> int:
        names = self.ground.names
        for number, choice in enumerate(self.step.choices):
            if all(condition.test(names) for condition in choice.only_if) and not any(
                condition.test(names) for condition in choice.unless
            ):
                return number
        return -1

    def _ended(self, steps: tuple[AnyStep, ...], failure: Failure | None) -> None:
        output = last_output(steps, self.ground.names) if failure is None else None
        self.walk.close(self.turn, output, failure)


class WaitFrame(Frame):
    """A stored time. Nothing of a waiting execution is in memory when all that is open waits."""

    def __init__(self, turn: Turn, walk: Walk, step: WaitStep) -> None:
        super().__init__(turn, walk)
        self.step = step

    def begin(self) -> None:
        """Decide until when, once, and sleep."""
        due_ms = self.walk.recorded(self.path, "chose")
        if due_ms is None:
            due_ms = self._due_ms()
            self.walk.note(self.path, "chose", due_ms)
        if due_ms <= self.walk.now_ms:
            self.walk.close(self.turn, None, None)
        else:
            self.due_ms = due_ms

    def wake(self) -> None:
        """It is time."""
        self.walk.close(self.turn, None, None)

    def _due_ms(self) -> int:
        config = self.step.config
        given = None if config is None else config.render(self.ground.names)
        if self.step.form == "duration":
            return self.walk.now_ms + _span_ms(given)
        return _moment_ms(given, self.walk.now_ms, self.step.tz)


_WAITS: Mapping[str, Callable[[Turn, Walk, WaitStep], Frame]] = {
    "duration": WaitFrame,
    "until": WaitFrame,
    "when": EventFrame,
    "approval": ApprovalFrame,
}


def _span_ms(given: Any) -> int:
    try:
        return round(parse_duration(given) * 1000)
    except (TypeError, ValueError) as error:
        raise ActionFailed(f"wait: {error}", kind="type") from error


def _moment_ms(given: Any, now_ms: int, tz: str) -> int:
    wanted, days = given["until"], tuple(given.get("days") or ())
    if isinstance(wanted, datetime):
        return to_ms(wanted)
    if isinstance(wanted, str) and (found := _TIME_OF_DAY.fullmatch(wanted.strip())):
        hour, minute, second = (int(part or 0) for part in found.groups())
        return next_time_of_day(now_ms, (hour, minute, second), given.get("tz") or tz, days)
    try:
        moment = datetime.fromisoformat(wanted)
    except (TypeError, ValueError):
        shown = wanted if isinstance(wanted, str) else kind(wanted)
        message = f"wait: until is {shown!r}, not a time such as 08:00 or 2026-01-31T08:00:00Z"
        raise ActionFailed(message, kind="type") from None
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
