"""What a schedule does about due times that nobody was there for."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from reactor.connectors.schedule.calendar import Calendar

Missed = Literal["once", "all", "skip"]
# So much later it still counts as the time itself: a busy machine, a laptop that wakes up.
GRACE = timedelta(seconds=60)
# A clock set back further than this was wrong before; one set back less is waited for.
WRONG = timedelta(days=7)
_TICK = timedelta(milliseconds=1)


def due_times(
    calendar: Calendar,
    first: datetime,
    now: datetime,
    *,
    missed: Missed,
    catch_up: timedelta,
    delay: timedelta = timedelta(),
) -> Iterator[datetime]:
    """The due times from `first` to now that are still to be emitted.

    `all` gives each of the last `catch_up`, `once` the last of them, `skip` the last one where it
    is hardly late. `delay` is how late the schedule is on purpose.
    """
    longest = GRACE if missed == "skip" else max(catch_up, GRACE)
    since = max(first, now - longest - delay) - _TICK
    if missed == "all":
        yield from calendar.between(since, now)
    elif (last := calendar.latest(since, now)) is not None:
        yield last


def resumed(calendar: Calendar, stored: datetime, now: datetime) -> datetime | None:
    """The next due time of a schedule that noted one; never one that was due already.

    Where the clock ran far ahead when it was noted, the schedule begins anew.
    """
    due = calendar.after(stored - _TICK)
    if due is None or due <= now:
        return due
    done = calendar.latest(now, due - _TICK)
    return due if done is None or done - now <= WRONG else calendar.after(now)
