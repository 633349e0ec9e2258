"""Due times where clocks are set forward and back, checked by hand."""

from datetime import UTC, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.connectors.schedule.calendar import Calendar, Daily, Every
from reactor.connectors.schedule.cron import Cron

WARSAW, NEW_YORK = "Europe/Warsaw", "America/New_York"
LORD_HOWE, KATHMANDU = "Australia/Lord_Howe", "Asia/Kathmandu"


def due(walls, zone, after, count):
    """The next due times after a local time, as the clock of the zone shows them."""
    tz = ZoneInfo(zone)
    calendar = Calendar(walls, tz)
    moment = datetime.fromisoformat(after).replace(tzinfo=tz).astimezone(UTC)
    times = islice(calendar.between(moment, moment + timedelta(days=30)), count)
    return [f"{time.astimezone(tz):%d %H:%M%z}" for time in times]


# Warsaw: 2026-03-29 02:00 → 03:00, 2026-10-25 03:00 → 02:00.
# New York: 2026-03-08 02:00 → 03:00, 2026-11-01 02:00 → 01:00.
# Lord Howe: 2026-10-04 02:00 → 02:30, 2026-04-05 02:00 → 01:30.
@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("30 2 * * *", WARSAW, "2026-03-28T12:00",
         ["29 03:00+0200", "30 02:30+0200"]),
        ("30 2 * * *", WARSAW, "2026-10-24T12:00",
         ["25 02:30+0200", "26 02:30+0100"]),
        ("0 3 * * *", WARSAW, "2026-03-28T12:00",
         ["29 03:00+0200", "30 03:00+0200"]),
        ("*/15 2 * * *", WARSAW, "2026-03-28T12:00",
         ["29 03:00+0200", "30 02:00+0200"]),
        ("*/30 2 * * *", WARSAW, "2026-10-24T12:00",
         ["25 02:00+0200", "25 02:30+0200", "26 02:00+0100"]),
        ("0 1-4 * * *", WARSAW, "2026-03-29T00:00",
         ["29 01:00+0100", "29 03:00+0200", "29 04:00+0200"]),
        ("0 1-4 * * *", WARSAW, "2026-10-25T00:00",
         ["25 01:00+0200", "25 02:00+0200", "25 03:00+0100", "25 04:00+0100"]),
        ("0 * * * *", WARSAW, "2026-03-29T00:30",
         ["29 01:00+0100", "29 03:00+0200", "29 04:00+0200"]),
        ("0 * * * *", WARSAW, "2026-10-25T00:30",
         ["25 01:00+0200", "25 02:00+0200", "25 02:00+0100", "25 03:00+0100"]),
        ("*/15 * * * *", WARSAW, "2026-03-29T01:40",
         ["29 01:45+0100", "29 03:00+0200", "29 03:15+0200"]),
        ("*/15 * * * *", WARSAW, "2026-10-25T02:40",
         ["25 02:45+0200", "25 02:00+0100", "25 02:15+0100", "25 02:30+0100",
          "25 02:45+0100", "25 03:00+0100"]),
        ("0 */2 * * *", WARSAW, "2026-03-28T23:00",
         ["29 00:00+0100", "29 04:00+0200", "29 06:00+0200"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00",
         ["01 01:30-0400", "02 01:30-0500"]),
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00",
         ["08 03:00-0400", "09 02:30-0400"]),
        ("0 * * * *", NEW_YORK, "2026-03-08T00:30",
         ["08 01:00-0500", "08 03:00-0400"]),
        ("0 * * * *", NEW_YORK, "2026-11-01T00:30",
         ["01 01:00-0400", "01 01:00-0500", "01 02:00-0500"]),
        ("*/15 * * * *", NEW_YORK, "2026-03-08T01:40",
         ["08 01:45-0500", "08 03:00-0400"]),
        ("*/15 * * * *", NEW_YORK, "2026-11-01T01:40",
         ["01 01:45-0400", "01 01:00-0500", "01 01:15-0500"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00",
         ["04 02:30+1100", "05 02:15+1100"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00",
         ["05 01:45+1100", "06 01:45+1030"]),
        ("0 * * * *", LORD_HOWE, "2026-10-04T00:30",
         ["04 01:00+1030", "04 03:00+1100", "04 04:00+1100"]),
        ("0 * * * *", LORD_HOWE, "2026-04-05T00:30",
         ["05 01:00+1100", "05 02:00+1030", "05 03:00+1030"]),
        ("*/15 * * * *", LORD_HOWE, "2026-10-04T01:40",
         ["04 01:45+1030", "04 02:30+1100", "04 02:45+1100"]),
        ("*/15 * * * *", LORD_HOWE, "2026-04-05T01:40",
         ["05 01:45+1100", "05 01:30+1030", "05 01:45+1030", "05 02:00+1030"]),
        ("30 2 * * *", KATHMANDU, "2026-03-28T12:00",
         ["29 02:30+0545", "30 02:30+0545"]),
        ("0 * * * *", KATHMANDU, "2026-03-29T01:30",
         ["29 02:00+0545", "29 03:00+0545"]),
        ("*/15 * * * *", KATHMANDU, "2026-03-29T01:40",
         ["29 01:45+0545", "29 02:00+0545"]),
    ],
)  # fmt: skip
def test_a_cron_in_a_fold_and_a_gap(cron, zone, after, expected):
    """A fixed hour comes once in a fold and once at the end of a gap; others follow the clock."""
    assert due(Cron(cron), zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("span", "zone", "after", "expected"),
    [
        (timedelta(minutes=15), WARSAW, "2026-10-25T02:40",
         ["25 02:45+0200", "25 02:00+0100", "25 02:15+0100"]),
        (timedelta(hours=6), KATHMANDU, "2026-03-29T01:30", ["29 06:00+0545", "29 12:00+0545"]),
        (timedelta(hours=6), WARSAW, "2026-03-28T23:00", ["29 00:00+0100", "29 06:00+0200"]),
        (timedelta(days=1), NEW_YORK, "2026-03-07T23:00", ["08 00:00-0500", "09 00:00-0400"]),
        (timedelta(days=7), WARSAW, "2026-10-19T00:00", ["26 00:00+0100", "02 00:00+0100"]),
        # Beirut goes from 00:00 to 01:00.
        (timedelta(days=1), "Asia/Beirut", "2026-03-28T12:00", ["29 01:00+0300", "30 00:00+0300"]),
    ],
)  # fmt: skip
def test_spans_are_aligned_to_the_clock_of_the_zone(span, zone, after, expected):
    """Spans are counted from a Monday's midnight; whole days keep to midnight."""
    assert due(Every(span), zone, after, len(expected)) == expected


