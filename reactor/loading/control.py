"""Control steps: groups, branches, choices, loops, waits and calls."""

from typing import Any

from msgspec import inspect

from reactor.expr.parse import Expression
from reactor.expr.template import Template
from reactor.loading import texts
from reactor.loading.configs import Meta, Walk
from reactor.loading.names import Names
from reactor.loading.step_ids import inside
from reactor.loading.triggers import read_trigger, sketch_triggers
from reactor.loading.values import Entry, ListValue, MapValue, Scalar, Value, plain
from reactor.loading.words import ApprovalWords, RepeatWords, WaitUntilWords, WaitWhenWords
from reactor.model.flow import (
    AnyStep,
    CallStep,
    Choice,
    ChooseStep,
    GroupStep,
    ParallelStep,
    RepeatStep,
    WaitStep,
)
from reactor.units import parse_duration

_TAKEN_BRANCHES = frozenset({"do", "on_error", "undo", "notify"})


def read_control(
    reader: Any, word: Entry, step: MapValue, path: str, names: Names, engine: dict[str, Any]
) -> AnyStep | None:
    """The control step that a word begins."""
    read = {
        "do": _group,
        "parallel": _parallel,
        "choose": _choose,
        "repeat": _repeat,
        "wait": _wait,
        "call": _call,
    }[word.key.text]
    if engine.get("once"):
        reader.context.report.error(step.entry("once").key, f"once stands beside actions, not beside {word.key.text}")  # type: ignore[union-attr]
    return read(reader, word.value, step, path, names, engine)


def _group(
    reader: Any, value: Value, step: MapValue, path: str, names: Names, engine: dict[str, Any]
) -> AnyStep:
    do, _ = reader.steps(value, f"{path}.do", names)
    return GroupStep(do=do, **engine)


def _parallel(
    reader: Any, value: Value, step: MapValue, path: str, names: Names, engine: dict[str, Any]
) -> AnyStep | None:
    context = reader.context
    branches = context.map_of(value, "parallel")
    if branches is None:
        return None
    if not branches.entries:
        context.report.error(value, "parallel has at least one branch: parallel: {pay: [steps…]}")
    of = {entry.key.text: inside(reader.ids, f"{path}.{entry.key.text}") for entry in branches.entries}
    found = []
    for entry in branches.entries:
        name = context.identifier(entry.key, "names of branches") or entry.key.text
        if name in _TAKEN_BRANCHES:
            context.report.error(entry.key, f"a branch may not be called {name}: choose another name")
        hidden = {
            step_id: f"branch '{name}' may not read branch '{other}': they run at once"
            for other, ids in of.items()
            if other != name
            for step_id in ids
        }
        steps, _ = reader.steps(entry.value, f"{path}.{name}", names.hiding(hidden))
        found.append((name, steps))
    join = _join(reader, step.get("join"), path, names, len(found))
    return ParallelStep(branches=tuple(found), join=join, **engine)


def _join(reader: Any, value: Value | None, path: str, names: Names, count: int) -> Any:
    if value is None:
        return "all"
    report = reader.context.report
    if isinstance(value, Scalar) and value.text in ("all", "any", "first"):
        return value.text
    if isinstance(value, Scalar) and isinstance(value.value, int) and not isinstance(value.value, bool):
        if not 0 < value.value <= count:
            report.error(value, f"join waits for {value.value} of {count} branches: 1 to {count}")
        return value.value
    scope = names.after(inside(reader.ids, path)).with_more("branches").condition()
    return texts.expression(value, scope, report) or "all"


def _choose(
    reader: Any, value: Value, step: MapValue, path: str, names: Names, engine: dict[str, Any]
) -> AnyStep | None:
    context, report = reader.context, reader.context.report
    if not isinstance(value, ListValue):
        report.error(value, "choose takes a list: choose: [{only_if: …, do: […]}, {do: […]}]")
        return None
    choices = []
    ids = [inside(reader.ids, f"{path}.{index}") for index in range(len(value.items))]
    for index, item in enumerate(value.items):
        choice = context.map_of(item, "a choice")
        if choice is None:
            continue
        for entry in choice.entries:
            if entry.key.text not in ("only_if", "unless", "do", "about"):
                message = f"no key '{entry.key.text}' in a choice: it has only_if, unless and do"
                report.error(entry.key, message)
        if choice.get("do") is None:
            report.error(choice.first, "do is missing: the steps of this choice")
        has_condition = choice.entry("only_if") or choice.entry("unless")
        if not has_condition and index < len(value.items) - 1:
            report.error(choice.first, "a choice without a condition takes all: move it to the end")
        hidden = {
            step_id: "that step belongs to another choice, only one of them runs"
            for other, of in enumerate(ids)
            if other != index
            for step_id in of
        }
        scope = names.condition()
        do, _ = reader.steps(choice.get("do"), f"{path}.{index}", names.hiding(hidden))
        conditions = {
            key: texts.conditions(written, scope, report)
            for key in ("only_if", "unless")
            if (written := choice.get(key)) is not None
        }
        choices.append(Choice(do=do, **conditions))
    return ChooseStep(choices=tuple(choices), **engine)


