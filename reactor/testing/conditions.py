"""What the conditions of a flow and its steps came to, part by part."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from reactor.clock import instant
from reactor.engine.router import Surroundings, about_flow, constant_vars, names_of, view_of
from reactor.errors import EvaluationError
from reactor.expr.parse import Expression
from reactor.expr.trace import trace
from reactor.model.event import Received
from reactor.model.flow import AnyStep, ChooseStep, Flow, Trigger, steps_of
from reactor.testing.story import Told
from reactor.testing.world import World


class Asked(Struct, frozen=True):
    """One condition: where it stands, what it came to, and the values of its parts."""

    word: str
    text: str
    holds: bool | None
    parts: tuple[tuple[str, Any], ...]


def of_trigger(world: World, trigger: Trigger, received: Received, time_ms: int) -> list[Asked]:
    """The conditions of a trigger and its flow, as the event meets them."""
    router = world.engine.intake.router
    for candidate in router.instances().get(trigger.instance, []):
        if candidate.trigger is not trigger:
            continue
        view = view_of(received, source=trigger.source, event_id="", time_ms=time_ms)
        names = names_of(candidate, {**view, "trigger": trigger.id}, world.engine.around, time_ms)
        flow = candidate.flow
        return [
            *_asked("only_if", (*trigger.only_if, *flow.only_if), names),
            *_asked("unless", (*trigger.unless, *flow.unless), names),
        ]
    return []


def of_steps(flow: Flow, told: Told, around: Surroundings, event: Any) -> dict[str, list[Asked]]:
    """The conditions of steps that were reached, by step id.

    They are asked again with what was known at the end: inside loops the item is not.
    """
    journal = {entry.kind: entry.value for entry in told.opened.journal if entry.path == ""}
    names = {
        "event": event,
        "vars": {**constant_vars(flow), **(journal.get("vars") or {})},
        "steps": told.steps,
        "env": around.env,
        "state": around.state,
        "now": instant(told.opened.execution.created_ms),
        "flow": about_flow(flow),
        "error": told.facts["error"],
    }
    found = {}
    for step in steps_of(flow):
        asked = list(_of_step(step, names)) if step.id in told.steps else []
        if asked:
            found[step.id] = asked
    return found


def _of_step(step: AnyStep, names: Mapping[str, Any]) -> Iterator[Asked]:
    yield from _asked("only_if", step.only_if, names)
    yield from _asked("unless", step.unless, names)
    if isinstance(step, ChooseStep):
        for choice in step.choices:
            yield from _asked("only_if", choice.only_if, names)
            yield from _asked("unless", choice.unless, names)


def _asked(
    word: str, conditions: Iterable[Expression], names: Mapping[str, Any]
) -> Iterator[Asked]:
    for condition in conditions:
        holds: bool | None
        try:
            holds = condition.test(names)
        except EvaluationError:
            holds = None
        yield Asked(word, condition.text, holds, tuple(trace(condition, names)))
