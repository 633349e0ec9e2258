"""Control steps: groups, branches, choices, loops, waits and calls."""

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import inspect

from reactor.expr.parse import Expression
from reactor.expr.template import Template
from reactor.loading import texts
from reactor.loading.configs import Meta, Walk
from reactor.loading.part import Part
from reactor.loading.values import ListValue, MapValue, Scalar
from reactor.loading.waits import read_wait
from reactor.loading.words import RepeatWords
from reactor.model.flow import (
    AnyStep,
    CallStep,
    Choice,
    ChooseStep,
    GroupStep,
    ParallelStep,
    RepeatStep,
)

Join = Literal["all", "any", "first"] | int | Expression

# Paths of steps inside are made of these too.
_TAKEN_BRANCHES = frozenset({"do", "on_error", "undo", "notify"})
_CHOICE_KEYS = ("only_if", "unless", "do", "about")


def read_control(word: str, part: Part) -> AnyStep | None:
    """The control step that a word begins."""
    once = part.step.entry("once")
    if once is not None:
        part.context.report.error(once.key, f"once stands beside actions, not beside {word}")
    return _FORMS[word](part)


def _group(part: Part) -> AnyStep:
    return GroupStep(do=part.steps(part.value, "do"), **part.engine)


def _parallel(part: Part) -> AnyStep | None:
    context = part.context
    branches = context.map_of(part.value, "parallel")
    if branches is None:
        return None
    if not branches.entries:
        message = "parallel has at least one branch: parallel: {pay: [steps…]}"
        context.report.error(branches, message)
    of = {name: part.inside(name) for name in branches.names}
    found = []
    for entry in branches.entries:
        name = context.identifier(entry.key, "names of branches") or entry.key.text
        if name in _TAKEN_BRANCHES:
            message = f"a branch may not be called {name}: choose another name"
            context.report.error(entry.key, message)
        hidden = {
            f"steps.{step}": f"branch '{name}' may not read branch '{other}': they run at once"
            for other, steps in of.items()
            if other != name
            for step in steps
        }
        found.append((name, part.steps(entry.value, name, part.names.hiding(hidden))))
    return ParallelStep(branches=tuple(found), join=_join(part, len(found)), **part.engine)


def _join(part: Part, count: int) -> Join:
    value, report = part.step.get("join"), part.context.report
    if value is None:
        return "all"
    if isinstance(value, Scalar):
        for word in ("all", "any", "first"):
            if value.text == word:
                return word
        if isinstance(value.value, int) and not isinstance(value.value, bool):
            if not 0 < value.value <= count:
                message = f"join waits for {value.value} of {count} branches: 1 to {count}"
                report.error(value, message)
            return value.value
    scope = part.names.after(part.inside()).with_more("branches").condition()
    return texts.expression(value, scope, report) or "all"


def _choose(part: Part) -> AnyStep | None:
    value, report = part.value, part.context.report
    if not isinstance(value, ListValue) or not value.items:
        report.error(value, "choose takes a list: choose: [{only_if: …, do: […]}, {do: […]}]")
        return None
    choices = []
    for index, item in enumerate(value.items):
        choice = part.context.map_of(item, "a choice")
        if choice is None:
            continue
        _check_choice(part, choice, last=index == len(value.items) - 1)
        hidden = {
            f"steps.{step}": "that step belongs to another choice, only one of them runs"
            for other in range(len(value.items))
            if other != index
            for step in part.inside(other)
        }
        conditions = {
            key: texts.conditions(written, part.names.condition(), report)
            for key in ("only_if", "unless")
            if (written := choice.get(key)) is not None
        }
        steps = part.steps(choice.get("do"), index, part.names.hiding(hidden))
        choices.append(Choice(do=steps, **conditions))
    return ChooseStep(choices=tuple(choices), **part.engine)


def _check_choice(part: Part, choice: MapValue, *, last: bool) -> None:
    report = part.context.report
    for entry in choice.entries:
        name = entry.key.text
        if name in ("if", "condition", "when"):
            repaired = report.with_text(entry.key.at, "only_if")
            report.error(entry.key, "a condition is only_if (must hold)", repaired=repaired)
        elif name not in _CHOICE_KEYS:
            message = f"no key '{name}' in a choice: it has only_if, unless and do"
            report.error(entry.key, message)
    if choice.get("do") is None:
        report.error(choice.first, "do is missing: the steps of this choice")
    if not last and not {"only_if", "unless"} & set(choice.names):
        message = "a choice without a condition takes all: move it to the end"
        report.error(choice.first, message)


def _repeat(part: Part) -> AnyStep | None:
    context, report = part.context, part.context.report
    loop = context.map_of(part.value, "repeat")
    if loop is None:
        return None
    do = part.steps(loop.get("do"), "do")
    scope = part.names.after(part.inside("do")).condition()
    read = context.shape(loop, RepeatWords, "repeat", scope)
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
        **part.engine,
    )


def _call(part: Part) -> AnyStep | None:
    report = part.context.report
    name = part.context.flow_name(part.value)
    inputs = Template({})
    if (written := part.step.get("with")) is not None:
        part.context.map_of(written, "with")
        walk = Walk(part.context.report, part.names.handed())
        inputs = walk.template(walk.walk(written, inspect.AnyType(), Meta("with")))
    detach = part.step.get("detach")
    detached = isinstance(detach, Scalar) and detach.value is True
    if detach is not None and not (isinstance(detach, Scalar) and isinstance(detach.value, bool)):
        report.error(detach, "detach takes true or false")
    if name is None:
        return None
    return CallStep(flow=name, inputs=inputs, detach=detached, **part.engine)


_FORMS: Mapping[str, Callable[[Part], AnyStep | None]] = {
    "do": _group,
    "parallel": _parallel,
    "choose": _choose,
    "repeat": _repeat,
    "wait": read_wait,
    "call": _call,
}
