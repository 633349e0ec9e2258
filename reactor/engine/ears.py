"""What a `wait` hears: the name of its events, and the key by which an execution finds its own.

Whatever a condition demands of both sides (`incoming.data.id == event.data.id`) is the key: a
lookup instead of a question to each waiting execution. What it demands of the event alone is asked
when the event comes.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from reactor.engine.matching import matched
from reactor.expr.equalities import Path, joins
from reactor.expr.parse import Expression
from reactor.model.flow import Flow, Trigger, WaitStep, steps_of

_OWN_ROOTS = ("event", "steps", "vars", "item", "index", "execution")
_EARLY = frozenset({"incoming"})


class Ear(Struct, frozen=True, gc=False):
    """One `wait: {when: …}` of a flow, as events see it.

    `pairs` are the equal sides, each the path in the event and the one in the execution; `only_if`
    and `unless` are the conditions that the event alone decides.
    """

    name: str
    flow: Flow
    trigger: Trigger
    path: str
    pairs: tuple[tuple[Path, Path], ...]
    only_if: tuple[Expression, ...]
    unless: tuple[Expression, ...]

    def key_of(self, incoming: Mapping[str, Any]) -> str | None:
        """The key of an event, or None where no execution can take it; may raise EvaluationError.

        What the event alone does not decide is decided by each execution.
        """
        if not matched(self.trigger, incoming):
            return None
        names = {"incoming": incoming}
        wanted = all(condition.test(names) for condition in self.only_if)
        if not wanted or any(condition.test(names) for condition in self.unless):
            return None
        return _key(_at(names, path) for path, _ in self.pairs)

    def own_key(self, names: Mapping[str, Any]) -> str:
        """The key that an execution waits under."""
        return _key(_at(names, path) for _, path in self.pairs)


def ear_of(flow: Flow, step: WaitStep) -> Ear:
    """What a step of a flow hears."""
    trigger = step.when
    assert trigger is not None  # noqa: S101 - asked for waits with a trigger only
    early, late = _parted(trigger.only_if)
    unless, _ = _parted(trigger.unless)
    pairs = tuple(
        sorted(
            pair
            for condition in late
            for root in _OWN_ROOTS
            for pair in joins(condition, "incoming", root)
        )
    )
    texts = [[each.text for each in some] for some in (early, unless)]
    told = [trigger.instance, trigger.match, texts, [path for path, _ in pairs]]
    digest = hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]
    name = f"{flow.name}\t{digest}"
    return Ear(name, flow, trigger, step.path, pairs, tuple(early), tuple(unless))


def ears_of(flows: Iterable[Flow]) -> dict[str, list[Ear]]:
    """All that flows wait for, by subscription; what is heard under one name once."""
    found: dict[str, dict[str, Ear]] = {}
    for flow in flows:
        for step in steps_of(flow):
            if isinstance(step, WaitStep) and step.when is not None:
                ear = ear_of(flow, step)
                found.setdefault(ear.trigger.instance, {}).setdefault(ear.name, ear)
    return {instance: list(ears.values()) for instance, ears in found.items()}


def _parted(
    conditions: tuple[Expression, ...],
) -> tuple[list[Expression], list[Expression]]:
    early = [each for each in conditions if each.roots <= _EARLY]
    return early, [each for each in conditions if not each.roots <= _EARLY]


def _at(names: Mapping[str, Any], path: Path) -> Any:
    value: Any = names
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _key(values: Iterable[Any]) -> str:
    return msgspec.json.encode([_same(value) for value in values], enc_hook=str).decode()


def _same(value: Any) -> Any:
    """One form for all values that are equal in expressions; too much in one is harmless."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {str(key): _same(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_same(item) for item in value]
    return value
