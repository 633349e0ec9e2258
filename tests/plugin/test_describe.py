"""What people and editors read of a Spec."""

from reactor.plugin.describe import config_schema, describe_markdown, describe_text
from tests.loading.small_words import ACTIONS, SOURCES

HTTP = next(spec for spec in SOURCES if spec.word == "http")
LOG = next(spec for spec in ACTIONS if spec.word == "log")
REQUEST = next(spec for spec in ACTIONS if spec.word == "http")


def test_text_names_every_field():
    """The terminal shows each field with what it takes, and what events bring."""
    lines = describe_text(HTTP).splitlines()

    assert lines[0] == "http (source): A webhook."
    assert "  max_body  The largest body. (a size such as 64KiB, default 1MiB)" in lines
    assert "  event.headers  The headers." in lines


def test_markdown_is_a_section():
    """The manual shows the same as a table."""
    page = describe_markdown(REQUEST)

    assert page.startswith("## `http` (action)\n\nAsks.\n")
    assert "| `get` | a text |  | The URL. |" in page
    assert "Exactly one of get, post." in page


def test_the_schema_refuses_unknown_fields():
    """Editors mark what does not exist, and take a template where a value is taken."""
    schema = config_schema(HTTP)

    assert schema["additionalProperties"] is False
    assert schema["required"] == ["path", "verify"]
    assert schema["properties"]["method"]["enum"] == ["GET", "POST"]


def test_the_schema_takes_the_plain_value():
    """A word with a shorthand takes the value or the map."""
    plain = config_schema(LOG)["anyOf"][1]

    assert "string" in plain["type"]


def test_the_schema_wants_one_of_a_group():
    """Fields that exclude each other do so in editors too."""
    assert config_schema(REQUEST)["allOf"] == [
        {"oneOf": [{"required": ["get"]}, {"required": ["post"]}]}
    ]
