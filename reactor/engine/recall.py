"""What an ended control step left for the steps after it, read from the journal."""

from collections.abc import Callable
from typing import Any

from reactor.engine.turns import Ground
from reactor.model.flow import (
    ActionStep,
    AnyStep,
    ChooseStep,
    GroupStep,
    ParallelStep,
    RepeatStep,
)

Recorded = Callable[[str, str], Any]


def recall(step: AnyStep, ground: Ground, recorded: Recorded) -> None:
    """Give the names the results of the steps inside; of a loop those of its last round."""
    if step.each is not None:
        return  # the items are not seen from outside
    done = recorded(step.path + ground.suffix, "done")
    if done is None:
        return
    again = f"~{done['attempts']}" if done["attempts"] > 1 else ""
    suffix = ground.suffix + again
    here = step.path + suffix
    if isinstance(step, RepeatStep):
        suffix += f"@{max(0, rounds(here, recorded) - 1)}"
    within = Ground(ground.names, suffix)
    for inner in _inside(step, here, recorded):
        _take(inner, within, recorded)


def recall_inside(step: AnyStep, ground: Ground, recorded: Recorded) -> None:
    """Give the names the results of the steps inside one that has not ended yet."""
    for inner in _inside(step, step.path + ground.suffix, recorded):
        _take(inner, ground, recorded)


def _take(step: AnyStep, ground: Ground, recorded: Recorded) -> None:
    done = recorded(step.path + ground.suffix, "done")
    if done is None:
        return
    result = {name: done[name] for name in ("output", "status", "error", "attempts")}
    ground.names["steps"][step.id] = result
    if not isinstance(step, ActionStep):
        recall(step, ground, recorded)
    if isinstance(step.on_error, tuple):
        for rescuer in step.on_error:
            _take(rescuer, ground, recorded)


def rounds(path: str, recorded: Recorded) -> int:
    """How many rounds of a `repeat` the journal has."""
    number = 0
    while recorded(f"{path}@{number}", "chose") is not None:
        number += 1
    return number


def _inside(step: AnyStep, path: str, recorded: Recorded) -> tuple[AnyStep, ...]:
    if isinstance(step, GroupStep | RepeatStep):
        return step.do
    if isinstance(step, ParallelStep):
        return tuple(inner for _, steps in step.branches for inner in steps)
    if isinstance(step, ChooseStep):
        chosen = recorded(path, "chose")
        return () if chosen is None or chosen < 0 else step.choices[chosen].do
    return ()
