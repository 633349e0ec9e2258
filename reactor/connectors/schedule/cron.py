"""Cron expressions: text to the times on a wall clock that match it.

The fields are read here, because no two crons agree on them; what comes next is APScheduler's
arithmetic, which is handed plain lists of numbers and UTC in place of a wall clock.
"""

import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.cron import CronTrigger
from msgspec import Struct

_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_MACROS: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/([0-9]{1,4}))?")
_A_LEAP_YEAR = 2000


class _Place(Struct, frozen=True):
    """One of the fields: what it counts, from where to where, and the names it knows."""

    name: str
    least: int
    most: int
    names: Mapping[str, int] = {}


_PLACES = (
    _Place("second", 0, 59),
    _Place("minute", 0, 59),
    _Place("hour", 0, 23),
    _Place("day", 1, 31),
    _Place("month", 1, 12, _MONTHS),
    _Place("weekday", 0, 7, _DAYS),
)


class Cron:
    """The times on a wall clock that match a cron expression; ValueError says what is wrong.

    Five fields, or six with seconds first. `follows` says whether the hour has a `*` or a step.
    When both day fields are restricted either may match, as in Vixie's cron; a field that begins
    with `*` is not restricted.
    """

    def __init__(self, text: str) -> None:
        written = _fields(text)
        numbers = [_numbers(field, place) for field, place in zip(written, _PLACES, strict=True)]
        seconds, minutes, hours, days, months, weekdays = numbers
        weekdays = {day % 7 for day in weekdays}
        self.follows = "*" in written[2] or "/" in written[2]
        clock = {
            "month": _listed(months, 12),
            "hour": _listed(hours, 24),
            "minute": _listed(minutes, 60),
            "second": _listed(seconds, 60),
        }
        by_day = {"day": _listed(days, 31)}
        # APScheduler counts from Monday.
        by_weekday = {"day_of_week": _listed({(day - 1) % 7 for day in weekdays}, 7)}
        either = not written[3].startswith("*") and not written[5].startswith("*")
        if not either and not any(_has(month, min(days)) for month in months):
            raise ValueError(f"{text!r} never happens: no such month has a day {min(days)}")
        ways = [by_day, by_weekday] if either else [by_day | by_weekday]
        self._triggers = [CronTrigger(**clock, **way, timezone=UTC) for way in ways]

    def after(self, wall: datetime) -> datetime | None:
        """The next time after one on a wall clock; None at the end of time."""
        start = wall.replace(tzinfo=UTC) + timedelta(microseconds=1)
        found = [trigger.get_next_fire_time(None, start) for trigger in self._triggers]
        times = [time for time in found if time is not None]
        return min(times).replace(tzinfo=None) if times else None


def _fields(text: str) -> Sequence[str]:
    text = text.strip().lower()
    if text.startswith("@"):
        if text not in _MACROS:
            raise ValueError(_macro_hint(text))
        text = _MACROS[text]
    fields = text.split()
    if len(fields) not in (5, 6):
        raise ValueError(
            f"{text!r} has {len(fields)} field{'s' * (len(fields) != 1)}: a cron has five, minute "
            "hour day month weekday, or six with seconds first"
        )
    return fields if len(fields) == 6 else ["0", *fields]


def _macro_hint(text: str) -> str:
    if text == "@reboot":
        return "@reboot is a source of its own: startup: {}"
    if text.startswith("@every"):
        return f"@every is a key of its own: every: {text.removeprefix('@every').strip() or '15m'}"
    return f"no cron is called {text!r}: there are {', '.join(_MACROS)}"


def _numbers(field: str, place: _Place) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None or (match[1] == "*" and match[2]):
            raise ValueError(
                f"{part!r} is no {place.name}: write numbers, lists 1,2, ranges 1-5, steps */5"
            )
        first, last, step = match.groups()
        if step is not None and int(step) == 0:
            raise ValueError(f"{part!r} never happens: a step is at least 1")
        start = place.least if first == "*" else _number(first, place)
        if last is not None:
            end = _number(last, place)
        else:
            end = place.most if first == "*" or step else start
        if place.name == "weekday" and end == 0 < start:
            end = 7  # fri-sun
        if start > end:
            raise ValueError(
                f"{part!r} runs backwards: write {start}-{place.most},{place.least}-{end}"
            )
        if place.name == "weekday" and end == 7 and last is None:
            end = 6 if start < 7 else 7  # a step counts each day of the week once
        found.update(range(start, end + 1, int(step or 1)))
    return found


def _number(text: str, place: _Place) -> int:
    if text in place.names:
        return place.names[text]
    if not re.fullmatch("[0-9]{1,4}", text) or not place.least <= int(text) <= place.most:
        names = f" or {next(iter(place.names))} …" if place.names else ""
        raise ValueError(
            f"{text!r} is no {place.name}: it is a number from {place.least} to {place.most}{names}"
        )
    return int(text)


def _listed(numbers: set[int], all_of_them: int) -> str:
    return "*" if len(numbers) == all_of_them else ",".join(map(str, sorted(numbers)))


def _has(month: int, day: int) -> bool:
    return day <= monthrange(_A_LEAP_YEAR, month)[1]
