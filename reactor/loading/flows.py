"""One document to one Flow: triggers, vars, steps and settings, checked against each other."""

from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec.inspect import AnyType

from reactor.expr.template import Template
from reactor.loading import texts
from reactor.loading.advice import advise
from reactor.loading.configs import Meta, Walk
from reactor.loading.context import Context
from reactor.loading.hints import FLOW_HINTS
from reactor.loading.names import Names, refused_env
from reactor.loading.sharing import read_keep, read_limits, read_run
from reactor.loading.step_ids import step_ids
from reactor.loading.steps import StepReader, judge_vars
from reactor.loading.triggers import Sketch, read_trigger, sketch_triggers
from reactor.loading.values import ListValue, MapValue, Scalar, Value, plain
from reactor.loading.version import document_of, version_of
from reactor.loading.words import FlowWords
from reactor.model.flow import ActionStep, Flow
from reactor.plugin.fields import names_of

FLOW_KEYS = names_of(FlowWords)
# Where the dead-letter store is told as well: requests and publishing.
_DEAD_LETTER_WORDS = ("http", "emit")
_SIMPLE = ("about", "enabled", "labels")


def read_flow(value: MapValue, context: Context, text: str = "") -> Flow | None:
    """The flow of a document; None where its problems leave none."""
    report, defaults = context.report, context.loading.defaults
    errors_before = report.errors
    _unknown_keys(value, context)
    name = context.flow_name(value.get("flow") or value.first)
    sketches = _sketches(value, context)
    names = _names(value, sketches, context, text)
    simple = MapValue(
        tuple(entry for entry in value.entries if entry.key.text in _SIMPLE), value.at
    )
    read = context.shape(simple, FlowWords, "a flow", names.trigger())
    triggers = tuple(read_trigger(sketch, names, context) for sketch in sketches)
    flow_names = _at_start(names, sketches)
    conditions = {
        key: texts.conditions(written, flow_names.trigger(), report)
        for key in ("only_if", "unless")
        if (written := value.get(key)) is not None
    }
    vars_, secret, tainted, step_names = _vars(value, flow_names, context)
    ids = step_ids(value, context)
    later = {f"steps.{step}": f"step '{step}' comes after; move it up" for step in ids.all()}
    step_names = step_names.hiding(later)
    reader = StepReader(context, ids, read_limits(value, step_names, context))
    reader.secret_vars |= secret
    reader.tainted_vars |= tainted
    do, after = reader.steps(value.get("do"), "do", step_names)
    failing = after.with_more("error")
    on_error, failed_names = reader.steps(value.get("on_error"), "on_error", failing)
    reader.closing = True
    finally_, last = reader.steps(value.get("finally"), "finally", failed_names)
    output = None
    if (written := value.get("output")) is not None:
        output = reader.output(written, last)
    dead_letter = _dead_letter(value.get("dead_letter"), reader, failing)
    run = read_run(value.get("run"), names, context)  # its key is asked before the gates
    keep = read_keep(value.get("keep"), context)
    _check_do(value, context)
    if name is None or read is None or report.errors > errors_before:
        return None
    document = document_of(value, defaults)
    flow = Flow(
        name=name,
        place=report.place(value),
        version=version_of(document),
        document=document,
        about=read.about,
        enabled=read.enabled,
        labels=read.labels,
        triggers=triggers,
        vars=vars_,
        secret_vars=frozenset(reader.secret_vars),
        tainted_vars=frozenset(reader.tainted_vars),
        run=run,
        do=do,
        on_error=on_error,
        finally_=finally_,
        dead_letter=dead_letter,
        output=output,
        inputs=_inputs(sketches),
        keep=keep,
        **conditions,
    )
    advise(flow, value, report)
    return flow


def _unknown_keys(value: MapValue, context: Context) -> None:
    for entry in value.entries:
        word = entry.key.text
        if word in FLOW_KEYS:
            continue
        if context.hinted(entry, FLOW_HINTS, "on a flow"):
            continue
        catalog = context.loading.catalog
        if word in catalog.words("action") and word not in catalog.words("source"):
            context.report.error(
                entry.key, f"'{word}' is a step: write it under do, begun with '- '"
            )
            continue
        if word in catalog.words("source"):
            message = f"'{word}' is a source or an action: write it under when or under do"
            context.report.error(entry.key, message)
            continue
        guess = next(iter(get_close_matches(word, FLOW_KEYS, 1)), None)
        message = f"no key '{word}' on a flow"
        message += f"; did you mean {guess}" if guess else f": it has {', '.join(FLOW_KEYS)}"
        repaired = context.report.with_text(entry.key.at, guess) if guess else None
        context.report.error(entry.key, message, repaired=repaired)


