"""A Spec for readers: text for the terminal, Markdown for the manual, JSON Schema for editors."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import inspect

from reactor.expr.template import Template
from reactor.plugin.fields import LISTS, Described, described, fields_of, info
from reactor.plugin.spec import Spec
from reactor.units import Duration, Size

Schema = dict[str, Any]

TEMPLATE: Schema = {"type": "string", "pattern": r"^\s*\$\{\{[\s\S]*\}\}\s*$"}
_DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"}
_SIZE: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*([KMGT]i?B|kB|B)$"}
# A list is one composed value.
_EXPRESSION: Schema = {"type": ["string", "number", "boolean", "null", "array"]}
_SCALARS: Mapping[type[inspect.Type], Schema] = {
    inspect.IntType: {"type": "integer"},
    inspect.FloatType: {"type": "number"},
    inspect.BoolType: {"type": "boolean"},
    inspect.NoneType: {"type": "null"},
    # A number or a boolean is taken as the text that was written.
    inspect.StrType: {"type": ["string", "number", "boolean"]},
}


def describe_text(spec: Spec) -> str:
    """A word on the terminal: what it is, what it takes, examples."""
    lines = [f"{spec.word} ({spec.kind}): {spec.summary}"]
    fields = _fields(spec)
    if fields:
        width = max(len(field.name) for field in fields)
        lines += ["", *(f"  {f.name.ljust(width)}  {_sentence(f)}" for f in fields)]
    lines += [f"\n{note}" for note in _notes(spec)]
    brought = [described(field) for field in fields_of(spec.fields)] if spec.fields else []
    if brought:
        width = max(len(field.name) for field in brought)
        lines += ["", "Beside event.data:"]
        lines += [f"  event.{f.name.ljust(width)}  {f.text}" for f in brought]
    if spec.examples:
        lines += ["", "Examples:"]
        lines += [f"  {line}" for example in spec.examples for line in example.splitlines()]
    return "\n".join(lines)


def describe_markdown(spec: Spec) -> str:
    """A word as a section of the manual."""
    lines = [f"## `{spec.word}` ({spec.kind})", "", spec.summary]
    fields = _fields(spec)
    if fields:
        lines += ["", "| key | takes | default | |", "|---|---|---|---|"]
        lines += [_row(field) for field in fields]
    lines += [f"\n{note}" for note in _notes(spec)]
    brought = [described(field) for field in fields_of(spec.fields)] if spec.fields else []
    if brought:
        lines += ["", "| beside `event.data` | |", "|---|---|"]
        lines += [f"| `event.{field.name}` | {_cell(field.text)} |" for field in brought]
    if spec.examples:
        lines += ["", "```yaml", *spec.examples, "```"]
    return "\n".join(lines) + "\n"


def config_schema(spec: Spec) -> Schema:
    """The JSON Schema of what stands under a word."""
    type_ = info(spec.config)
    schema = _schema(type_.type if isinstance(type_, inspect.Metadata) else type_, "template")
    schema["description"] = spec.summary
    groups = [[{"required": [name]} for name in group] for group in spec.one_of]
    if groups:
        schema["allOf"] = [{"oneOf": group} for group in groups]
    choices = [schema]
    if spec.shorthand is not None:
        field = next(f for f in fields_of(spec.config) if f.encode_name == spec.shorthand)
        choices.append({"description": spec.summary, **schema_of(field.type)})
    return choices[0] if len(choices) == 1 else {"description": spec.summary, "anyOf": choices}


def schema_of(type_: inspect.Type, form: str = "template") -> Schema:
    """The JSON Schema of a type, with templates where they are taken."""
    if isinstance(type_, inspect.Metadata):
        return _schema_of_marked(type_, form)
    if isinstance(type_, inspect.AnyType):
        return {}
    if form == "expression":
        return {"type": [*_EXPRESSION["type"], "object"]}
    schema = _schema(type_, form)
    return any_of([schema, TEMPLATE]) if form == "template" and not _takes_text(schema) else schema


def any_of(schemas: Iterable[Schema]) -> Schema:
    """The schema of values that fit one of these, without needless nesting."""
    flat: list[Schema] = []
    for schema in schemas:
        choices = schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]
        flat += [choice for choice in choices if choice not in flat]
    if any(map(_takes_text, flat)):
        flat = [choice for choice in flat if choice != TEMPLATE]
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


def _takes_text(schema: Schema) -> bool:
    if "anyOf" in schema:
        return any(map(_takes_text, schema["anyOf"]))
    return not schema or ("string" in schema.get("type", ()) and "pattern" not in schema)


def _schema_of_marked(type_: inspect.Metadata, form: str) -> Schema:
    extra = type_.extra or {}
    form = extra.get("form", form)
    if "long" in extra:
        both = [schema_of(info(extra["short"]), form), schema_of(info(extra["long"]), form)]
        schema = any_of([*both, {"const": True}] if extra.get("true") else both)
    else:
        schema = schema_of(type_.type, form)
    return {**schema, **(type_.extra_json_schema or {})}


def _schema(type_: inspect.Type, form: str) -> Schema:
    if isinstance(type_, inspect.StructType):
        return struct_schema(type_, form)
    if isinstance(type_, inspect.DictType):
        inner = schema_of(type_.value_type, form)
        return {"type": "object", "additionalProperties": inner or True}
    if isinstance(type_, LISTS):
        listed: Schema = {"type": "array", "items": schema_of(type_.item_type, form)}
        return any_of([listed, _EXPRESSION]) if form == "deferred" else listed
    if isinstance(type_, inspect.UnionType):
        return any_of(schema_of(each, form) for each in type_.types)
    if isinstance(type_, inspect.LiteralType):
        return {"enum": list(type_.values)}
    if isinstance(type_, inspect.CustomType):
        special: dict[Any, Schema] = {Duration: _DURATION, Size: _SIZE, Template: {}}
        return dict(special.get(type_.cls, _EXPRESSION))
    return _bounded(type_)


def struct_schema(type_: inspect.StructType, form: str = "template") -> Schema:
    """The JSON Schema of a struct: its fields and nothing else."""
    schema: Schema = {
        "type": "object",
        "properties": {f.encode_name: schema_of(f.type, form) for f in type_.fields},
        "additionalProperties": False,
    }
    required = [field.encode_name for field in type_.fields if field.required]
    if required:
        schema["required"] = required
    return schema


def _bounded(type_: inspect.Type) -> Schema:
    schema = dict(_SCALARS.get(type(type_), {}))
    if isinstance(type_, inspect.IntType | inspect.FloatType):
        limits = {"minimum": type_.ge, "exclusiveMinimum": type_.gt, "maximum": type_.le}
        schema.update({key: value for key, value in limits.items() if value is not None})
    return schema


def _fields(spec: Spec) -> list[Described]:
    return [described(field) for field in fields_of(spec.config)]


def _sentence(field: Described) -> str:
    facts = [field.takes]
    if field.required:
        facts.append("required")
    elif field.default is not None:
        facts.append(f"default {field.default}")
    example = f" Such as {_example(field.examples[0])}." if field.examples else ""
    return f"{field.text} ({', '.join(facts)}){example}"


def _row(field: Described) -> str:
    default = "required" if field.required else field.default or ""
    example = f" Such as `{_example(field.examples[0])}`." if field.examples else ""
    return f"| `{field.name}` | {_cell(field.takes)} | {default} | {_cell(field.text + example)} |"


def _notes(spec: Spec) -> list[str]:
    notes = [f"Exactly one of {', '.join(group)}." for group in spec.one_of]
    if spec.shorthand is not None:
        notes.append(f"A plain value stands for {spec.shorthand}.")
    if spec.kind == "source" and spec.guarantee:
        notes.append(f"Delivery: {spec.guarantee}.")
    if spec.timeout_secs is not None:
        notes.append(f"One attempt takes at most {spec.timeout_secs:g}s.")
    return notes


def _example(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
