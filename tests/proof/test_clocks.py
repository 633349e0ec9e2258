"""Clocks that are set, and summer time in three zones: every due time once, none forgotten."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from reactor.testing import HandClock, World

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
WALL = time(2, 30)  # it is missing once a year and there twice once a year, at Lord Howe too late
FLOW = """
flow: tick
when: {{schedule: {{at: ["02:30", "02:10"], tz: {zone}, missed: all, catch_up: 30d}}}}
do: [log: "${{{{ event.data.due }}}}"]
"""
# The days before a change: an hour to the front, an hour back; at Lord Howe it is half an hour.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 27)),
    ("Europe/Berlin", date(2026, 10, 23)),
    ("America/New_York", date(2026, 3, 6)),
    ("America/New_York", date(2026, 10, 30)),
    ("Australia/Lord_Howe", date(2026, 4, 3)),
    ("Australia/Lord_Howe", date(2026, 10, 2)),
]
JUMPS_MS = (-DAY_MS, -HOUR_MS, HOUR_MS, DAY_MS)


def instants(zone: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """When a wall clock first shows 02:10 and 02:30, minute by minute; after a gap at its end.

    A second reading of the rule that shares nothing with the product's.
    """
    tz, moment = ZoneInfo(zone), since + timedelta(minutes=1)
    before = since.astimezone(tz).replace(tzinfo=None)
    seen: set[tuple[date, time]] = set()
    while moment <= until:
        now = moment.astimezone(tz).replace(tzinfo=None)
        passed = {
            (now.date(), wall)
            for wall in (time(2, 10), WALL)
            if before < datetime.combine(now.date(), wall) <= now
        }
        if passed - seen:
            seen |= passed
            yield moment
        before, moment = now, moment + timedelta(minutes=1)


@pytest.mark.parametrize("jumps", [False, True], ids=["", "set"])
@pytest.mark.parametrize(("zone", "day"), CHANGES)
async def test_every_due_time_comes_once(zone: str, day: date, *, jumps: bool) -> None:
    """Days over a change of the clocks, with a wall clock that somebody sets now and then."""
    begin = datetime.combine(day, time(0, 0), UTC)
    clock, chance = HandClock(round(begin.timestamp() * 1000)), random.Random(zone)
    latest_ms = clock.now_ms()

    async with World(FLOW.format(zone=zone), clock=clock) as world:
        for _ in range(24):
            await world.advance("3h")
            latest_ms = max(latest_ms, clock.now_ms())
            if jumps and chance.random() < 0.4:
                clock.jump(chance.choice(JUMPS_MS))
                await world.advance("1m")
                latest_ms = max(latest_ms, clock.now_ms())
        rows = await world.executions()
        events = [await world.store.history.event(row.event) for row in rows]

    found = [datetime.fromtimestamp(event.time_ms / 1000, UTC) for event in events if event]
    wanted = list(instants(zone, begin, datetime.fromtimestamp(latest_ms / 1000, UTC)))
    assert sorted(found) == wanted
    assert len(set(found)) == len(found)
