"""Rendered data to typed configs."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest

from reactor.plugin.decode import DecodeFailed, decode
from reactor.plugin.spec import Config, doc
from reactor.units import Duration, Size


class Inner(Config, frozen=True):
    """A part."""

    count: int


class Outer(Config, frozen=True):
    """A config with one field of each kind."""

    text: Annotated[str | None, doc("A text.")] = None
    texts: Mapping[str, str] = {}
    words: tuple[str, ...] = ()
    number: int = 0
    wait: Duration = Duration(1)
    size: Size = Size(1)
    choice: Literal["a", "b"] = "a"
    inner: Inner | None = None
    value: Any = None
    either: str | int = 0


def test_plain_data_becomes_the_config():
    """Values of the right kind are taken as they are; durations and sizes from their text."""
    config = decode({"text": "a", "wait": "1h30m", "size": "64KiB", "inner": {"count": 1}}, Outer)

    assert (config.text, config.wait, config.size, config.inner) == (
        "a",
        Duration(5400),
        Size(65536),
        Inner(count=1),
    )


@pytest.mark.parametrize(
    ("value", "text"), [(5, "5"), (1.5, "1.5"), (True, "true"), (False, "false")]
)
def test_a_number_becomes_text(value, text):
    """A template keeps its type, and a text field takes it nevertheless."""
    config = decode({"text": value, "texts": {"x": value}, "words": [value]}, Outer)

    assert (config.text, config.texts, config.words) == (text, {"x": text}, (text,))


def test_text_becomes_a_number():
    """The environment has only text, and a number field takes it nevertheless."""
    assert decode({"number": "5"}, Outer).number == 5


def test_a_number_stays_where_both_are_taken():
    """Nothing is changed where the field takes it as it is."""
    assert decode({"either": 5, "text": 1}, Outer).either == 5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"inner": {"count": "x"}}, "inner.count: expected a whole number, got a text"),
        ({"texts": []}, "texts: expected a map, got a list"),
        ({"wait": 5}, "wait: 5 what? write 5s (units are ms s m h d)"),
        ({"words": [None]}, "words.0: expected a text, got nothing"),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(value, message):
    """The message names the place and uses the words of the language."""
    with pytest.raises(DecodeFailed) as failed:
        decode(value, Outer)

    assert str(failed.value) == message


def test_an_unknown_field_is_refused():
    """A config takes its own fields and nothing else."""
    with pytest.raises(DecodeFailed, match="unknown field"):
        decode({"nmber": 1}, Outer)
