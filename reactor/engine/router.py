"""Which flows want an event: an immutable table, and the pure function that asks it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from reactor.clock import instant
from reactor.engine.ears import Ear, ears_of
from reactor.engine.matching import match_path, matched
from reactor.engine.straight import Straight, straight_of
from reactor.errors import EvaluationError
from reactor.expr.equalities import equalities
from reactor.expr.parse import Expression
from reactor.expr.values import to_key, to_text
from reactor.model.event import Received
from reactor.model.flow import Flow, Trigger, heard


class Candidate(Struct, frozen=True, gc=False):
    """One trigger of one flow, with its constant names; `order` is its place in the table.

    `straight` is there for a flow that only computes. `open`: what the flow's conditions see is
    known only when gates have decided (`complete`).
    """

    order: int
    flow: Flow
    trigger: Trigger
    constants: Mapping[str, Any]
    about: Mapping[str, Any]
    keyed: bool
    straight: Straight | None
    open: bool = False


class Decision(Struct, frozen=True, gc=False):
    """What one trigger made of one event (or of one part of it, under `split`).

    `view` is the event as its expressions see it, `names` are all that its conditions saw. `reason`
    says which condition stopped it, or the error.
    """

    candidate: Candidate
    verdict: Literal["started", "stopped", "error"]
    view: dict[str, Any]
    names: dict[str, Any]
    key: str | None = None
    part: int | None = None
    reason: str | None = None
    dedup: str | None = None


class Surroundings(Struct, frozen=True):
    """What conditions may read beside the event."""

    env: Mapping[str, str]
    state: Mapping[str, Any]


class _Table:
    """The triggers of one subscription, found by one constant comparison where they have one.

    Of all paths that conditions compare with a constant the one with the most different values is
    the index; triggers without it are always asked.
    """

    def __init__(self, candidates: list[Candidate]) -> None:
        found = [dict(_constants(candidate)) for candidate in candidates]
        values: dict[tuple[str, ...], set[Any]] = {}
        for constants in found:
            for path, value in constants.items():
                values.setdefault(path, set()).add(value)
        self.path = max(values, key=lambda path: len(values[path]), default=None)
        self.always: list[Candidate] = []
        self.by_value: dict[Any, list[Candidate]] = {}
        for candidate, constants in zip(candidates, found, strict=True):
            if self.path is not None and self.path in constants:
                self.by_value.setdefault(constants[self.path], []).append(candidate)
            else:
                self.always.append(candidate)
        self.all = candidates

    def reach(self, view: Mapping[str, Any]) -> list[Candidate]:
        """The triggers that may want the event, in order."""
        if self.path is None:
            return self.always
        value: Any = view
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        try:
            found = self.by_value.get(value, [])
        except TypeError:  # a list or a map equals no constant
            return self.always
        if not self.always:
            return found
        return sorted([*self.always, *found], key=lambda candidate: candidate.order)


class Router:
    """All flows at one moment; a reload makes a new one.

    `older` are versions that open executions are pinned to: what they wait for is heard as well.
    `calls` are the triggers by which flows are called.
    """

    def __init__(
        self,
        flows: Iterable[Flow],
        *,
        paused: frozenset[str] = frozenset(),
        older: Iterable[Flow] = (),
    ) -> None:
        self.flows = {flow.name: flow for flow in flows}
        self.paused = paused
        self.ears: dict[str, list[Ear]] = ears_of([*self.flows.values(), *older])
        self.listening = frozenset(ear.flow.name for some in self.ears.values() for ear in some)
        self.calls: dict[str, Candidate] = {}
        self.gated: dict[tuple[str, str], Candidate] = {}  # by flow and trigger
        self.frozen: list[str] = []  # flows whose gates keep what they have, and do nothing
        by_instance: dict[str, list[Candidate]] = {}
        order = 0
        for flow in self.flows.values():
            if not flow.enabled or flow.name in paused:
                if any(trigger.gates is not None for trigger in flow.triggers):
                    self.frozen.append(flow.name)
                continue
            constants, about, straight = constant_vars(flow), about_flow(flow), straight_of(flow)
            for trigger in heard(flow):
                keyed = trigger.key is not None
                candidate = Candidate(order, flow, trigger, constants, about, keyed, straight)
                by_instance.setdefault(trigger.instance, []).append(candidate)
                if trigger.source == "call":
                    self.calls.setdefault(flow.name, candidate)
                order += 1
                if trigger.gates is not None:
                    self.gated[flow.name, trigger.id] = candidate
        self._tables = {
            instance: _Table(_opened(found) if self.gated else found)
            for instance, found in by_instance.items()
        }

    def listens(self, instance: str) -> bool:
        """Whether any flow hears this subscription."""
        return instance in self._tables or instance in self.ears

    def instances(self) -> dict[str, list[Candidate]]:
        """Every subscription with the triggers that share it, those of waits included."""
        found = {instance: list(table.all) for instance, table in self._tables.items()}
        for instance, ears in self.ears.items():
            found.setdefault(instance, []).extend(_heard_by(ear) for ear in ears)
        return found

    def route(
        self, instance: str, view: dict[str, Any], around: Surroundings, now_ms: int
    ) -> list[Decision]:
        """What each trigger that the event can reach makes of it, in order of the flows."""
        table = self._tables.get(instance)
        if table is None:
            return []
        decisions: list[Decision] = []
        for candidate in table.reach(view):
            decisions += judge(candidate, view, around, now_ms)
        return decisions


def view_of(received: Received, *, source: str, event_id: str, time_ms: int) -> dict[str, Any]:
    """The event as expressions see it; each trigger adds its own `trigger` and `key`."""
    view = {
        "id": event_id,
        "trigger": None,
        "source": source,
        "type": received.type,
        "time": instant(time_ms),
        "key": received.key,
        "data": received.data,
    }
    view.update(received.fields)
    if source == "http":
        view["body"] = received.data
    return view


def names_of(
    candidate: Candidate, view: dict[str, Any], around: Surroundings, now_ms: int
) -> dict[str, Any]:
    """What the conditions of a trigger and its flow may read."""
    return {
        "event": view,
        "vars": candidate.constants,
        "env": around.env,
        "state": around.state,
        "now": instant(now_ms),
        "flow": candidate.about,
    }


def judge(
    candidate: Candidate, view: dict[str, Any], around: Surroundings, now_ms: int
) -> list[Decision]:
    """Walk one trigger's pipeline: match, split, its conditions, the flow's, key, dedup."""
    trigger = candidate.trigger
    if trigger.match and not matched(trigger, view):
        return []
    own = {**view, "trigger": trigger.id}
    names = names_of(candidate, own, around, now_ms)
    if trigger.split is None:
        return [_decide(candidate, names, own, None)]
    try:
        parts = trigger.split.evaluate(names)
    except EvaluationError as error:
        reason = f"split: {trigger.split.text}: {error}"
        return [Decision(candidate, "error", own, names, reason=reason)]
    if not isinstance(parts, list):
        reason = f"split: {trigger.split.text} is no list"
        return [Decision(candidate, "error", own, names, reason=reason)]
    decisions = []
    for index, part in enumerate(parts):
        element = {**own, "data": part}
        if "body" in own:
            element["body"] = part
        decisions.append(_decide(candidate, {**names, "event": element}, element, index))
    return decisions


def complete(decision: Decision, around: Surroundings, now_ms: int) -> Decision:
    """The decision of an open candidate, when its gates have decided: the flow's conditions."""
    candidate = decision.candidate
    reason = flow_refuses(candidate.flow, names_of(candidate, decision.view, around, now_ms))
    if reason is None:
        return decision
    return replace(decision, verdict=reason[0], reason=reason[1])


