"""Sortable 64-bit ids: integers inside, `evt_…` and `exe_…` at the edge."""

from reactor.clock import Clock
from reactor.errors import UsageError

_DIGITS = 16
_HEXADECIMAL = frozenset("0123456789abcdef")


class Ids:
    """Makes ids that only grow: milliseconds << 22 | sequence.

    A clock that stands still or jumps back does not repeat ids: the sequence goes on from the
    highest one.
    """

    def __init__(self, clock: Clock, *, after: int = 0) -> None:
        self._clock = clock
        self._last = after

    def next(self, now_ms: int | None = None) -> int:
        """An id larger than every one made or seen before; `now_ms` for who has asked already."""
        fresh = (self._clock.now_ms() if now_ms is None else now_ms) << 22
        self._last = fresh if fresh > self._last else self._last + 1
        return self._last


def id_text(prefix: str, number: int) -> str:
    """The public form of an id: `evt_66dd6a5b00000001`, which sorts as the number does."""
    return f"{prefix}_{number.to_bytes(8).hex()}"


def parse_id(text: str, prefix: str) -> int:
    """The number of a public id; UsageError when it has another form."""
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != _DIGITS or not set(digits) <= _HEXADECIMAL:
        raise UsageError(f"{text!r} is no id of this kind: it looks like {prefix}_66dd6a5b00000001")
    number = int(digits, 16)
    if number >> 63:
        raise UsageError(f"{text!r} is no id of ours: it is too large")
    return number


def id_ms(number: int) -> int:
    """The millisecond in which an id was made."""
    return number >> 22
