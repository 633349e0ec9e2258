"""The next time of day in a time zone, across the changes of its clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reactor.clock import instant, to_ms
from reactor.errors import ActionFailed

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def next_time_of_day(
    now_ms: int, time: tuple[int, int, int], tz: str, days: tuple[str, ...] = ()
) -> int:
    """The first such time after now, on one of these days of the week if any are named.

    A time that the clocks skip is the end of the gap, one that they show twice is the first.
    """
    try:
        zone = ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ActionFailed(f"no time zone {tz!r}", kind="type") from error
    today = instant(now_ms).astimezone(zone).date()
    hour, minute, second = time
    for later in range(-1, 9):
        day = today + timedelta(days=later)
        if days and _WEEKDAYS[day.weekday()] not in days:
            continue
        local = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=zone)
        moment = to_ms(_shown(local))
        if moment > now_ms:
            return moment
    raise ActionFailed(f"none of the days {', '.join(days)} comes", kind="type")


def _shown(local: datetime) -> datetime:
    """The instant at which clocks show this time, or the end of the gap that skips it."""
    moment = local.astimezone(UTC)
    zone = local.tzinfo
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    before, after = local.replace(fold=1).astimezone(UTC), moment
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
