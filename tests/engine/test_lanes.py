"""Who may run: slots, keys, and the queue of each key."""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reactor.engine.lanes import BACKLOG, KEY_BACKLOG, Admission, Lane
from reactor.model.flow import Run

MODES = ("parallel", "queue", "single", "restart", "latest")


class LaneHistory(RuleBasedStateMachine):
    """Executions come, wait, come back and end in any order; the lane keeps what it promises."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.keys: dict[int, str | None] = {}
        self.running: set[int] = set()
        self.waiting: set[int] = set()
        self.returning: set[int] = set()
        self.queued: list[int] = []
        self.started_of: dict[str | None, list[int]] = defaultdict(list)

    @initialize(mode=st.sampled_from(MODES), most=st.integers(1, 3), hold=st.booleans())
    def begin(self, mode: Any, most: int, *, hold: bool) -> None:
        self.held: dict[str | None, int] = {}
        hold = hold and mode == "queue"
        self.lane = Lane(Run(mode=mode, max=most, hold_on_fail=hold), self.start)

    def start(self, execution: int) -> None:
        if execution in self.returning:
            self.returning.remove(execution)
        else:
            assert execution in self.queued
            self.queued.remove(execution)
            self.started_of[self.keys[execution]].append(execution)
        assert execution not in self.running
        self.running.add(execution)

    @rule(key=st.sampled_from([None, "a", "b"]))
    def come(self, key: str | None) -> None:
        self.number += 1
        number = self.number
        self.keys[number] = key
        taken = self.owned(key)
        verdict = self.lane.admit(number, key)
        if verdict.supersede is not None:
            assert self.lane.run.mode in ("restart", "latest")
            self.queued.remove(verdict.supersede)
        if verdict.cancel is not None:
            assert self.lane.run.mode == "restart"
            assert self.keys[verdict.cancel] == key
        if verdict.admission is Admission.START:
            self.running.add(number)
            self.started_of[key].append(number)
        elif verdict.admission is Admission.QUEUE:
            self.queued.append(number)
        else:
            assert self.lane.run.mode == "single"
            assert taken or any(self.keys[one] == key for one in self.queued)
            del self.keys[number]

    @rule(data=st.data())
    def park(self, data: Any) -> None:
        if self.running:
            number = data.draw(st.sampled_from(sorted(self.running)))
            self.running.remove(number)
            self.waiting.add(number)
            self.lane.park(number)
            self.lane.turn()

    @rule(data=st.data(), times=st.integers(1, 3))
    def wake(self, data: Any, times: int) -> None:
        if self.waiting:
            number = data.draw(st.sampled_from(sorted(self.waiting)))
            self.waiting.remove(number)
            self.returning.add(number)
            for _ in range(times):
                self.lane.resume(number)
            self.lane.turn()
            if number in self.running:
                self.lane.resume(number)

    @rule(data=st.data(), failed=st.booleans())
    def end(self, data: Any, *, failed: bool) -> None:
        if self.running:
            number = data.draw(st.sampled_from(sorted(self.running)))
            hold = failed and self.lane.run.hold_on_fail
            self.running.remove(number)
            if hold:
                self.held[self.keys[number]] = number
            self.lane.release(number, self.keys[number], hold=hold)
            self.lane.turn()

    @rule(data=st.data())
    def give_up_holding(self, data: Any) -> None:
        if self.held:
            key = data.draw(st.sampled_from(sorted(self.held, key=str)))
            self.lane.free(self.held.pop(key), key)
            self.lane.turn()

    @rule(data=st.data())
    def retry_held(self, data: Any) -> None:
        if self.held:
            key = data.draw(st.sampled_from(sorted(self.held, key=str)))
            self.number += 1
            self.keys[self.number] = key
            self.returning.add(self.number)
            assert self.lane.hand_over(self.held.pop(key), self.number, key)
            self.lane.turn()

    @rule(data=st.data())
    def cancel_queued(self, data: Any) -> None:
        if self.queued:
            number = data.draw(st.sampled_from(sorted(self.queued)))
            self.queued.remove(number)
            self.lane.drop(number, self.keys[number])
            self.lane.free(number, self.keys[number])
            self.lane.turn()

    @rule(most=st.integers(1, 3))
    def reload(self, most: int) -> None:
        run = Run(mode=self.lane.run.mode, max=most, hold_on_fail=self.lane.run.hold_on_fail)
        assert self.lane.refit(run) is False
        self.lane.turn()

    def owned(self, key: str | None) -> bool:
        """Whether an open execution has the key, or a failed one holds it."""
        open_ = {*self.running, *self.waiting, *self.returning}
        return key in self.held or any(self.keys[one] == key for one in open_)

    @invariant()
    def slots_are_bounded(self) -> None:
        """What has started is what the lane counts; new starts respect `max`."""
        assert self.lane.running == len(self.running)

    @invariant()
    def a_key_has_one_owner(self) -> None:
        """But for parallel, no key has two open executions beyond the queue."""
        if self.lane.run.mode == "parallel":
            return
        owners = [self.keys[one] for one in (*self.running, *self.waiting, *self.returning)]
        owners += list(self.held)
        assert len(owners) == len(set(owners))

    @invariant()
    def the_order_of_a_key_is_kept(self) -> None:
        """Executions of a key start in the order in which they were accepted."""
        for started in self.started_of.values():
            assert started == sorted(started)

    @invariant()
    def nothing_waits_in_vain(self) -> None:
        """With a slot free, whatever is queued waits for its key."""
        if self.lane.running >= self.lane.run.max:
            return
        assert not self.returning
        for number in self.queued:
            assert self.lane.run.mode != "parallel"
            assert self.owned(self.keys[number])

    @invariant()
    def the_queue_is_known(self) -> None:
        """The lane counts what is queued, and knows each."""
        assert self.lane.queued == len(self.queued)
        assert all(self.lane.knows(one, self.keys[one]) for one in self.queued)


LaneHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
test_lanes_keep_their_promises = LaneHistory.TestCase


def test_nothing_overtakes_what_only_the_store_knows():
    """While queued executions are left to the store, a new one joins them."""
    lane = Lane(Run(mode="queue"), lambda _: None)
    lane.more = True

    verdict = lane.admit(7, "a")

    assert verdict.admission is Admission.QUEUE


def test_what_came_during_a_read_is_read_next():
    """An execution that was left to the store while it was read makes another read necessary."""
    lane = Lane(Run(), lambda _: None)
    lane.more = True
    lane.begin_reading()
    lane.admit(9, None)

    again = lane.read([], whole=True)

    assert (again, lane.more) == (True, True)
    lane.begin_reading()
    assert lane.read([(9, None)], whole=True) is False
    assert (lane.more, lane.queued) == (False, 1)


@pytest.mark.parametrize(("before", "after"), [("parallel", "queue"), ("single", "parallel")])
def test_a_mode_that_counts_keys_otherwise_is_read_again(before, after):
    """The lane forgets keys and queue, and says so."""
    lane = Lane(Run(mode=before, max=1), lambda _: None)
    lane.admit(1, "a")
    lane.admit(2, "b")

    again = lane.refit(Run(mode=after, max=1))

    assert (again, lane.queued, lane.more, lane.running) == (True, 0, True, 1)


def test_a_long_row_behind_one_key_hides_no_other_key():
    """More of a key that is taken than memory holds; another key starts at once."""
    lane = Lane(Run(mode="queue", max=2), lambda _: None)
    for number in range(1, BACKLOG + 100):
        lane.admit(number, "a")

    verdict = lane.admit(BACKLOG + 100, "b")

    assert verdict.admission is Admission.START
    assert (lane.queued, lane.more) == (KEY_BACKLOG, False)


def test_what_is_left_of_a_key_comes_in_order_and_once():
    """As its row gets short the store is asked; what came meanwhile is asked for again."""
    started: list[int] = []
    lane = Lane(Run(mode="queue"), started.append)
    for number in range(1, KEY_BACKLOG + 300):
        lane.admit(number, "a")
    for number in range(1, KEY_BACKLOG - 50):
        lane.release(number, "a")
        lane.turn()
    after = lane.begin_reading_key("a")
    lane.admit(KEY_BACKLOG + 300, "a")
    lane.read_key("a", list(range(after + 1, KEY_BACKLOG + 300)), whole=True)
    after = lane.begin_reading_key("a")
    lane.read_key("a", [KEY_BACKLOG + 300], whole=True)

    for number in range(KEY_BACKLOG - 50, KEY_BACKLOG + 300):
        lane.release(number, "a")
        lane.turn()

    assert after == KEY_BACKLOG + 299
    assert started == list(range(2, KEY_BACKLOG + 301))
    assert lane.short() is None


def test_what_all_keys_left_to_the_store_is_not_read_twice():
    """Newcomers that the lane does not know yet come with the rest, not with their key."""
    lane = Lane(Run(mode="queue"), lambda _: None)
    for number in range(1, KEY_BACKLOG + 10):
        lane.admit(number, "a")
    lane.more = True
    lane.admit(5000, "a")

    after = lane.begin_reading_key("a")
    lane.read_key("a", [*range(after + 1, KEY_BACKLOG + 10), 5000], whole=True)
    lane.begin_reading()
    lane.read([(5000, "a")], whole=True)

    assert lane.queued == KEY_BACKLOG + 8  # the newcomer waits in the store for its key's turn
    assert lane.begin_reading_key("a") == KEY_BACKLOG + 9
