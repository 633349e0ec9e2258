"""The JSON Schema of a flow file, for editors: made of the Specs and of the engine's own keys."""

from typing import Any, Literal

from msgspec import inspect

from reactor.loading.testwords import FlowTestWords
from reactor.loading.words import (
    ApprovalWords,
    FlowWords,
    RepeatWords,
    StepWords,
    TriggerWords,
    WaitUntilWords,
    WaitWhenWords,
)
from reactor.plugin.catalog import Catalog
from reactor.plugin.describe import Schema, config_schema, struct_schema
from reactor.plugin.fields import info
from reactor.plugin.spec import Config

_STEPS: Schema = {"type": "array", "items": {"$ref": "#/$defs/step"}}
_NAMED: Schema = {"pattern": "^[a-z][a-z0-9_]*$"}
_CONTROL_SUMMARIES = {
    "do": "A group of steps.",
    "parallel": "Branches that run at once.",
    "choose": "The first choice whose conditions hold is done.",
    "repeat": "A loop.",
    "wait": "Waits for a time, an event or a person.",
    "call": "Runs another flow and waits for its output.",
}


def json_schema(catalog: Catalog) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a flow file, and of a file with tests beside it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Reactor flow file",
        **_flow(),
        "$defs": {
            "trigger": _trigger(catalog),
            "step": _step(catalog),
            "test": _struct(FlowTestWords),
        },
    }


def _struct(shape: type[Config]) -> Schema:
    known = info(shape)
    return struct_schema(known, "literal") if isinstance(known, inspect.StructType) else {}


def _flow() -> Schema:
    schema = _struct(FlowWords)
    fields = schema["properties"]
    fields["flow"]["pattern"] = "^[a-z][a-z0-9-]*$"
    triggers = [{"$ref": "#/$defs/trigger"}, _list_of("trigger")]
    fields["when"] |= {"anyOf": triggers}
    for name in ("do", "on_error", "finally"):
        fields[name] |= _STEPS
    fields["dead_letter"] |= {"$ref": "#/$defs/step"}
    fields["tests"] |= _list_of("test")
    alone = {"required": ["tests"], "maxProperties": 1}
    return {**schema, "anyOf": [{"required": ["flow", "when"]}, alone]}


def _trigger(catalog: Catalog) -> Schema:
    schema = _struct(TriggerWords)
    schema["properties"]["id"] |= _NAMED
    found = _with_words(schema, catalog, "source")
    if (join := found["properties"].get("join")) is not None:
        join["properties"]["of"] |= {"additionalProperties": {"$ref": "#/$defs/trigger"}}
    return found


def _step(catalog: Catalog) -> Schema:
    schema = _struct(StepWords)
    fields = schema["properties"]
    fields["id"] |= _NAMED
    fields["on_error"] |= {"anyOf": [{"enum": ["continue", "fail"]}, _STEPS]}
    fields["undo"] |= _STEPS
    fields |= {word: {"description": text} for word, text in _CONTROL_SUMMARIES.items()}
    fields["do"] |= _STEPS
    fields["parallel"] |= {"type": "object", "additionalProperties": _STEPS}
    fields["choose"] |= {"type": "array", "items": {"type": "object", "required": ["do"]}}
    fields["repeat"] |= _with_steps(_struct(RepeatWords), "do")
    fields["wait"] |= {
        "anyOf": [
            {"type": "string"},
            _struct(WaitUntilWords),
            _struct(WaitWhenWords),
            _with_steps(_struct(ApprovalWords), "notify"),
        ]
    }
    fields["call"] |= {"type": "string"}
    fields["join"] = {"description": "Which branches are waited for.", "default": "all"}
    fields["with"] = {"description": "Inputs of the called flow.", "type": "object"}
    fields["detach"] = {"description": "Whether not to wait for its end.", "type": "boolean"}
    return _with_words(schema, catalog, "action")


def _with_words(schema: Schema, catalog: Catalog, kind: Literal["source", "action"]) -> Schema:
    for word in catalog.words(kind):
        spec = catalog.find(kind, word)
        if spec is not None:
            schema["properties"][word] = config_schema(spec)
    return schema


def _with_steps(schema: Schema, name: str) -> Schema:
    schema["properties"][name] |= _STEPS
    return schema


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/$defs/{name}"}}
