"""What a flow does, stage by stage, in the order that always holds, with its own values."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from reactor.errors import ReactorError
from reactor.expr.parse import parse
from reactor.expr.scope import Scope
from reactor.expr.tokens import closing
from reactor.loading.names import DATA_ROOTS
from reactor.loading.step_ids import written_step
from reactor.model.flow import (
    ActionStep,
    AnyStep,
    CallStep,
    ChooseStep,
    Flow,
    GroupStep,
    ParallelStep,
    RepeatStep,
    Step,
    Trigger,
    WaitStep,
)
from reactor.model.retry import Retry
from reactor.plugin.catalog import Catalog
from reactor.units import format_duration

_BEFORE_GATES = ("split", "only_if", "unless", "dedup", "remember")
_GATES = ("changes", "becomes", "for", "absent", "count", "recovers", "debounce", "batch", "window")
# Where a host ends: what comes behind it may be data.
_HOST = re.compile(r"[a-z]+://[^/?#]+[/?#]|\$\{\{.*?\}\}[^/?#]*[/?#]|/(?!/)")
_ANYTHING = Scope(
    dict.fromkeys([*DATA_ROOTS, "vars", "env", "secrets", "now", "execution", "flow", "index"])
)
_AUTHORS_HOST = "the author's, private addresses too"
_ANYONES_HOST = "from event data, public addresses only"
_AUTHORS_PATH = "the author's"
_ANYONES_PATH = "from event data, never out of"
_TRIGGERS_PATH = "the file of the trigger, never out of the fixed part of the trigger's path"
_FOUND = re.compile(r"\s*\$\{\{\s*event\.data\.path\s*\}\}")


class Stage(Struct, frozen=True):
    """One line: the part of the flow it belongs to, the stage, what happens there."""

    part: str
    name: str
    text: str


def explained(flow: Flow, catalog: Catalog) -> list[Stage]:
    """Every stage of a flow, from the event to the end."""
    stages = [Stage(f"flow {flow.name}", "file", f"{flow.place.file}:{flow.place.line}")]
    if flow.about:
        stages.append(Stage(f"flow {flow.name}", "about", flow.about))
    if not flow.enabled:
        stages.append(Stage(f"flow {flow.name}", "enabled", "false: it takes no events"))
    written = flow.document.get("when", [])
    for trigger, own in zip(
        flow.triggers, written if isinstance(written, list) else [written], strict=False
    ):
        stages += _trigger(trigger, own, catalog)
    stages += _start(flow)
    for part, steps in (("do", flow.do), ("on_error", flow.on_error)):
        stages += [stage for step in steps for stage in _step(part, step, flow, catalog, 0)]
    stages += _end(flow, catalog)
    return stages


def _trigger(trigger: Trigger, own: Mapping[str, Any], catalog: Catalog) -> Iterator[Stage]:
    part = f"when {trigger.id}"
    spec = catalog.find("source", trigger.source)
    config = own.get(trigger.source)
    yield Stage(part, "receive", f"{trigger.source}: {_value(config)}")
    if isinstance(config, Mapping) and "verify" in config:
        yield Stage(part, "verify", _verify(config["verify"]))
    for word in (*_BEFORE_GATES, *_GATES):
        if word in own:
            yield Stage(part, word, _value(own[word]))
    for branch in trigger.branches:
        yield Stage(part, "branch", f"{branch.branch}: {_branch(branch)}")
    usual = "that of its branch" if trigger.branches else "what the source brings"
    yield Stage(part, "key", _value(own["key"]) if "key" in own else usual)
    if spec is not None and spec.guarantee:
        yield Stage(part, "guarantee", spec.guarantee)
    if trigger.gates is not None and trigger.gates.holds:
        kept = "a row for each key in the commit of the event, due times too"
        yield Stage(part, "gates keep", kept)
    if "throttle" in own:
        yield Stage(part, "throttle", f"after it is stored: {_value(own['throttle'])}")


def _branch(branch: Trigger) -> str:
    words = [branch.source]
    words += [f"only_if {each.text}" for each in branch.only_if]
    words += [f"unless {each.text}" for each in branch.unless]
    words += [] if branch.key is None else [f"key {branch.key.text}"]
    return ", ".join(words)


def _start(flow: Flow) -> Iterator[Stage]:
    document = flow.document
    for word in ("only_if", "unless"):
        if word in document:
            yield Stage("start", word, _value(document[word]))
    yield Stage("start", "store", "event, identity and execution in one commit, on disk")
    yield Stage("start", "acknowledge", "the source is told only now")
    yield Stage("start", "run", _run(flow))
    for name, _ in flow.vars:
        secret = " (a secret: never stored)" if name in flow.secret_vars else ""
        yield Stage("start", f"vars.{name}", f"{_value(document['vars'][name])}{secret}")


def _run(flow: Flow) -> str:
    run = flow.run
    words: list[str] = [run.mode]
    if run.mode == "parallel":
        words.append(f"at most {run.max} at a time")
    elif run.key is not None:
        words.append(f"one at a time for each {run.key.text}")
    elif any(trigger.key is not None for trigger in flow.triggers):
        words.append("one at a time for each key")
    else:
        words.append("one at a time")
    if run.hold_on_fail:
        words.append("a failed one holds its key until it is retried or dropped")
    if run.timeout_secs is not None:
        words.append(f"cancelled after {format_duration(run.timeout_secs)}")
    return ", ".join(words)


def _step(part: str, step: AnyStep, flow: Flow, catalog: Catalog, depth: int) -> Iterator[Stage]:
    written = written_step(flow.document, step.path)
    name = f"{'  ' * depth}{step.id}"
    yield Stage(part, name, _what(step, written))
    for text in (*_conditions(step, written), *_reach(step, written, flow), *_limits(step)):
        yield Stage(part, "", text)
    for label, steps in _inside(step):
        if label:
            yield Stage(part, "", label)
        for inner in steps:
            yield from _step(part, inner, flow, catalog, depth + 1)


def _what(step: AnyStep, written: Mapping[str, Any]) -> str:
    match step:
        case ActionStep():
            return f"{step.action}: {_value(written.get(step.action))}"
        case GroupStep():
            return "a group of steps"
        case ParallelStep():
            names = ", ".join(name for name, _ in step.branches)
            return f"at once: {names}; goes on with {_value(written.get('join', 'all'))}"
        case ChooseStep():
            return "the first choice whose conditions hold"
        case RepeatStep():
            again = {k: v for k, v in written["repeat"].items() if k != "do"}
            return f"again: {_value(again)}"
        case WaitStep():
            return f"wait: {_value(written.get('wait'))}"
        case CallStep():
            waits = "without waiting" if step.detach else "and wait for its output"
            return f"call {step.flow} with {_value(written.get('with', {}))} {waits}"


def _inside(step: AnyStep) -> Iterator[tuple[str, tuple[AnyStep, ...]]]:
    match step:
        case GroupStep() | RepeatStep():
            yield "", step.do
        case ParallelStep():
            for name, steps in step.branches:
                yield f"branch {name}:", steps
        case ChooseStep():
            for choice in step.choices:
                asked = " and ".join(each.text for each in choice.only_if)
                refused = " or ".join(each.text for each in choice.unless)
                words = [f"if {asked}"] * bool(asked) + [f"unless {refused}"] * bool(refused)
                yield f"{' '.join(words) or 'else'}:", choice.do
        case WaitStep():
            yield "", step.notify
    if isinstance(step.on_error, tuple):
        yield "on its error:", step.on_error
    if step.undo:
        yield "undone by:", step.undo


def _conditions(step: Step, written: Mapping[str, Any]) -> Iterator[str]:
    for word in ("only_if", "unless", "each"):
        if word in written:
            yield f"{word} {_value(written[word])}"


def _limits(step: Step) -> Iterator[str]:
    if step.retry is not None:
        yield f"retry {_retry(step.retry)}"
    if step.timeout_secs is not None:
        yield f"timeout {format_duration(step.timeout_secs)} for each attempt"
    if step.once:
        yield "at most once: a crash in between fails it"
    if step.on_error == "continue":
        yield "a failure does not stop the flow"


def _retry(retry: Retry) -> str:
    words = [] if retry.max is None else [f"up to {retry.max} times"]
    if retry.within_secs is not None:
        words.append(f"within {format_duration(retry.within_secs)}")
    first, last = format_duration(retry.delay_secs), format_duration(retry.max_delay_secs)
    words.append(f"after {first}, times {retry.factor:g} up to {last}")
    if retry.full_jitter:
        words.append("with jitter")
    words += [f"only if {each.text}" for each in retry.only_if]
    words += [f"unless {each.text}" for each in retry.unless]
    return ", ".join(words)


def _reach(step: Step, written: Mapping[str, Any], flow: Flow) -> Iterator[str]:
    if not isinstance(step, ActionStep):
        return
    config = written.get(step.action)
    for field in sorted(step.authored):
        text = config.get(field) if isinstance(config, Mapping) else config
        if isinstance(text, str):
            begins, whole = authors_part(text, flow.tainted_vars)
            if step.action == "http":
                alone = whole or _HOST.match(begins)
                yield f"host: {_AUTHORS_HOST if alone else _ANYONES_HOST}"
            elif _FOUND.match(text) and any(each.source == "file" for each in flow.triggers):
                yield f"path: {_TRIGGERS_PATH}"
            else:
                folder = begins[: begins.rfind("/") + 1] or "the working folder"
                yield f"path: {_AUTHORS_PATH if whole else f'{_ANYONES_PATH} {folder}'}"


def authors_part(text: str, tainted_vars: frozenset[str]) -> tuple[str, bool]:
    """How a text begins, up to where event data may have written it, and whether that is all."""
    at, begins = 0, ""
    while (start := text.find("${{", at)) >= 0:
        end = closing(text, start + 3)
        if end is None:
            break
        begins += text[at:start]
        if _from_data(text[start + 3 : end], tainted_vars):
            return begins, False
        at = end + 2
        begins += text[start:at]
    return begins + text[at:], True


def _from_data(expression: str, tainted_vars: frozenset[str]) -> bool:
    try:
        found = parse(expression, _ANYTHING)
    except ReactorError:
        return True  # an item's own name, for one: not known here, so not trusted
    tainted = {("vars", name) for name in tainted_vars}
    return bool(found.roots & DATA_ROOTS) or bool(tainted & {path[:2] for path in found.paths})


def _end(flow: Flow, catalog: Catalog) -> Iterator[Stage]:
    if flow.dead_letter is not None:
        yield from _step("dead letter", flow.dead_letter, flow, catalog, 0)
    else:
        yield Stage("dead letter", "kept", "in the store: reactor dead ls")
    for step in flow.finally_:
        yield from _step("finally", step, flow, catalog, 0)
    if "output" in flow.document:
        yield Stage("end", "output", _value(flow.document["output"]))
    ok, failed = format_duration(flow.keep.ok_secs), format_duration(flow.keep.failed_secs)
    yield Stage("end", "keep", f"{ok} when ok, {failed} when failed")


def _verify(verify: Any) -> str:
    if verify == "none":
        return "none: anyone who reaches the port, which must be loopback"
    schemes = ", ".join(verify) if isinstance(verify, Mapping) else str(verify)
    return f"{schemes}, over the raw body"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
