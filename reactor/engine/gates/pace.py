"""`throttle`: never more than so many starts in any span of time."""

from typing import Any

from reactor.engine.gates.moves import Mark
from reactor.model.gates import Throttle


def next_start(config: Throttle, mark: Mark | None, now_ms: int) -> int:
    """When one more may start: now, or when the `max`-th last start is `per` ago.

    Starts are in order: nobody overtakes one that waits already.
    """
    starts = _starts(mark)
    at_ms = max(now_ms, starts[-1]) if starts else now_ms
    if len(starts) >= config.max:
        at_ms = max(at_ms, starts[-config.max] + config.per_ms)
    return at_ms


def started(config: Throttle, mark: Mark | None, at_ms: int, now_ms: int) -> Mark:
    """The row with one more start; what is longer ago than `per` is forgotten."""
    kept = [each for each in _starts(mark) if each > now_ms - config.per_ms]
    return Mark({"starts": [*kept, at_ms][-config.max :]}, at_ms + config.per_ms)


def put_off(mark: Mark, since_ms: int, by_ms: int) -> Mark:
    """The row when every start from a time on is later by so much."""
    starts = [at_ms + by_ms if at_ms >= since_ms else at_ms for at_ms in _starts(mark)]
    return Mark({"starts": starts}, None if mark.due_ms is None else mark.due_ms + by_ms)


def _starts(mark: Mark | None) -> list[Any]:
    return [] if mark is None else mark.state["starts"]
