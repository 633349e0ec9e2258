"""The JSON Schema of a flow file."""

import json

from reactor.loading.schema import json_schema
from reactor.loading.step_ids import CONTROL_KEYS, STEP_KEYS
from tests.loading.small_words import SmallCatalog


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
