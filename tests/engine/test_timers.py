"""Calls at a time: in order, once, and never after they were taken back."""

from hypothesis import given
from hypothesis import strategies as st

from reactor.engine.timers import Timers


class Axis:
    """A time axis that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.changes = 0
        self.timers = Timers(lambda: self.now, self.changed)

    def changed(self) -> None:
        self.changes += 1


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=20),
    st.lists(st.integers(0, 8), max_size=8),
)
def test_what_is_due_is_called_in_order_of_time(wanted, steps):
    """Everything that is due and was not taken back is called once, the earlier first."""
    axis = Axis()
    called: list[tuple[int, int]] = []
    for number, (at, keep) in enumerate(wanted):
        timer = axis.timers.at(at, lambda at=at, number=number: called.append((at, number)))  # type: ignore[misc]
        if not keep:
            timer.cancel()

    for step in steps:
        axis.now += step
        axis.timers.turn()

    due = [(at, n) for n, (at, keep) in enumerate(wanted) if keep and at <= axis.now]
    assert called == (sorted(due) if steps else [])


def test_a_call_that_sets_another_for_now_is_followed_by_it():
    """A turn ends when nothing more is due."""
    axis = Axis()
    called = []
    axis.timers.at(0, lambda: axis.timers.after(0, lambda: called.append("second")))

    axis.timers.turn()

    assert called == ["second"]


def test_only_a_new_earliest_time_wakes_the_driver():
    """Who sleeps until the earliest time is told of an earlier one only."""
    axis = Axis()
    axis.timers.at(5, list)
    axis.timers.at(9, list)

    axis.timers.at(1, list)

    assert (axis.changes, axis.timers.next()) == (2, 1)


def test_the_next_time_is_that_of_a_call_which_still_counts():
    """What was taken back is not waited for."""
    axis = Axis()
    axis.timers.at(5, list).cancel()
    axis.timers.at(9, list)

    assert axis.timers.next() == 9
