"""Where windows begin and end, across the changes of the clocks."""

from datetime import UTC, datetime

import pytest

from reactor.clock import instant, to_ms
from reactor.engine.gates.windows import DAY_MS, span

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("moment", "every_ms", "tz", "start", "end"),
    [
        ("2026-01-01T10:59:59", HOUR_MS, "UTC", "2026-01-01T10:00", "2026-01-01T11:00"),
        ("2026-01-01T11:00:00", HOUR_MS, "UTC", "2026-01-01T11:00", "2026-01-01T12:00"),
        # A zone that is off by three quarters of an hour.
        ("2026-01-01T00:10", HOUR_MS, "Asia/Kathmandu", "2025-12-31T23:15", "2026-01-01T00:15"),
        # Days of 23 and of 25 hours.
        ("2026-03-29T12:00", DAY_MS, "Europe/Warsaw", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-25T12:00", DAY_MS, "Europe/Warsaw", "2026-10-24T22:00", "2026-10-25T23:00"),
        # A week is from Monday to Monday.
        ("2026-01-01T12:00", 7 * DAY_MS, "UTC", "2025-12-29T00:00", "2026-01-05T00:00"),
        # Half a day over the change.
        ("2026-03-29T04:00", 12 * HOUR_MS, "Europe/Warsaw", "2026-03-28T23:00", "2026-03-29T10:00"),
        # The hour that comes twice is one window.
        ("2026-10-25T00:30", HOUR_MS, "Europe/Warsaw", "2026-10-25T00:00", "2026-10-25T02:00"),
        ("2026-10-25T01:30", HOUR_MS, "Europe/Warsaw", "2026-10-25T00:00", "2026-10-25T02:00"),
    ],
)
def test_a_window_is_aligned_to_the_wall_clock(moment, every_ms, tz, start, end):
    """Start and end of the window of a moment, all in UTC."""
    found = span(to_ms(at(moment)), every_ms, tz)

    assert [instant(each) for each in found] == [at(start), at(end)]


@pytest.mark.parametrize("tz", ["Europe/Warsaw", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("every_ms", [HOUR_MS // 4, HOUR_MS, 6 * HOUR_MS, DAY_MS])
def test_every_moment_of_a_year_is_in_its_window(tz, every_ms):
    """Whatever the clocks do, no moment lies outside its own window."""
    moment = to_ms(at("2026-01-01T00:00"))
    for _ in range(1500):
        start, end = span(moment, every_ms, tz)
        assert start <= moment < end
        moment += 6 * HOUR_MS - 60_007


def at(text: str) -> datetime:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
