"""Ids that only grow and sort as they were made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import UsageError
from reactor.ids import Ids, id_ms, id_text, parse_id

NUMBERS = st.integers(min_value=0, max_value=2**63 - 1)


class Hand:
    """A clock turned by hand."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic_secs(self) -> float:
        return self.ms / 1000


def test_an_id_carries_its_millisecond():
    """The time when an id was made can be read from it."""
    number = Ids(Hand(1_767_225_600_000)).next()

    assert id_ms(number) == 1_767_225_600_000


def test_ids_of_one_millisecond_differ():
    """A clock that stands still repeats nothing."""
    ids = Ids(Hand(5))

    made = [ids.next() for _ in range(100)]

    assert made == sorted(set(made))


def test_ids_grow_when_the_clock_jumps_back():
    """A clock set back does not make an id that sorts before an older one."""
    clock = Hand(1000)
    ids = Ids(clock)
    first = ids.next()

    clock.ms = 10

    assert ids.next() > first


def test_ids_go_on_after_the_highest_stored_one():
    """A daemon that starts with a slow clock does not repeat what is stored."""
    stored = 2000 << 22

    assert Ids(Hand(1000), after=stored).next() == stored + 1


@given(NUMBERS)
def test_an_id_survives_being_written(number):
    """The public form reads back as the same number."""
    assert parse_id(id_text("evt", number), "evt") == number


@given(NUMBERS, NUMBERS)
def test_public_ids_sort_as_their_numbers(one, other):
    """A list sorted by text is sorted by time."""
    assert (id_text("exe", one) < id_text("exe", other)) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evt",
        "evt_",
        "exe_0000000000000001",
        "EVT_0000000000000001",
        "evt_000000000000000g",
        "evt_00000000000000_1",
        "evt_00000000000000001",
        "evt_ffffffffffffffff",
    ],
)
def test_what_is_no_id_is_refused(text):
    """A wrong prefix, letter, length or a number the store cannot hold is a usage error."""
    with pytest.raises(UsageError) as caught:
        parse_id(text, "evt")

    assert repr(text) in str(caught.value)
