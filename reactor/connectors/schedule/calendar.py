"""From wall clocks to instants: when a schedule is due in its time zone, summer time included."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

_TICK = timedelta(microseconds=1)
# No zone changes its clock twice within this span.
_STRIDE = timedelta(hours=6)
_BEGIN = datetime(1970, 1, 2, tzinfo=UTC)
_END = datetime(9000, 1, 1, tzinfo=UTC)
# Spans are counted from a midnight; it was a Monday's, so `7d` begins with the week.
_MONDAY = datetime.fromisoformat("1970-01-05")


class Walls(Protocol):
    """Times on a wall clock that knows no zone.

    `follows`: they happen as often as the clock on the wall shows them, twice when it is set back,
    never when it jumps over them. Otherwise each happens once: the first time, or where the clock
    jumps over it, at the end of that gap.
    """

    follows: bool

    def after(self, wall: datetime) -> datetime | None:
        """The next time after one; None at the end of time."""
        ...


class Every:
    """Whole spans since a midnight; those that are not whole days follow the clock."""

    def __init__(self, span: timedelta) -> None:
        self.follows = bool(span % timedelta(days=1))
        self._span = span

    def after(self, wall: datetime) -> datetime:
        """The next time after one."""
        return _MONDAY + ((wall - _MONDAY) // self._span + 1) * self._span


class Daily:
    """The same times each day."""

    follows = False

    def __init__(self, times: Sequence[time]) -> None:
        self._times = sorted(set(times))

    def after(self, wall: datetime) -> datetime:
        """The next time after one."""
        place = bisect_right(self._times, wall.time())
        days, place = divmod(place, len(self._times))
        return datetime.combine(wall.date() + timedelta(days=days), self._times[place])


class Calendar:
    """The instants, in UTC, at which a schedule is due."""

    def __init__(self, walls: Walls, zone: ZoneInfo) -> None:
        self.zone = zone
        self._walls = walls

    def after(self, moment: datetime) -> datetime | None:
        """The first due time after an instant; None at the end of time."""
        moment = max(moment, _BEGIN)
        if moment >= _END:
            return None
        due = self._following(moment) if self._walls.follows else self._fixed(moment)
        return None if due is None or due >= _END else due

    def latest(self, since: datetime, until: datetime) -> datetime | None:
        """The last due time after one instant and not after another, however many there are."""
        found = self.after(since)
        if found is None or found > until:
            return None
        # `after` never falls: halve the span in which it passes `until`.
        while until - since > timedelta(milliseconds=1):
            middle = since + (until - since) / 2
            due = self.after(middle)
            if due is None or due > until:
                until = middle
            else:
                since, found = middle, due
        return found

    def between(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """The due times after one instant and not after another."""
        due = self.after(since)
        while due is not None and due <= until:
            yield due
            due = self.after(due)

    def _fixed(self, moment: datetime) -> datetime | None:
        wall: datetime | None = self._wall(moment)
        while wall is not None and (wall := self._walls.after(wall)) is not None:
            # In the second pass of an hour what it shows was due in the first.
            if (due := self._instant(wall)) > moment:
                return due
        return None

    def _following(self, moment: datetime) -> datetime | None:
        wall = self._wall(moment)
        while moment < _END:
            shown = self._walls.after(wall)
            if shown is None:
                return None
            due = moment + (shown - self._wall(moment))
            change = _first_change(self.zone, moment, due)
            if change is None:
                return due
            # The clock is set before it shows that time: look again from there.
            moment, wall = change, self._wall(change) - _TICK
        return None

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _instant(self, wall: datetime) -> datetime:
        due = wall.replace(tzinfo=self.zone).astimezone(UTC)
        if self._wall(due) == wall:
            return due
        # In a gap the two folds lie on both sides of it (PEP 495).
        early = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        return _first_change(self.zone, early, due) or due


def _first_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The first instant in a span from which on a zone's clock is set otherwise than before."""
    offset = _offset(zone, after)
    end = after
    while end < until:
        start, end = end, min(end + _STRIDE, until)
        if _offset(zone, end) != offset:
            return _change(zone, start, end)
    return None


def _change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime:
    """The second between two instants at which the offset turns to that of the later one."""
    offset = _offset(zone, start)
    low, high = int(start.timestamp()), -int(-end.timestamp() // 1)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, datetime.fromtimestamp(middle, UTC)) == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
