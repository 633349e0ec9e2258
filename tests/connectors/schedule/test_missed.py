"""What becomes of due times that were missed, and of clocks that were wrong."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from reactor.connectors.schedule.calendar import Calendar, Every
from reactor.connectors.schedule.missed import due_times, resumed

HOURLY = Calendar(Every(timedelta(hours=1)), ZoneInfo("UTC"))
DAY = timedelta(days=1)


def at(text):
    """A moment of one day."""
    return datetime.fromisoformat(f"2026-03-{text}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("missed", "catch_up", "now", "expected"),
    [
        ("once", DAY, "01T12:00", ["01T12:00"]),
        ("skip", DAY, "01T12:00", ["01T12:00"]),
        ("all", DAY, "01T12:00", ["01T12:00"]),
        ("once", DAY, "01T14:30", ["01T14:00"]),
        ("skip", DAY, "01T14:30", []),
        ("skip", DAY, "01T14:00:59", ["01T14:00"]),
        ("all", DAY, "01T14:30", ["01T12:00", "01T13:00", "01T14:00"]),
        ("all", timedelta(hours=2), "01T14:30", ["01T13:00", "01T14:00"]),
        ("once", timedelta(minutes=20), "01T14:30", []),
        ("once", timedelta(0), "01T14:00:59", ["01T14:00"]),
        ("once", DAY, "09T14:30", ["09T14:00"]),
    ],
)
def test_missed_times(missed, catch_up, now, expected):
    """The last one, all of the last `catch_up`, or only what is hardly late."""
    found = due_times(HOURLY, at("01T12:00"), at(now), missed=missed, catch_up=catch_up)

    assert [*found] == [at(text) for text in expected]


def test_what_is_late_on_purpose_is_not_missed():
    """With jitter the grace begins when the event was meant to be."""
    delay = timedelta(minutes=20)

    found = due_times(
        HOURLY, at("01T12:00"), at("01T12:20"), missed="skip", catch_up=DAY, delay=delay
    )

    assert [*found] == [at("01T12:00")]


@pytest.mark.parametrize(
    ("stored", "now", "expected"),
    [
        ("01T12:00", "01T11:30", "01T12:00"),
        ("01T12:00", "01T14:30", "01T12:00"),
        ("01T12:00", "01T09:30", "01T12:00"),
        ("02T12:00", "01T11:30", "02T12:00"),
        ("20T12:00", "01T11:30", "01T12:00"),
        ("01T12:10", "01T11:30", "01T13:00"),
    ],
)
def test_where_a_schedule_goes_on(stored, now, expected):
    """At what it noted, also after a clock set back; anew if the clock had been far ahead."""
    assert resumed(HOURLY, at(stored), at(now)) == at(expected)
