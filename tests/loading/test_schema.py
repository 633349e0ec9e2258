"""The JSON Schema of a flow file."""

import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from reactor.loading.schema import json_schema
from reactor.loading.step_ids import CONTROL_KEYS, STEP_KEYS
from reactor.plugin.catalog import Catalog
from tests.loading.small_words import SmallCatalog
from tests.loading.test_load import CONTROL, SLACK


def test_every_key_of_a_step_is_in_the_schema():
    """Engine keys, control words and actions are all properties of a step."""
    step = json_schema(SmallCatalog())["$defs"]["step"]

    beside = {key for keys in CONTROL_KEYS.values() for key in keys}
    words = set(SmallCatalog().words("action"))
    assert set(step["properties"]) == {*STEP_KEYS, *CONTROL_KEYS, *beside, *words}


def test_every_key_says_what_it_is_for():
    """Editors show a sentence for each key of a flow, a trigger and a step."""
    schema = json_schema(SmallCatalog())

    shapes = (schema, schema["$defs"]["trigger"], schema["$defs"]["step"])
    silent = [
        name
        for shape in shapes
        for name, field in shape["properties"].items()
        if not field.get("description")
    ]
    assert silent == []


def test_the_schema_is_plain_json():
    """The schema can be written to a file, and its references exist."""
    schema = json_schema(SmallCatalog())

    text = json.dumps(schema)

    assert "#/$defs/step" in text
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("text", [SLACK, CONTROL.replace("emit: a", "emit: {type: a}")])
def test_good_flows_fit_the_schema(text):
    """What the loader takes, editors take."""
    assert fits(YAML(typ="safe", pure=True).load(text), json_schema(SmallCatalog()))


EXAMPLES = [
    (kind, example)
    for kind in ("source", "action")
    for word in Catalog().words(kind)
    if (spec := Catalog().find(kind, word)) is not None
    for example in spec.examples
]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_every_example_fits_the_schema(kind, example):
    """Examples of words are valid for editors too."""
    part = YAML(typ="safe", pure=True).load(example)
    part = part[0] if isinstance(part, list) else part
    flow = {"flow": "f", "when": {"call": {}}, "do": [{"log": "hi"}]}
    flow |= {"when": part} if kind == "source" else {"do": [part]}

    assert fits(flow, json_schema(Catalog()))


@pytest.mark.parametrize(
    "change",
    [
        {"flow": "My Flow"},
        {"whn": {}},
        {"do": {"log": "hi"}},
        {"do": [{"log": "hi", "retry": {"mx": 3}}]},
        {"when": {"http": {"path": "/a", "verify": "none", "method": "PUSH"}}},
        {"when": {"http": {"path": "/a"}}},
        {"timeout": 30},
    ],
)
def test_mistakes_do_not_fit_the_schema(change):
    """Editors mark what the loader would refuse."""
    flow = {"flow": "f", "when": {"call": {}}, "do": [{"log": "hi"}], **change}

    assert not fits(flow, json_schema(Catalog()))


TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def fits(value, schema, root=None):
    """Whether a value fits a JSON Schema, for the keywords that ours uses."""
    root = root or schema
    if "$ref" in schema and not fits(value, root["$defs"][schema["$ref"].split("/")[-1]], root):
        return False
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(is_a(value, type_) for type_ in types):
            return False
    if ("enum" in schema and value not in schema["enum"]) or (
        "const" in schema and value != schema["const"]
    ):
        return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if isinstance(value, int | float) and value < schema.get("minimum", value):
        return False
    if not all(fits(value, each, root) for each in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(fits(value, each, root) for each in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(fits(value, each, root) for each in schema["oneOf"]) != 1:
        return False
    if isinstance(value, list):
        return all(fits(item, schema.get("items", {}), root) for item in value)
    return not isinstance(value, dict) or keys_fit(value, schema, root)


def keys_fit(value, schema, root):
    """Whether the keys of a map fit."""
    fields, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not set(schema.get("required", ())) <= set(value):
        return False
    for key, item in value.items():
        inner = fields.get(key, others)
        if inner is False or (isinstance(inner, dict) and not fits(item, inner, root)):
            return False
    return True


def is_a(value, type_):
    """Whether a value is of a JSON type; a boolean is no number."""
    if isinstance(value, bool):
        return type_ == "boolean"
    return isinstance(value, TYPES[type_])
