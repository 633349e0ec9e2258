"""A world in which one flow runs and nothing outside is touched."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from reactor.loading.context import Loading
from reactor.model.flow import (
    ActionStep,
    AnyStep,
    CallStep,
    ChooseStep,
    Flow,
    GroupStep,
    ParallelStep,
    RepeatStep,
    WaitStep,
)
from reactor.testing.handclock import HandClock
from reactor.testing.mocks import CALL, Answers, Mocks, Unknown
from reactor.testing.world import World

_KEPT = frozenset(CallStep.__struct_fields__) - {"flow", "inputs", "detach"}


def rehearsal(
    flow: Flow,
    loading: Loading,
    answers: Answers,
    unknown: Unknown,
    *,
    now_ms: int,
    env: Mapping[str, str] | None = None,
    ticking: bool = False,
) -> World:
    """A world for a flow that was `rehearsed`: it knows any secret, says nothing, has no chance."""
    return World(
        flow,
        loading=loading,
        acting=Mocks(loading.catalog, answers, unknown),
        ticking=ticking,
        clock=HandClock(now_ms),
        secrets=lambda name: f"secret-{name}",
        env=env,
        chance=lambda: 0.0,
        say=lambda *_: None,
    )


def rehearsed(flow: Flow) -> Flow:
    """The flow as a test runs it: calls of other flows are actions, and nothing is left to chance.

    It runs also where it is disabled. It keeps its version: paths, ids and all that is decided are
    the same.
    """
    letter = flow.dead_letter
    return replace(
        flow,
        enabled=True,
        do=_rehearsed(flow.do),
        on_error=_rehearsed(flow.on_error),
        finally_=_rehearsed(flow.finally_),
        dead_letter=None if letter is None else replace(letter, retry=_sure(letter)),
    )


def _sure(step: AnyStep) -> Any:
    return None if step.retry is None else replace(step.retry, full_jitter=False)


def _rehearsed(steps: tuple[AnyStep, ...]) -> tuple[AnyStep, ...]:
    return tuple(map(_step, steps))


def _step(step: AnyStep) -> AnyStep:
    changed: dict[str, Any] = {"retry": _sure(step), "undo": _rehearsed(step.undo)}
    if isinstance(step.on_error, tuple):
        changed["on_error"] = _rehearsed(step.on_error)
    if isinstance(step, CallStep):
        kept = {name: getattr(step, name) for name in ActionStep.__struct_fields__ if name in _KEPT}
        return ActionStep(**{**kept, **changed}, action=CALL, config=step.inputs)
    if isinstance(step, GroupStep | RepeatStep):
        changed["do"] = _rehearsed(step.do)
    elif isinstance(step, ParallelStep):
        changed["branches"] = tuple((name, _rehearsed(inner)) for name, inner in step.branches)
    elif isinstance(step, ChooseStep):
        choices = (replace(choice, do=_rehearsed(choice.do)) for choice in step.choices)
        changed["choices"] = tuple(choices)
    elif isinstance(step, WaitStep):
        changed["notify"] = _rehearsed(step.notify)
    return replace(step, **changed)
