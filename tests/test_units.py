"""Durations and sizes as users write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.units import Size, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "secs"),
    [
        ("250ms", 0.25),
        ("5s", 5),
        ("2m", 120),
        ("1h30m", 5400),
        ("7d", 604_800),
        ("1.5h", 5400),
        (" 5s ", 5),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_in_seconds(text, secs):
    """Numbers with units are added up."""
    assert parse_duration(text) == secs


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        (30, "30 what? write 30s (units are ms s m h d)"),
        ("30", "30 what? write 30s (units are ms s m h d)"),
        (1.5, "1.5 what? write 1.5s (units are ms s m h d)"),
        ("1:30", "1:30 is no duration: write 1m30s"),
        ("1y", "units are ms s m h d: write 365d"),
        ("2 weeks", "units are ms s m h d: write 14d"),
        ("5 minutes", "'5 minutes' is no duration: write 5m (units are ms s m h d)"),
        ("10 ms", "'10 ms' is no duration: write 10ms (units are ms s m h d)"),
        (
            "soon",
            "'soon' is no duration: write a number with ms, s, m, h or d, such as 30s or 1h30m",
        ),
        ("40000d", "40000d is too long: at most 36500d"),
    ],
)
def test_a_wrong_duration_is_answered_with_the_remedy(written, remedy):
    """The message shows what to write instead."""
    with pytest.raises(ValueError, match=f"^{re.escape(remedy)}$"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["", "-5s", "5", True, None, [], "٣s", "5 months", "1e3s"])
def test_what_is_no_duration_is_refused(written):
    """Only plain digits with a known unit are a duration."""
    with pytest.raises(ValueError, match="write"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("secs", "text"),
    [(0, "0s"), (0.25, "250ms"), (90, "1m30s"), (5400, "1h30m"), (86_400, "1d"), (-90, "-1m30s")],
)
def test_a_duration_is_shown_in_its_shortest_form(secs, text):
    """Units that count nothing are left out."""
    assert format_duration(secs) == text


@given(st.integers(min_value=0, max_value=36_500 * 86_400_000))
def test_a_duration_survives_being_written(ms):
    """What is shown reads back as the same number of milliseconds."""
    text = format_duration(ms / 1000)

    assert round(parse_duration(text) * 1000) == ms


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("12B", 12),
        ("64KiB", 65_536),
        ("1.5GiB", 3 << 29),
        ("1MB", 1_000_000),
        ("9007199254740991B", 9_007_199_254_740_991),
    ],
)
def test_a_size_is_read_in_bytes(text, size):
    """Units with an i count in 1024, those without in 1000; no digit is lost."""
    assert parse_size(text) == Size(size)


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        (64, "64 is no size: write a number with B, KiB, MiB or GiB, such as 64KiB"),
        ("64 mb", "'64 mb' is no size: write a number with B, KiB, MiB or GiB, such as 64KiB"),
        ("9000TiB", "9000TiB is too large: at most 8192TiB"),
    ],
)
def test_a_wrong_size_is_answered_with_the_remedy(written, remedy):
    """The message shows what to write instead."""
    with pytest.raises(ValueError, match=f"^{re.escape(remedy)}$"):
        parse_size(written)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1023, "1023B"), (65_536, "64KiB"), (3 << 29, "1.5GiB")]
)
def test_a_size_is_shown_in_its_largest_unit(size, text):
    """At most four digits, for people."""
    assert format_size(size) == text
