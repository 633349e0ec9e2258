"""Expectations against what was found: what is the same, and how a difference is told."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.loading.values import from_plain
from reactor.testing.compare import differences, same

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def said(wanted, found):
    """What is said of the differences."""
    return [each.message for each in differences(from_plain(wanted), found, "x")]


@given(PLAIN)
def test_every_value_is_as_expected_by_itself(value):
    """What was found, written down as the expectation, is met."""
    assert said(value, value) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (1, 1.0),
        ("2026-01-01T12:00:00Z", NOON),
        ("bytes", b"bytes"),
        ("Bearer secret-token", "Bearer ***"),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": None}, {}),
    ],
)
def test_what_is_the_same(wanted, found):
    """Times are texts, secrets are masked, maps are compared in part."""
    assert said(wanted, found) == []


@pytest.mark.parametrize(("wanted", "found"), [(1, True), (0, False), ("1", 1), (None, 0)])
def test_kinds_are_not_mixed(wanted, found):
    """True is no number, a text is no number, nothing is not zero."""
    assert not same(wanted, found)


@pytest.mark.parametrize(
    ("wanted", "found", "message"),
    [
        ({"txt": 1}, {"text": 1}, "x.txt: expected 1, got no such key; nearest is text"),
        ({"a": 1}, {"b": 1, "c": 1}, "x.a: expected 1, got no such key; it has b, c"),
        ({"a": {"b": 1}}, {"a": 2}, "x.a: expected a map, got 2"),
        ([1], {"a": 2}, 'x: expected a list, got {"a": 2}'),
        ([1, 2], [1], "x: expected 2 items, got 1: [1]"),
        ([1, 2], [1, 3], "x[1]: expected 2, got 3"),
        ("a" * 400 + "b", "a" * 400 + "c", f'x: expected …"{"a" * 20}b", got …"{"a" * 20}c"'),
    ],
)
def test_a_difference_says_where_and_what(wanted, found, message):
    """The path leads to the value; a missing key is met with the nearest one."""
    assert said(wanted, found) == [message]


def test_long_values_are_cut():
    """What was found instead is shown as far as it fits."""
    (message,) = said(1, ["x" * 1000])

    assert len(message) < 400
    assert message.endswith("…")