def _repeat(
    reader: Any, value: Value, step: MapValue, path: str, names: Names, engine: dict[str, Any]
) -> AnyStep | None:
    context, report = reader.context, reader.context.report
    loop = context.map_of(value, "repeat")
    if loop is None:
        return None
    round_ = names.after(inside(reader.ids, f"{path}.do"))
    do, _ = reader.steps(loop.get("do"), f"{path}.do", names)
    read = context.shape(loop, RepeatWords, "repeat", round_.condition())
    if loop.get("until") is None and loop.get("max") is None:
        report.error(loop.first, "a loop needs until or max")
    if read is None:
        return None
    return RepeatStep(
        do=do,
        until=tuple(read.until),
        every_secs=float(read.every),
        max=read.max,
        collect=read.collect,
        **engine,
    )


def _wait(
    reader: Any, value: Value, step: MapValue, path: str, names: Names, engine: dict[str, Any]
) -> AnyStep | None:
    context, report = reader.context, reader.context.report
    if isinstance(value, Scalar):
        if "${{" not in value.text:
            try:
                parse_duration(value.value)
            except ValueError as error:
                report.error(value, f"wait: {error}")
        return WaitStep(form="duration", config=texts.template(value, names.condition(), report), **engine)
    if not isinstance(value, MapValue):
        report.error(value, "wait takes a duration, {until: …}, {when: …} or {approval: …}")
        return None
    if value.entry("when"):
        return _wait_for_event(reader, value, names, engine)
    if value.entry("approval"):
        context.shape(value, ApprovalWords, "wait", names.condition())
        notify, _ = reader.steps(value.get("notify"), f"{path}.notify", names)
        timeout = _timeout(value, engine)
        return WaitStep(form="approval", config=Template(plain(value)), notify=notify, **timeout)
    if not value.entry("until"):
        report.error(value.first, "wait takes a duration, until, when or approval")
        return None
    context.shape(value, WaitUntilWords, "wait", names.condition())
    walk = Walk(report, names.condition())
    config = walk.template(walk.walk(value, inspect.AnyType(), Meta("wait")))
    return WaitStep(form="until", config=config, **engine)


def _wait_for_event(
    reader: Any, value: MapValue, names: Names, engine: dict[str, Any]
) -> AnyStep | None:
    context, report = reader.context, reader.context.report
    context.shape(value, WaitWhenWords, "wait", names.condition())
    written = value.get("when")
    assert written is not None
    sketches = sketch_triggers(written, context)
    if len(sketches) > 1:
        report.error(written, "a wait has one trigger")
    trigger = None
    if sketches:
        trigger = read_trigger(sketches[0], names.with_more("incoming"), context, name="incoming")
        for condition in (*trigger.only_if, *trigger.unless):
            if "incoming" not in condition.roots and "event" in condition.roots:
                where = sketches[0].value.get("only_if") or written
                _explain_own_event(where, condition, reader)
    return WaitStep(form="when", when=trigger, **_timeout(value, engine))


def _explain_own_event(where: Value, condition: Expression, reader: Any) -> None:
    reader.context.report.warning(
        where, "both sides are this execution's event; the awaited one is incoming"
    )


def _timeout(value: MapValue, engine: dict[str, Any]) -> dict[str, Any]:
    timeout = value.get("timeout")
    if isinstance(timeout, Scalar) and engine.get("timeout_secs") is None:
        try:
            return {**engine, "timeout_secs": float(parse_duration(timeout.value))}
        except ValueError:
            return engine
    return engine


def _call(
    reader: Any, value: Value, step: MapValue, path: str, names: Names, engine: dict[str, Any]
) -> AnyStep | None:
    context, report = reader.context, reader.context.report
    name = context.flow_name(value)
    inputs = Template({})
    if (written := step.get("with")) is not None and context.map_of(written, "with") is not None:
        walk = Walk(report, names.input())
        inputs = walk.template(walk.walk(written, inspect.AnyType(), Meta("with")))
    detach = step.get("detach")
    if detach is not None and not (isinstance(detach, Scalar) and isinstance(detach.value, bool)):
        report.error(detach, "detach takes true or false")
    detached = isinstance(detach, Scalar) and detach.value is True
    return None if name is None else CallStep(flow=name, inputs=inputs, detach=detached, **engine)
