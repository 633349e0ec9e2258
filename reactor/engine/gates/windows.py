"""`window`: all events of a span of the clock, such as an hour or a day."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from reactor.clock import instant, to_ms
from reactor.engine.gates.gather import LIST
from reactor.engine.gates.moves import Asked, Item, Mark, Move, item_of, unmoved
from reactor.model.gates import MOST, Window
from reactor.store.gated import Held

DAY_MS = 86_400_000
REMEMBERED_MS = 7 * DAY_MS  # how long the end of the last window of a quiet key is known
_MONDAY = date(1970, 1, 5)


def hear_window(config: Window, mark: Mark | None, item: Item, asked: Asked) -> Move:
    """Put the event into its window; with `time` close those that it lies beyond.

    Without `time` windows follow the order of acceptance, and a clock that is set back puts
    nothing into a window that is closed.
    """
    none: dict[str, Any] = {"open": {}, "closed": 0, "heard": 0}
    state = none if mark is None else mark.state
    moment = item.time_ms if config.time is not None else max(asked.now_ms, state["closed"])
    start, end = span(moment, config.every_ms, config.tz)
    if end <= state["closed"]:
        says = f"window: the one until {instant(end).isoformat()} is closed"
        return replace(unmoved(mark, says), late=True)
    opened: dict[str, Any] = dict(state["open"])
    group, count, _, _ = opened.get(str(start)) or (asked.new_group(), 0, end, None)
    opened[str(start)] = [group, count + 1, end, item.kept()]
    gone = () if item.group is None else ((item.group, None),)
    beyond = moment if config.time is not None else asked.now_ms
    full = [str(start)] if count + 1 >= MOST else []
    now = {"open": opened, "closed": state["closed"], "heard": asked.now_ms}
    passes, left = _close(now, beyond, full)
    says = f"window: {count + 1} until {instant(end).isoformat()}"
    return Move(
        mark=_mark(config, left),
        passes=passes,
        says="" if full else says,
        held=(Held(group, count, item.event),),
        let_go=gone,
    )


def window_due(config: Window, mark: Mark, asked: Asked) -> Move:
    """The clock is past the end, and with `time` nothing came for as long as a window is."""
    passes, left = _close(mark.state, asked.now_ms, [])
    if not passes and not left["open"]:
        return Move(mark=None)
    return Move(mark=_mark(config, left), passes=passes)


def span(moment_ms: int, every_ms: int, tz: str) -> tuple[int, int]:
    """The window of a moment: aligned to the wall clock, whole days to Monday's midnight.

    Where the clocks change, a window is as long as its hands take: the hour that comes twice is
    one window of two hours.
    """
    zone = ZoneInfo(tz)
    local = instant(moment_ms).astimezone(zone).replace(tzinfo=None)
    midnight = datetime(local.year, local.month, local.day)  # noqa: DTZ001  a wall clock's
    if every_ms % DAY_MS == 0:
        days = every_ms // DAY_MS
        past = (midnight.date() - _MONDAY).days % days
        first = midnight - timedelta(days=past)
        last = first + timedelta(days=days)
    else:
        every = timedelta(milliseconds=every_ms)
        epoch = datetime(1970, 1, 1)  # noqa: DTZ001
        first = local - (local - epoch) % every
        last = first + every
    return _utc(first, zone), _utc(last, zone)


def _utc(wall: datetime, zone: ZoneInfo) -> int:
    return to_ms(wall.replace(tzinfo=zone).astimezone(UTC))


def _close(
    state: dict[str, Any], beyond_ms: int, full: list[str]
) -> tuple[tuple[Item, ...], dict[str, Any]]:
    """What the windows that end by then let go, in order, and the state without them."""
    passes, left, closed = [], {}, state["closed"]
    for start in sorted(state["open"], key=int):
        group, count, end, kept = state["open"][start]
        if end > beyond_ms and start not in full:
            left[start] = state["open"][start]
            continue
        if start not in full:
            closed = max(closed, end)
        item = item_of(kept)
        facts = {**item.facts, **LIST, "start": instant(int(start)), "end": instant(end)}
        passes.append(replace(item, facts=facts, group=group, first=0, last=count - 1))
    return tuple(passes), {**state, "open": left, "closed": closed}


def _mark(config: Window, state: dict[str, Any]) -> Mark:
    ends = [end for _, _, end, _ in state["open"].values()]
    if config.time is None:
        return Mark(state, min(ends, default=state["closed"]))
    if not ends:
        return Mark(state, state["heard"] + REMEMBERED_MS)
    return Mark(state, max(min(ends), state["heard"] + config.every_ms))
