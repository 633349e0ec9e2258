"""What stands under a source's or an action's key: checked against its Spec, made a template."""

from typing import Any, Literal

from msgspec import Struct, inspect

from reactor.expr.scope import Scope
from reactor.expr.template import Template
from reactor.loading.configs import Meta, Walk
from reactor.loading.context import Context
from reactor.loading.values import Entry, MapValue, Scalar, Value, inside, kind, plain
from reactor.plugin.decode import DecodeFailed, decode
from reactor.plugin.fields import fields_of, info, names_of
from reactor.plugin.spec import Spec

NOTHING = Template(None)


class Written(Struct, frozen=True):
    """A config as written: the plain data (templates as text), and what it renders from.

    `typed` is the decoded config where nothing in it is computed; `fine` says that there was no
    mistake.
    """

    data: Any = None
    template: Template = NOTHING
    typed: Any = None
    fine: bool = False


class Beside(Struct, frozen=True):
    """Keys that belong beside the word and not inside it."""

    kind: Literal["source", "action"]
    keys: tuple[str, ...]
    entry: Entry


def read_config(
    value: Value,
    spec: Spec,
    context: Context,
    scope: Scope,
    *,
    deferred: Scope | None = None,
    beside: Beside | None = None,
) -> Written:
    """The config of a word; every problem in it is reported."""
    report = context.report
    errors_before = report.errors

    def unknown(entry: Entry, around: MapValue, known: list[str]) -> bool:
        if around is not value or beside is None or entry.key.text not in beside.keys:
            return False
        belongs_beside(around, beside, context)
        return True

    type_ = info(spec.config)
    value, shorthand = _opened(value, spec)
    if shorthand is None and _needs_map(type_) and not isinstance(value, MapValue):
        _not_a_map(value, spec, context)
        return Written()
    walk = Walk(report, scope, deferred, unknown)
    data = walk.walk(value, type_, Meta(spec.word))
    if isinstance(value, MapValue) and isinstance(data, dict):
        _one_of(value, spec, context)
        if spec.check is not None and report.errors == errors_before:
            for path, message in spec.check(data):
                report.error(inside(value, path), message)
    _fill(data, spec, context)
    template = walk.template(data)
    typed = None
    if template.constant and report.errors == errors_before:
        try:
            typed = decode(template.render({}), spec.config)
        except DecodeFailed as error:
            report.error(inside(value, error.path), f"{spec.word}: {error}")
    return Written(data, template, typed, report.errors == errors_before)


def _fill(data: Any, spec: Spec, context: Context) -> None:
    """Write down the settings that stand for fields which were left out."""
    for field in fields_of(spec.config) if isinstance(data, dict) else ():
        extra = field.type.extra if isinstance(field.type, inspect.Metadata) else None
        if (setting := (extra or {}).get("setting")) is not None:
            data.setdefault(field.encode_name, getattr(context.loading.defaults, setting))


def marked_fields(spec: Spec, mark: str, data: Any) -> frozenset[str]:
    """The written fields of a config that `doc()` marks as strict or authored."""
    if not isinstance(data, dict):
        return frozenset()
    return frozenset(
        field.encode_name
        for field in fields_of(spec.config)
        if field.encode_name in data
        and isinstance(field.type, inspect.Metadata)
        and (field.type.extra or {}).get(mark)
    )


def _opened(value: Value, spec: Spec) -> tuple[Value, str | None]:
    # A plain value stands for one field: `log: text` is `log: {message: text}`.
    if spec.shorthand is None or isinstance(value, MapValue):
        return value, None
    key = Scalar(spec.shorthand, spec.shorthand, value.at, "guess")
    return MapValue((Entry(key, value),), value.at), spec.shorthand


def _needs_map(type_: inspect.Type) -> bool:
    return isinstance(type_, inspect.StructType)


def _not_a_map(value: Value, spec: Spec, context: Context) -> None:
    report = context.report
    if "args" in names_of(spec.config) and not isinstance(value, MapValue) and plain(value):
        words = value.text.split() if isinstance(value, Scalar) else map(str, plain(value))
        fixed = f"{{args: [{', '.join(words)}]}}"
        ways = next((group for group in spec.one_of if "args" in group), ("args",))
        message = f"{spec.word} takes {' or '.join(ways)}: {spec.word}: {fixed}"
        report.error(value, message, repaired=report.with_text(value.at, fixed))
        return
    needed = any(field.required for field in fields_of(spec.config)) or spec.one_of
    if isinstance(value, Scalar) and value.value is None and not needed:
        report.error(value, f"{spec.word} takes a map, also an empty one: {spec.word}: {{}}")
        return
    example = f": {spec.examples[0]}" if spec.examples else ""
    report.error(value, f"{spec.word} takes a map, not {kind(value)}{example}")


def _one_of(value: MapValue, spec: Spec, context: Context) -> None:
    for group in spec.one_of:
        given = [entry for entry in value.entries if entry.key.text in group]
        names = ", ".join(group[:-1]) + f" or {group[-1]}"
        if not given:
            context.report.error(value.first, f"{spec.word} needs one of {names}")
        for entry in given[1:]:
            first = given[0].key.text
            message = f"{first} and {entry.key.text} exclude each other: one of {names}"
            context.report.error(entry.key, message)


def belongs_beside(around: MapValue, beside: Beside, context: Context) -> None:
    """Report the engine's keys that stand inside a source's or an action's map."""
    report = context.report
    word = beside.entry.key.text
    wrong = [each for each in around.entries if each.key.text in beside.keys]
    if not wrong:
        return
    names = [each.key.text for each in wrong]
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    verb = "belongs" if len(names) == 1 else "belong"
    report.error(
        wrong[0].key,
        f"{listed} {verb} beside {word}, not inside: what the {beside.kind} knows stands inside, "
        "what the engine knows beside",
        repaired=_moved_out(around, wrong, beside, context),
    )


def _moved_out(
    around: MapValue, wrong: list[Entry], beside: Beside, context: Context
) -> str | None:
    report = context.report
    number = beside.entry.key.at.line
    ends = {around.at.line, *(each.value.at.end_line for each in around.entries)}
    if around.inline and ends == {number}:
        line = report.line(number)
        kept = ", ".join(_source(line, each) for each in around.entries if each not in wrong)
        lead = line[: beside.entry.key.at.column - 1]
        indent = " " * len(lead)
        rest = [indent + _source(line, each) for each in wrong]
        if "{" in lead:
            return None
        return "\n".join([f"{lead}{beside.entry.key.text}: {{{kept}}}", *rest])
    lines = [report.line(each.key.at.line) for each in wrong]
    if around.inline or any(each.value.at.end_line > each.key.at.line + 1 for each in wrong):
        return None
    indent = " " * (beside.entry.key.at.column - 1)
    return "\n".join(indent + line.strip() for line in lines)


def _source(line: str, entry: Entry) -> str:
    return line[entry.key.at.column - 1 : entry.value.at.end_column - 1]
