"""Waits: for a span, for a time, for an event, for a person."""

from typing import Any

from msgspec import inspect

from reactor.loading import texts
from reactor.loading.configs import Meta, Walk, measure
from reactor.loading.fitting import has_template
from reactor.loading.part import Part
from reactor.loading.triggers import TRIGGER_KEYS, read_trigger, sketch_triggers
from reactor.loading.values import MapValue, Scalar
from reactor.loading.words import (
    ApprovalWords,
    FormFieldWords,
    WaitUntilWords,
    WaitWhenWords,
)
from reactor.model.flow import AnyStep, WaitStep
from reactor.units import Duration, parse_duration

# What stands beside a source under `wait: {when: …}`; all else holds events back for flows.
_TRIGGER_KEYS = frozenset({"id", "only_if", "unless"})
_ANSWER_FIELDS = frozenset({"by", "at"})


def read_wait(part: Part) -> AnyStep | None:
    """The wait of a step."""
    value, report = part.value, part.context.report
    if isinstance(value, Scalar):
        if not has_template(value):
            measure(value, Duration, "wait", report)
        config = texts.template(value, part.names.condition(), report)
        return WaitStep(form="duration", config=config, **part.engine)
    if isinstance(value, MapValue):
        for key, read in (("when", _when), ("approval", _approval), ("until", _until)):
            entry = value.entry(key)
            if entry is not None:
                return read(part, value)
    message = "wait takes a duration, {until: …}, {when: …} or {approval: …}"
    report.error(value, message)
    return None


def _when(part: Part, value: MapValue) -> AnyStep | None:
    context, report = part.context, part.context.report
    context.shape(value, WaitWhenWords, "wait", part.names.condition())
    written = value.get("when") or value
    sketches = sketch_triggers(written, context)
    if len(sketches) > 1:
        report.error(written, "a wait has one trigger")
    if not sketches:
        return None
    for entry in sketches[0].value.entries:
        word = entry.key.text
        if word in TRIGGER_KEYS and word not in _TRIGGER_KEYS:
            message = f"a wait takes only_if and unless beside its source, not {word}"
            report.error(entry.key, message)
            return None
    names = part.names.with_more("incoming")
    trigger = read_trigger(sketches[0], names, context, name="incoming")
    for condition in trigger.only_if:
        if "incoming" not in condition.roots and "event" in condition.roots:
            message = "both sides are this execution's event; the awaited one is incoming"
            report.error(sketches[0].value.get("only_if") or written, message)
    return WaitStep(form="when", when=trigger, **_timed(value, part))


def _approval(part: Part, value: MapValue) -> AnyStep:
    context, report = part.context, part.context.report
    context.shape(value, ApprovalWords, "wait", part.names.condition())
    notify = part.steps(value.get("notify"), "notify")
    written = value.get("form")
    form = None if written is None else context.map_of(written, "form")
    for entry in () if form is None else form.entries:
        name = context.identifier(entry.key, "names of fields")
        if name in _ANSWER_FIELDS:
            report.error(entry.key, f"{name} is who and when already: choose another name")
        context.shape(entry.value, FormFieldWords, f"form.{entry.key.text}", part.names.condition())
    kept = tuple(each for each in value.entries if each.key.text in ("approval", "form"))
    walk = Walk(report, part.names.kept())
    config = walk.template(walk.walk(MapValue(kept, value.at), inspect.AnyType(), Meta("wait")))
    return WaitStep(form="approval", config=config, notify=notify, **_timed(value, part))


def _until(part: Part, value: MapValue) -> AnyStep:
    part.context.shape(value, WaitUntilWords, "wait", part.names.condition())
    return WaitStep(form="until", config=part.data(value, "wait"), tz=part.names.tz, **part.engine)


def _timed(value: MapValue, part: Part) -> dict[str, Any]:
    # The limit of a wait stands inside it; the shape has already judged how it is written.
    timeout = value.get("timeout")
    if not isinstance(timeout, Scalar):
        return part.engine
    try:
        return {**part.engine, "timeout_secs": float(parse_duration(timeout.value))}
    except ValueError:
        return part.engine
