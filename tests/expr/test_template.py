"""Templates: what computes, what stays text, and where a template ends."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import EvaluationError
from reactor.expr.parse import ExpressionInvalid, Scope
from reactor.expr.template import parse_template, parse_value

SCOPE = Scope(roots={"event": None, "secrets": None})
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rendered(text, *, strict=False, **event):
    return parse_template(text, SCOPE).render({"event": event}, strict=strict)


def refuse(path, mistake):
    raise AssertionError((path, mistake))


@pytest.mark.parametrize("value", [5, 1.5, None, True, "x", [1, {"a": 2}], {"b": []}, NOON, b"raw"])
def test_a_whole_value_keeps_its_type(value):
    """A template that is the whole value gives the value itself, white space around it or not."""
    assert rendered("${{ event.x }}", x=value) == value
    assert rendered("\n  ${{event.x}}  ", x=value) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        (None, ""),
        ("é", "é"),
        ([1, None, "a"], '[1,null,"a"]'),
        ({"a": {"b": NOON}}, '{"a":{"b":"2026-01-01T12:00:00Z"}}'),
        (NOON, "2026-01-01T12:00:00Z"),
        (b"raw", "raw"),
    ],
)
def test_mixed_text_writes_values_as_text(value, text):
    """Inside text, maps and lists are compact JSON, times RFC 3339, null is empty."""
    assert rendered("<${{ event.x }}>", x=value) == f"<{text}>"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("{{ event.a }} $ { } }}", "{{ event.a }} $ { } }}"),
        ("${{ event.a }}${{ event.b }}", "12"),
        ("a ${{ event.a }} b ${{ event.b }}", "a 1 b 2"),
        ('${{ "}}" }}', "}}"),
        ('<${{ "}}" + "${{" }}>', "<}}${{>"),
        ('${{ {"a": {"b": 1}}}}', {"a": {"b": 1}}),
        ('${{ {"a": {"b": 1}} }}}}', '{"a":{"b":1}}}}'),
        ("${{ '\"}}' }}!", '"}}!'),
        ("${{ [x for x in [1, 2] if x > 1][0] }}", 2),
        ("${{ 'it''s' if false else \"it's\" }}".replace("''", "\\'"), "it's"),
    ],
)
def test_a_template_ends_where_its_expression_is_complete(text, value):
    """`}}` inside texts and maps does not end a template; text without `${{` is untouched."""
    assert rendered(text, a=1, b=2) == value


@pytest.mark.parametrize(
    ("text", "offset", "says", "repaired"),
    [
        ("${{ event.a }", 0, "the template is not closed: write }}", "${{ event.a }}"),
        ("a ${{ event.a", 2, "the template is not closed: write }}", "a ${{ event.a }}"),
        ("hello ${{ nope.x }} there", 10, "unknown name 'nope'", None),
        ("hello ${{ evnt.x }} there", 10, "did you mean event", "hello ${{ event.x }} there"),
        ("x ${{ }}", 5, "the expression is empty", None),
        ("${{ event.a[ }}", 11, "[ is not closed", None),
        ("${{ event.name.upper() }}!", 4, "upper(event.name)", "${{ upper(event.name) }}!"),
    ],
)
def test_a_mistake_is_placed_in_the_text(text, offset, says, repaired):
    """Mistakes of an expression are told at their place in the whole text."""
    with pytest.raises(ExpressionInvalid) as caught:
        parse_template(text, SCOPE)

    mistake = caught.value.mistakes[0]
    assert says in mistake.message
    assert mistake.offset == offset
    assert mistake.repaired == repaired


def test_data_is_never_a_template():
    """What an event brings stays as it is, however it looks."""
    evil = "${{ secrets.key }}"

    assert rendered("${{ event.x }}", x=evil) == evil
    assert rendered("a ${{ event.x }}", x=evil) == f"a {evil}"


@given(st.text())
def test_any_data_stays_untouched(text):
    """Any text comes through whole templates and mixed ones unchanged."""
    assert rendered("${{ event.x }}", x=text) == text
    assert rendered("[${{ event.x }}]", x=text) == f"[{text}]"


def test_a_tree_is_rendered_and_keys_are_not():
    """Maps and lists are rendered inside; a key that looks like a template is a key."""
    value = {
        "a": "${{ event.n }}",
        "${{ event.n }}": [1, {"b": "n=${{ event.n }}"}],
        "c": {"d": None},
    }

    template = parse_value(value, SCOPE, refuse)

    assert template.render({"event": {"n": 7}}) == {
        "a": 7,
        "${{ event.n }}": [1, {"b": "n=7"}],
        "c": {"d": None},
    }
    assert template.roots == {"event"}
    assert template.paths == {("event", "n")}
    assert not template.constant


def test_a_constant_is_shared():
    """A tree without templates is rendered once, at load."""
    template = parse_value({"a": [1, "x"]}, SCOPE, refuse)

    assert template.constant
    assert template.render({}) is template.render({})
    assert template.render({}) == {"a": [1, "x"]}


def test_all_mistakes_of_a_tree_are_reported_with_their_keys():
    """Each mistake comes with the keys that lead to its text."""
    seen = []
    value = {"a": "${{ foo }}", "b": [0, {"c": "x ${{ bar }} ${{ baz }}"}]}

    parse_value(value, SCOPE, lambda path, mistake: seen.append((path, mistake.offset)))

    assert seen == [(("a",), 4), (("b", 1, "c"), 6), (("b", 1, "c"), 17)]


def test_strict_refuses_null_inside_text():
    """Where an empty part would mean another thing, null is an error that names the path."""
    with pytest.raises(EvaluationError, match=r"event\.gone.*default"):
        rendered("/users/${{ event.gone }}", strict=True)

    assert rendered("${{ event.gone }}", strict=True) is None
    assert rendered('/users/${{ event.gone | default("") }}', strict=True) == "/users/"


def test_strict_may_be_decided_by_place():
    """One render may be strict for some places of a tree only."""
    template = parse_value({"url": "/${{ event.a }}", "text": "<${{ event.a }}>"}, SCOPE, refuse)

    with pytest.raises(EvaluationError):
        template.render({"event": {}}, strict=lambda path: path == ("url",))

    assert template.render({"event": {}}, strict=lambda path: path == ("body",))["text"] == "<>"


def test_mixed_text_is_bounded():
    """Text that a template builds stays under 1 MiB."""
    with pytest.raises(EvaluationError, match="1 MiB"):
        rendered("${{ event.x }}${{ event.x }}", x="a" * 600_000)