def _sketches(value: MapValue, context: Context) -> list[Sketch]:
    when = value.get("when")
    if when is None:
        if not any(key in value.names for key in ("on", "trigger", "triggers", "true", "input")):
            context.report.error(
                value.first,
                "when is missing: a flow begins with a trigger, such as when: {call: {}}",
            )
        return []
    return sketch_triggers(when, context)


def _names(value: MapValue, sketches: list[Sketch], context: Context, text: str) -> Names:
    loading = context.loading
    constants: set[str] = set()
    every: set[str] = set()
    secret: set[str] = set()
    written = value.get("vars")
    if isinstance(written, MapValue):
        for entry in written.entries:
            every.add(entry.key.text)
            if not _computed(entry.value):
                constants.add(entry.key.text)
            elif "secrets." in str(plain(entry.value)):
                secret.add(entry.key.text)
    return Names(
        event=_union([sketch.fields for sketch in sketches]),
        constants=frozenset(constants),
        vars=frozenset(every),
        secret_vars=frozenset(secret),
        env=loading.env,
        env_refused=refused_env(text, loading.env),
        tz=loading.defaults.tz,
    )


def _at_start(names: Names, sketches: list[Sketch]) -> Names:
    many = any(sketch.many for sketch in sketches)
    seen = _union([sketch.after for sketch in sketches])
    lost = frozenset() if seen is None or names.event is None else names.event - seen
    hidden = {f"event.{field}": "event is many here: each is an item of events" for field in lost}
    return msgspec.structs.replace(names, event=seen, events=many).hiding(hidden)


def _union(found: list[frozenset[str] | None]) -> frozenset[str] | None:
    """The fields that any trigger's events have; None where that is not known."""
    fields: frozenset[str] = frozenset()
    for each in found:
        if each is None:
            return None
        fields |= each
    return fields if found else None


def _computed(value: Value) -> bool:
    if isinstance(value, Scalar):
        return isinstance(value.value, str) and "${{" in value.value
    if isinstance(value, ListValue):
        return any(map(_computed, value.items))
    return any(_computed(entry.value) for entry in value.entries)


def _vars(
    value: MapValue, names: Names, context: Context
) -> tuple[tuple[tuple[str, Template], ...], set[str], set[str], Names]:
    found: list[tuple[str, Template]] = []
    secret: set[str] = set()
    tainted: set[str] = set()
    written = value.get("vars")
    below = {f"vars.{name}": f"vars.{name} stands below; move it up" for name in names.vars}
    above = msgspec.structs.replace(names, vars=names.constants).hiding(below)
    all_vars = context.map_of(written, "vars") if written is not None else None
    for entry in all_vars.entries if all_vars is not None else ():
        name = context.identifier(entry.key, "names of vars") or entry.key.text
        walk = Walk(context.report, above.first())
        template = walk.template(walk.walk(entry.value, AnyType(), Meta(f"vars.{name}")))
        is_secret, is_tainted = judge_vars(template, secret, tainted)
        secret |= {name} if is_secret else set()
        tainted |= {name} if is_tainted else set()
        found.append((name, template))
        above = above.with_vars([name], {name} & secret)
    return tuple(found), secret, tainted, names.with_vars((), secret)


def _dead_letter(value: Value | None, reader: StepReader, names: Names) -> ActionStep | None:
    if value is None:
        return None
    context = reader.context
    entries = context.map_of(value, "dead_letter")
    if entries is None:
        return None
    step, _ = reader.step(entries, "dead_letter", names)
    if isinstance(step, ActionStep) and step.action not in _DEAD_LETTER_WORDS:
        words = " or ".join(_DEAD_LETTER_WORDS)
        message = (
            f"dead_letter publishes: {words}, not {step.action}; other steps stand in on_error"
        )
        context.report.error(entries.first, message)
    return step if isinstance(step, ActionStep) else None


def _check_do(value: MapValue, context: Context) -> None:
    do = value.get("do")
    if isinstance(do, ListValue) and not do.items:
        context.report.error(do, "do is empty: a flow does at least one step")
    if do is None and not any(
        key in value.names for key in ("steps", "actions", "action", "jobs", "tasks")
    ):
        when = value.get("when")
        triggers = when.items if isinstance(when, ListValue) else (when,)
        remembers = all(isinstance(t, MapValue) and t.entry("remember") for t in triggers)
        if not remembers:
            context.report.error(value.first, "do is missing: the steps of the flow")


def _inputs(sketches: list[Sketch]) -> dict[str, Any]:
    for sketch in sketches:
        if sketch.source.key.text == "call" and isinstance(sketch.source.value, MapValue):
            inputs = sketch.source.value.get("inputs")
            if isinstance(inputs, MapValue):
                return plain(inputs)  # type: ignore[no-any-return]
    return {}
