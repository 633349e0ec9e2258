"""What is an expression, and what is said where a text is none."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reactor.expr.parse import ExpressionInvalid, Scope, equalities, joins, parse

MISTAKES = YAML(typ="safe").load(Path(__file__).with_name("mistakes.yaml").read_text())
SCOPE = Scope(
    roots={
        "event": frozenset({"id", "data", "body", "headers", "time", "items", "to"}),
        "incoming": None,
        "steps": frozenset({"rows", "fetch"}),
        "vars": frozenset({"who"}),
        "item": None,
        "now": None,
        "x": None,
    },
    absent={
        "steps.later": "step 'later' comes after; move it up",
        "secrets": "secrets are compared by verify",
    },
)


def mistakes_of(text, scope=SCOPE):
    with pytest.raises(ExpressionInvalid) as caught:
        parse(text, scope)
    return caught.value.mistakes


@pytest.mark.parametrize("case", MISTAKES, ids=[each["text"] for each in MISTAKES])
def test_a_mistake_is_told_with_its_remedy(case):
    """Each mistake has its message, its place inside the text, and the repair where it is known."""
    first = mistakes_of(case["text"])[0]

    assert case["says"] in first.message
    assert first.repaired == case.get("repaired", first.repaired)
    assert first.offset == case.get("at", first.offset)
    assert 0 <= first.offset <= len(case["text"])


@pytest.mark.parametrize("case", [each for each in MISTAKES if "repaired" in each])
def test_a_repaired_text_is_an_expression(case):
    """What is offered as the repair names nothing unknown but what its own case is about."""
    scope = Scope(
        roots={**dict.fromkeys(SCOPE.roots), "vars": frozenset({"who"}), "execution": None}
    )

    assert parse(case["repaired"], scope).text


def test_all_unknown_names_are_told_at_once():
    """Three unknown names are three mistakes, each at its own place."""
    found = mistakes_of("foo.a == 1 and bar.b == 2 or len(baz) > 3")

    assert [each.offset for each in found] == [0, 15, 33]


def test_a_wrapped_text_means_the_same():
    """`${{ … }}` around the whole is taken off; places count from the text's own start."""
    found = mistakes_of(" ${{ event.nobody }}")

    assert parse(" ${{ event.body.a }} ", SCOPE).text == "event.body.a"
    assert found[0].offset == 5
    assert found[0].repaired == " ${{ event.body }}"


def test_names_and_paths_are_known():
    """An expression tells its roots and the longest constant paths it reads."""
    expression = parse(
        'event.body.total > 3 and event.headers["x-y"] == vars.who and now != null', SCOPE
    )

    assert expression.roots == {"event", "vars", "now"}
    assert expression.paths == {
        ("event", "body", "total"),
        ("event", "headers", "x-y"),
        ("vars", "who"),
        ("now",),
    }
    assert not expression.constant


def test_an_expression_without_names_is_constant():
    """A constant expression reads nothing, loop names do not count."""
    expression = parse("sum([y * 2 for y in [1, 2]])", SCOPE)

    assert expression.constant
    assert expression.evaluate({}) == 6


def test_a_loops_own_name_hides_a_root():
    """Inside a loop its name is the element, whatever stands outside."""
    expression = parse("[item.n for item in event.body.rows]", SCOPE)

    assert expression.roots == {"event"}


def test_has_may_ask_for_a_whole_step():
    """`has(steps.rows)` is a question about the step, not a forgotten output."""
    assert parse("has(steps.rows)", SCOPE).paths == {("steps", "rows")}


def test_equalities_are_what_must_hold():
    """Only equalities with constants that every match needs are named, in either order."""
    expression = parse(
        'event.body.a == "x" and ("y" == event.headers["k"] and event.body.n == -1)'
        " and (event.body.c == 1 or event.body.d == 2) and event.body.e == null and event.to > 3",
        SCOPE,
    )

    assert equalities(expression) == (
        (("event", "body", "a"), "x"),
        (("event", "headers", "k"), "y"),
        (("event", "body", "n"), -1),
    )


def test_joins_pair_two_roots():
    """Equalities between the awaited event and our own are named left root first."""
    expression = parse(
        "event.data.id == incoming.data.order and incoming.key == event.id and incoming.a == 1",
        SCOPE,
    )

    assert joins(expression, "incoming", "event") == (
        (("incoming", "data", "order"), ("event", "data", "id")),
        (("incoming", "key"), ("event", "id")),
    )


def test_words_after_a_dot_are_keys():
    """Python's keywords, other scripts and odd keys name map entries after a dot."""
    names = {"event": {"body": {"from": {"class": 1}, "größe": 2, "None": 3}}}

    assert parse("event.body.from.class", SCOPE).evaluate(names) == 1
    assert parse("event.body.größe", SCOPE).evaluate(names) == 2
    assert parse("event.body.None", SCOPE).evaluate(names) == 3
    assert parse('event["body"]["from"]', SCOPE).evaluate(names) == {"class": 1}


def test_an_expression_may_take_several_lines():
    """Line breaks between words count as blanks, and places still fit."""
    text = 'event.body.a == "x"\n  and event.body.b == 2\n'

    assert parse(text, SCOPE).evaluate({"event": {"body": {"a": "x", "b": 2}}}) is True
    assert mistakes_of("event.body.a\n and nope.b")[0].offset == 18


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1" + " + 1" * 2000, "at most 4096 characters"),
        ("(" * 2000 + ")" * 2000, "nested too deeply"),
        ("[" * 120 + "]" * 120, "nested over 50 deep"),
        ("not " * 1000 + "true", "nested"),
        ("-" * 4000 + "1", "nested"),
        (" + ".join(["1"] * 60), "nested over 50 deep"),
        ("[" + ", ".join(["1"] * 600) + "]", "over 500 parts"),
        ("9" * 4000, "too large"),
    ],
    ids=range(8),
)
def test_a_huge_text_is_refused(text, says):
    """Source, nesting and parts are bounded before anything is compiled."""
    assert says in mistakes_of(text)[0].message


@pytest.mark.parametrize(
    "text",
    [
        "().__class__",
        "''.__class__.__mro__",
        "'{0.__class__}'.format(1)",
        "(lambda: 1)()",
        "__import__('os')",
        "open('/etc/passwd')",
        "event.__class__.__init__()",
        "[].append(1)",
        "eval('1')",
        "names['event']",
        "fuel.left",
        "_field(1, 2)",
        "call_lower(1)",
        "await event.body",
        "yield",
        "*event.body",
        "{**event.body}",
        "{event.body}",
        "{x for x in event.body}",
        "print(f'{event.body}')",
        "lower(*event.body)",
        "event.body(1)",
        "b'x' == 1",
        "1j",
        "...",
    ],
)
def test_an_attack_is_no_expression(text):
    """What is outside the closed subset is refused at load."""
    assert mistakes_of(text)