def flow_refuses(
    flow: Flow, names: Mapping[str, Any]
) -> tuple[Literal["stopped", "error"], str] | None:
    """Why a flow does not run although its trigger fired: a condition, an error in one."""
    if not flow.do:
        return "stopped", "remember: the flow has no do"
    condition: Expression | None = None
    try:
        for condition in flow.only_if:
            if not condition.test(names):
                return "stopped", f"only_if: {condition.text}"
        for condition in flow.unless:
            if condition.test(names):
                return "stopped", f"unless: {condition.text}"
    except EvaluationError as error:
        return "error", f"{'' if condition is None else condition.text}: {error}"
    return None


def by_hand(
    candidate: Candidate, view: dict[str, Any], around: Surroundings, now_ms: int
) -> Decision:
    """A start whatever the conditions say; EvaluationError when its key cannot be computed."""
    trigger, run = candidate.trigger, candidate.flow.run
    own = {**view, "trigger": trigger.id}
    names = names_of(candidate, own, around, now_ms)
    if trigger.gates is not None and trigger.gates.collects == "list":
        names["events"] = [own]
    if trigger.key is not None:
        own["key"] = to_key(trigger.key.evaluate(names))
    key = own["key"] if candidate.keyed else None
    if run.key is not None:
        key = to_key(run.key.evaluate(names))
    return Decision(candidate, "started", own, names, key)