def test_times_of_the_day_come_once_each():
    """Also in a fold; two times that fall into one gap are one."""
    times = Daily([time(2, 45), time(2, 15)])

    assert due(times, WARSAW, "2026-10-24T23:00", 3) == [
        "25 02:15+0200", "25 02:45+0200", "26 02:15+0100",
    ]  # fmt: skip
    assert due(times, WARSAW, "2026-03-28T23:00", 2) == ["29 03:00+0200", "30 02:15+0200"]


def test_a_day_that_a_zone_left_out():
    """Samoa had no 30 December 2011: what was due then came when the 31st began."""
    assert due(Daily([time(12)]), "Pacific/Apia", "2011-12-29T00:00", 3) == [
        "29 12:00-1000", "31 00:00+1400", "31 12:00+1400",
    ]  # fmt: skip


def test_nothing_is_due_at_the_end_of_time():
    """A far future or a far past is no crash."""
    calendar = Calendar(Cron("0 0 * * *"), ZoneInfo(WARSAW))

    assert calendar.after(datetime.max.replace(tzinfo=UTC)) is None
    assert calendar.after(datetime.min.replace(tzinfo=UTC)) is not None


MOMENTS = st.datetimes(
    datetime.fromisoformat("2025-01-01"),
    datetime.fromisoformat("2028-01-01"),
    timezones=st.just(UTC),
)
ZONES = st.sampled_from([WARSAW, NEW_YORK, LORD_HOWE, KATHMANDU, "Africa/Casablanca"])
WALLS = st.sampled_from(
    [Cron("30 2 * * *"), Cron("*/15 * * * *"), Cron("0 */3 * * *"), Cron("7 1,2 * * sun"),
     Every(timedelta(minutes=7)), Every(timedelta(days=3)), Daily([time(1, 30), time(2, 30)])]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(WALLS, ZONES, MOMENTS)
def test_due_times_only_grow(walls, zone, moment):
    """The next time is later, and no time lies between it and the moment before it."""
    calendar = Calendar(walls, ZoneInfo(zone))
    first = calendar.after(moment)
    assert first is not None

    second = calendar.after(first)

    assert second is not None
    assert moment < first < second
    assert calendar.after(first - timedelta(microseconds=1)) == first
    assert calendar.after(moment + (first - moment) / 2) == first


@settings(max_examples=50, deadline=None)
@given(WALLS, ZONES, MOMENTS, st.timedeltas(timedelta(), timedelta(days=3)))
def test_the_latest_is_the_last_of_all(walls, zone, moment, span):
    """The shortcut finds what going through all of them finds."""
    calendar = Calendar(walls, ZoneInfo(zone))

    latest = calendar.latest(moment, moment + span)

    assert latest == next(reversed([*calendar.between(moment, moment + span)]), None)
