"""Checks across files: names, routes, calls and cycles that no single flow can see."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal

from reactor.loading.advice import every_step
from reactor.loading.load import Loaded
from reactor.loading.step_ids import written_step
from reactor.model.flow import ActionStep, AnyStep, CallStep, Flow, WaitStep, heard
from reactor.problem import Place, Problem

_ROUTE_SETTINGS: Mapping[str, Any] = {"verify": None, "body": "auto", "max_body": "1MiB"}


def conflicts(loaded: Iterable[Loaded]) -> list[Problem]:
    """The problems between flows of all files, in the order of the files."""
    flows = [flow for each in loaded for flow in each.flows]
    named: dict[str, Flow] = {}
    problems: list[Problem] = []
    for flow in flows:
        if (first := named.get(flow.name)) is not None:
            problems.append(_problem(flow.place, _twice(flow, first)))
        named.setdefault(flow.name, flow)
    problems += _routes(flows)
    problems += [problem for flow in flows for problem in _calls(flow, named)]
    problems += _states(flows)
    problems += _cycles(flows)
    return problems


def _problem(
    place: Place, message: str, severity: Literal["error", "warning", "note"] = "error"
) -> Problem:
    return Problem(place=place, message=message, severity=severity)


def _twice(flow: Flow, first: Flow) -> str:
    return f"two flows are called '{flow.name}', the first in {_where(first.place)}: rename one"


def _where(place: Place) -> str:
    return f"{place.file}:{place.line}"


def _routes(flows: list[Flow]) -> Iterator[Problem]:
    first: dict[str, tuple[Flow, Mapping[str, Any]]] = {}
    for flow in flows:
        for place, instance, config in _webhooks(flow):
            if instance not in first:
                first[instance] = (flow, config)
                continue
            other, theirs = first[instance]
            route = f"{config.get('method', 'POST')} {config.get('path')}"
            both = f"flows '{other.name}' ({_where(other.place)}) and '{flow.name}'"
            for key, usual in _ROUTE_SETTINGS.items():
                if config.get(key, usual) != theirs.get(key, usual):
                    yield _problem(
                        place,
                        f"{both} share {route} and must agree on {key}",
                    )
            if other is not flow and (_waits(config) or _waits(theirs)):
                yield _problem(
                    place,
                    f"{both} share {route}: a route with respond: {{when: done}} has one flow",
                )


def _webhooks(flow: Flow) -> Iterator[tuple[Place, str, Mapping[str, Any]]]:
    written = flow.document.get("when")
    items = written if isinstance(written, list) else [written]
    for trigger, item in zip(flow.triggers, items, strict=False):
        for one in trigger.branches or (trigger,):
            own = item if one.branch is None else item["join"]["of"][one.branch]
            config = own.get("http") if isinstance(own, Mapping) else None
            if one.source == "http" and isinstance(config, Mapping):
                yield one.place, one.instance, config
    for step in _steps(flow):
        if isinstance(step, WaitStep) and step.when is not None and step.when.source == "http":
            config = written_step(flow.document, step.path)["wait"]["when"]["http"]
            if isinstance(config, Mapping):
                yield step.when.place, step.when.instance, config


def _waits(config: Mapping[str, Any]) -> bool:
    respond = config.get("respond")
    return isinstance(respond, Mapping) and respond.get("when") == "done"


def _calls(flow: Flow, named: Mapping[str, Flow]) -> Iterator[Problem]:
    for step in _steps(flow):
        if not isinstance(step, CallStep):
            continue
        given = tuple(written_step(flow.document, step.path).get("with", ()))
        target = named.get(step.flow)
        if target is None:
            guess = next(iter(get_close_matches(step.flow, named, 1)), None)
            remedy = f"; did you mean {guess}" if guess else ""
            yield _problem(step.place, f"no flow is called '{step.flow}'{remedy}")
            continue
        where = f"flow '{target.name}' ({_where(target.place)})"
        if not any(trigger.source == "call" for trigger in target.triggers):
            message = f"{where} is not started by calls: add when: {{call: {{}}}} to it"
            yield _problem(step.place, message)
            continue
        yield from _inputs(step.place, given, target, where)


def _inputs(place: Place, given: tuple[str, ...], target: Flow, where: str) -> Iterator[Problem]:
    for name in given:
        if name not in target.inputs:
            guess = next(iter(get_close_matches(name, target.inputs, 1)), None)
            remedy = f"; did you mean {guess}" if guess else ""
            yield _problem(place, f"{where} has no input '{name}'{remedy}")
    for name, declared in target.inputs.items():
        optional = isinstance(declared, Mapping) and "default" in declared
        if name not in given and not optional:
            yield _problem(place, f"{where} needs the input '{name}': give it under with:")


def _states(flows: list[Flow]) -> Iterator[Problem]:
    first: dict[str, Flow] = {}
    for flow in flows:
        for name, place in _state_names(flow).items():
            other = first.setdefault(name, flow)
            if other is not flow:
                where = f"{other.name} ({_where(other.place)})"
                yield _problem(place, f"state.{name} is also set by flow {where}", "note")


def _state_names(flow: Flow) -> dict[str, Place]:
    names: dict[str, Place] = {}
    for step in _steps(flow):
        if isinstance(step, ActionStep) and step.action == "set":
            for name in written_step(flow.document, step.path)["set"]:
                names.setdefault(name, step.place)
    for trigger in flow.triggers:
        for entry in () if trigger.gates is None else trigger.gates.remember:
            names.setdefault(entry.name, trigger.place)
    return names


def _cycles(flows: list[Flow]) -> Iterator[Problem]:
    starts: dict[str, set[str]] = defaultdict(set)
    for flow in flows:
        for step in _steps(flow):
            starts[flow.name] |= set(_started(flow, step, flows))
    for flow in flows:
        if (ring := _ring(flow.name, starts)) is not None:
            if flow.name != min(ring):
                continue
            path = " → ".join([*ring, ring[0]])
            yield _problem(
                flow.place,
                f"these flows start each other: {path}; a condition must end it "
                "(a chain of over 32 is a dead letter)",
                "warning",
            )


def _started(flow: Flow, step: AnyStep, flows: list[Flow]) -> Iterator[str]:
    if isinstance(step, CallStep):
        yield step.flow
    if isinstance(step, ActionStep) and step.action == "emit":
        written = written_step(flow.document, step.path)["emit"]
        type_ = written.get("type") if isinstance(written, Mapping) else written
        for other in flows:
            for trigger in heard(other):
                if trigger.source == "event" and any(
                    field == "type" and fnmatchcase(str(type_), pattern)
                    for field, pattern in trigger.match
                ):
                    yield other.name


def _ring(start: str, starts: Mapping[str, set[str]]) -> list[str] | None:
    pending = [[start]]
    seen: set[str] = set()
    while pending:
        path = pending.pop()
        for name in sorted(starts.get(path[-1], ())):
            if name == start:
                return path
            if name not in seen:
                seen.add(name)
                pending.append([*path, name])
    return None


def _steps(flow: Flow) -> list[AnyStep]:
    return every_step((*flow.do, *flow.on_error, *flow.finally_))
