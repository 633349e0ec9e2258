"""Sortable 64-bit ids: integers inside, `evt_…` and `exe_…` at the edge."""

from reactor.clock import Clock
from reactor.errors import UsageError

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_LARGEST = (1 << 63) - 1  # what a column of the store holds
_LENGTH = 13  # 13 letters of 5 bits hold 64 bits


class Ids:
    """Makes ids that only grow: milliseconds << 22 | sequence.

    A clock that stands still or jumps back does not repeat ids: the sequence goes on from the
    highest one.
    """

    def __init__(self, clock: Clock, *, after: int = 0) -> None:
        self._clock = clock
        self._last = after

    def next(self) -> int:
        """An id larger than every one made or seen before."""
        fresh = self._clock.now_ms() << 22
        self._last = fresh if fresh > self._last else self._last + 1
        return self._last


def id_text(prefix: str, number: int) -> str:
    """The public form of an id: `evt_01hq3k…`, which sorts as the number does."""
    letters = []
    for _ in range(_LENGTH):
        letters.append(_ALPHABET[number & 31])
        number >>= 5
    return f"{prefix}_{''.join(reversed(letters))}"


def parse_id(text: str, prefix: str) -> int:
    """The number of a public id; UsageError when it has another form."""
    head, _, letters = text.partition("_")
    known = head == prefix and len(letters) == _LENGTH and _VALUES.keys() >= set(letters)
    number = 0
    for letter in letters if known else "":
        number = number << 5 | _VALUES[letter]
    if not known or number > _LARGEST:
        raise UsageError(f"{text!r} is no id of this kind: it looks like {prefix}_01hq3kz7e9d4x")
    return number


def id_ms(number: int) -> int:
    """The millisecond in which an id was made."""
    return number >> 22