def _decide(
    candidate: Candidate, names: dict[str, Any], view: dict[str, Any], part: int | None
) -> Decision:
    flow, trigger = candidate.flow, candidate.trigger
    condition: Expression | None = None
    try:
        for condition in trigger.only_if:
            if not condition.test(names):
                return _stopped(candidate, names, part, "only_if", condition)
        for condition in trigger.unless:
            if condition.test(names):
                return _stopped(candidate, names, part, "unless", condition)
        condition = trigger.key
        key = view["key"]
        if condition is not None:
            key = view["key"] = to_key(condition.evaluate(names))
        if not candidate.open:
            for condition in flow.only_if:
                if not condition.test(names):
                    return _stopped(candidate, names, part, "only_if", condition)
            for condition in flow.unless:
                if condition.test(names):
                    return _stopped(candidate, names, part, "unless", condition)
        condition = flow.run.key
        if condition is not None:
            key = to_key(condition.evaluate(names))
        elif not candidate.keyed:
            key = None  # the source's own key is data, not how executions share the machine
        if trigger.dedup is None:
            return Decision(candidate, "started", view, names, key, part)
        condition = trigger.dedup.id
        value = condition.evaluate(names)
        # What has no id repeats nothing.
        name = None if value is None else to_text(value)
        return Decision(candidate, "started", view, names, key, part, dedup=name)
    except EvaluationError as error:
        text = "" if condition is None else f"{condition.text}: "
        return Decision(candidate, "error", view, names, part=part, reason=f"{text}{error}")


def _stopped(
    candidate: Candidate,
    names: dict[str, Any],
    part: int | None,
    word: str,
    condition: Expression,
) -> Decision:
    reason = f"{word}: {condition.text}"
    return Decision(candidate, "stopped", names["event"], names, part=part, reason=reason)


def _heard_by(ear: Ear) -> Candidate:
    flow = ear.flow
    return Candidate(
        -1, flow, ear.trigger, constant_vars(flow), about_flow(flow), keyed=False, straight=None
    )


def _opened(found: list[Candidate]) -> list[Candidate]:
    """All open where one has gates: what one remembers the conditions of the others see."""
    if all(candidate.trigger.gates is None for candidate in found):
        return found
    return [replace(candidate, open=True) for candidate in found]


def _constants(candidate: Candidate) -> Iterator[tuple[tuple[str, ...], Any]]:
    trigger = candidate.trigger
    for field, pattern in trigger.match:
        if "*" not in pattern:
            yield match_path(field), pattern
    if trigger.split is not None:
        return
    ahead = () if candidate.open else candidate.flow.only_if
    for condition in (*trigger.only_if, *ahead):
        for path, value in equalities(condition):
            changes = path[1] in ("trigger", "key") if len(path) > 1 else True
            if path[0] == "event" and not changes:
                yield path[1:], value


def about_flow(flow: Flow) -> dict[str, Any]:
    """`flow` in expressions."""
    return {"name": flow.name, "about": flow.about, "labels": flow.labels}


def constant_vars(flow: Flow) -> dict[str, Any]:
    """The `vars` without a template: names for constants, usable everywhere."""
    return {name: template.render({}) for name, template in flow.vars if template.constant}
