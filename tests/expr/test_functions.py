"""The table of functions: its examples, and the corners of single functions."""

from datetime import UTC, datetime

import pytest

from reactor.errors import EvaluationError
from reactor.expr.functions import TABLE
from reactor.expr.parse import Scope, parse

SCOPE = Scope(roots={"event": None, "now": None}, tz="Europe/Berlin")
NAMED = [
    "len",
    "lower",
    "upper",
    "trim",
    "split",
    "join",
    "replace",
    "regex_replace",
    "contains",
    "startswith",
    "endswith",
    "matches",
    "extract",
    "truncate",
    "slug",
    "default",
    "has",
    "int",
    "float",
    "str",
    "bool",
    "round",
    "abs",
    "min",
    "max",
    "sum",
    "avg",
    "any",
    "all",
    "sorted",
    "sort_by",
    "group_by",
    "unique",
    "first",
    "last",
    "pluck",
    "where",
    "chunk",
    "flatten",
    "keys",
    "values",
    "entries",
    "merge",
    "json",
    "parse_json",
    "base64",
    "unbase64",
    "sha256",
    "hmac_sha256",
    "uuid",
    "date",
    "parse_date",
    "format_date",
    "add_time",
    "part",
    "weekday",
    "between",
    "seconds",
    "urlencode",
]


def evaluated(text, **event):
    now = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    return parse(text, SCOPE).evaluate({"event": event, "now": now})


def test_the_table_is_complete():
    """Every function of the language is there, and no other."""
    assert sorted(TABLE) == sorted(NAMED)


@pytest.mark.parametrize("function", TABLE.values(), ids=list(TABLE))
def test_an_example_gives_its_result(function):
    """What the manual shows is what happens."""
    scope = Scope(roots={"event": None})

    value = parse(function.example, scope).evaluate({"event": {}})

    assert value == function.result
    assert type(value) is type(function.result)
    assert function.summary.endswith(".")
    assert function.signature.startswith(f"{function.name}(")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('split("a  b c")', ["a", "b", "c"]),
        ('trim("--a--", "-")', "a"),
        ('join([1, null, true, {"a": 1}], ";")', '1;;true;{"a":1}'),
        ('contains([1, "a"], "a")', True),
        ('contains({"a": 1}, "a")', True),
        ('extract("abc", "x")', None),
        ('extract("abc", "b.")', "bc"),
        (r'regex_replace("a1b22", "\d+", "<\0>")', "a<1>b<22>"),
        (r'regex_replace("äöü", "ö", "o")', "äoü"),
        ('truncate("abc", 3)', "abc"),
        ('truncate("abcdef", 3, "")', "abc"),
        ("int(3.9)", 3),
        ('int(" 12 ")', 12),
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("round(1234, -2)", 1200),
        ('bool("yes")', True),
        ("bool([])", False),
        ("min([3, null, 1])", 1),
        ("max([])", None),
        ("avg([])", None),
        ("sum([])", 0),
        (
            'sort_by([{"n": null}, {"n": 2}, {"n": 1}], "n", reverse=true)',
            [{"n": 2}, {"n": 1}, {"n": None}],
        ),
        ('unique([{"a": 1}, {"a": 1}, 1, true, 1])', [{"a": 1}, 1, True]),
        ('unique([{"a": 1, "b": 1}, {"a": 1, "b": 2}], "a")', [{"a": 1, "b": 1}]),
        ('pluck([{"a": {"b": 1}}, {}], "a.b")', [1, None]),
        ('where([{"s": "x"}, {"s": "y"}], "s", "y")', [{"s": "y"}]),
        ("first([])", None),
        ('last("abc")', "c"),
        ('unbase64("/w==")', b"\xff"),
        ('urlencode("a/b c")', "a%2Fb%20c"),
        ('urlencode({"a": [1, 2]})', "a=1&a=2"),
        ("date(now)", "2026-07-02"),
        ('date(now, "UTC")', "2026-07-01"),
        ("weekday(now)", "thu"),
        ('part(now, "hour")', 0),
        ('part(now, "weekday", tz="UTC")', 3),
        ('between(now, "22:00", "06:00")', True),
        ('between(now, "00:30", "06:00")', True),
        ('between(now, "23:00", "00:30")', False),
        ('format_date(now, "%d.%m. %H:%M")', "02.07. 00:30"),
        ('parse_date("2026-07-01T22:30:00Z") == now', True),
        ("parse_date(0) < now", True),
        ('parse_date("2026-07-02 00:30", "%Y-%m-%d %H:%M") == now', True),
        ('add_time(now, "1h30m") - now', 5400),
        ("add_time(now, -60) - now", -60),
        ('seconds("-1.5s")', -1.5),
        ("str(now)", "2026-07-01T22:30:00Z"),
        ('json({"t": now})', '{"t":"2026-07-01T22:30:00Z"}'),
        ('uuid("a") == uuid("a")', True),
        ("uuid() == uuid()", False),
    ],
)
def test_a_function_has_its_corners(text, value):
    """What a user would expect of defaults, empties, zones and nulls."""
    assert evaluated(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('split("a", event.gone)', "split takes text as separator, not null"),
        ('sorted([1, "a"])', "of one kind, not number and text"),
        ('sum([1, "a"])', "sum takes a list of numbers, but one is text"),
        ("min(3)", "min takes a list or several values"),
        ("chunk([1], 0)", "a size of at least 1"),
        ('replace("a", "", "b")', "not an empty one"),
        ('parse_json("{")', "the text is no JSON"),
        ('unbase64("?")', "the text is no base64"),
        ('parse_date("tomorrow")', "is no time as RFC 3339 has it"),
        ('parse_date("2026-13-01")', "is no time"),
        ('add_time(now, "5")', "5 what? write 5s"),
        ('part(now, "hours")', "a time has no part 'hours'"),
        ('between(now, "25:00", "06:00")', "is no time of day"),
        ('bool("maybe")', "'maybe' is neither true nor false"),
        ("str(event.bytes)", "the bytes are no UTF-8 text"),
        ("weekday(now, event.zone)", "no time zone is called"),
        (r'regex_replace("a", "a", "\9")', "the pattern has no group 9"),
        ("add_time(now, 1e15)", "out of range"),
    ],
)
def test_a_function_refuses_what_does_not_fit(text, says):
    """Errors of functions name the value and what would do."""
    with pytest.raises(EvaluationError) as caught:
        evaluated(text, bytes=b"\xff", zone="../../etc/passwd")

    assert says in str(caught.value)
