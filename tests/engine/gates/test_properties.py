"""Gates as pure decisions: no event is lost or used twice, whatever comes in whatever order."""

from collections import Counter
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from reactor.engine.gates.gather import batch_due, burst_due, count_due, hear_batch, hear_burst
from reactor.engine.gates.gather import hear_count as hear_number
from reactor.engine.gates.meeting import hear_branch, join_due
from reactor.engine.gates.moves import Asked, Item, Mark, Move
from reactor.engine.gates.pace import next_start, started
from reactor.engine.gates.windows import hear_window, span, window_due
from reactor.model.gates import Batch, Count, Debounce, Join, Throttle, Window
from reactor.store.codec import decode, encode

STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=40)


class Keeper:
    """One key of one gate over time: what a store would keep of it, and what it let go."""

    def __init__(self, config, hear, due):
        self.config, self.hear, self.due = config, hear, due
        self.now_ms = 1_000_000
        self.mark: Mark | None = None
        self.groups = count(1)
        self.held: dict[int, dict[int, int]] = {}
        self.passed: list[list[int]] = []
        self.over: list[int] = []

    def asked(self, branch: str | None = None) -> Asked:
        return Asked({}, self.now_ms, lambda: next(self.groups), branch)

    def take(self, event: int, branch: str | None = None) -> Move:
        item = Item(event=event, lane=None, size=1, time_ms=self.now_ms, depth=0)
        return self.apply(self.hear(self.config, self.mark, item, self.asked(branch)))

    def wait(self, ms: int) -> None:
        end_ms = self.now_ms + ms
        while self.mark is not None and self.mark.due_ms is not None:
            if self.mark.due_ms > end_ms:
                break
            self.now_ms = max(self.now_ms, self.mark.due_ms)
            self.apply(self.due(self.config, self.mark, self.asked()))
        self.now_ms = end_ms

    def apply(self, move: Move) -> Move:
        kept = move.mark
        if kept is not None:  # through the disk and back
            kept = Mark(decode(encode(kept.state)), kept.due_ms, kept.event)
        self.mark = kept
        for one in move.held:
            self.held.setdefault(one.group, {})[one.place] = one.event
        for item in move.passes:
            held = self.held.pop(item.group, {}) if item.group is not None else {}
            events = [held[place] for place in range(item.first, item.last + 1)] if held else []
            self.passed.append(events or [item.event])
        for group, place in move.let_go:
            if place is None:
                self.held.pop(group, None)
            else:
                self.held[group].pop(place)
        self.over += move.over
        return move

    @property
    def waiting(self) -> list[int]:
        return [event for group in self.held.values() for event in group.values()]


@given(STEPS)
def test_a_join_never_loses_or_duplicates_an_event(steps):
    """Each event is met once, or its time ran out, or it waits."""
    keeper = Keeper(Join(within_ms=60, names=("a", "b", "c")), hear_branch, join_due)

    for event, (branch, ms) in enumerate(steps):
        keeper.take(event, branch)
        keeper.wait(ms)

    met = [event for meeting in keeper.passed for event in meeting]
    assert Counter(met + keeper.over + keeper.waiting) == Counter(range(len(steps)))
    assert all({steps[event][0] for event in meeting} == set("abc") for meeting in keeper.passed)


@given(STEPS)
def test_a_join_for_what_is_missing_tells_each_event_at_most_once(steps):
    """Those that met in time tell nothing; nothing waits for ever."""
    keeper = Keeper(Join(within_ms=60, names=("a", "b"), missing=True), hear_branch, join_due)

    for event, (branch, ms) in enumerate(steps):
        keeper.take(event, "a" if branch == "c" else branch)
        keeper.wait(ms)
    keeper.wait(1000)

    told = [event for meeting in keeper.passed for event in meeting]
    assert Counter(told + keeper.over) == Counter(range(len(steps)))
    assert keeper.mark is None
    assert keeper.waiting == []


@given(st.permutations(["a1", "a2", "b1", "b2", "c1", "c2"]))
def test_a_join_comes_out_the_same_in_any_order(order):
    """Two of each make two meetings, however they come."""
    keeper = Keeper(Join(within_ms=60, names=("a", "b", "c")), hear_branch, join_due)

    for event, name in enumerate(order):
        keeper.take(event, name[0])

    assert len(keeper.passed) == 2
    assert sorted(event for meeting in keeper.passed for event in meeting) == list(range(6))
    assert keeper.mark is None


@given(STEPS, st.integers(1, 5))
def test_a_batch_keeps_order_and_everything(steps, most):
    """Batches one after the other are the events as they came; none is too large or too old."""
    keeper = Keeper(Batch(max=most, within_ms=50), hear_batch, batch_due)
    times = {}

    for event, (_, ms) in enumerate(steps):
        times[event] = keeper.now_ms
        keeper.take(event)
        keeper.wait(ms)
    keeper.wait(50)

    assert [event for batch in keeper.passed for event in batch] == list(range(len(steps)))
    assert all(len(batch) <= most for batch in keeper.passed)
    assert all(times[batch[-1]] - times[batch[0]] <= 50 for batch in keeper.passed)


@given(STEPS)
def test_debounce_of_all_keeps_everything(steps):
    """Bursts one after the other are the events as they came."""
    config = Debounce(quiet_ms=20, max_wait_ms=50, take="all")
    keeper = Keeper(config, hear_burst, burst_due)

    for event, (_, ms) in enumerate(steps):
        keeper.take(event)
        keeper.wait(ms)
    keeper.wait(50)

    assert [event for burst in keeper.passed for event in burst] == list(range(len(steps)))


@given(STEPS)
def test_windows_hold_each_event_once_and_in_its_span(steps):
    """Whatever its time, an event is in the window of that time, or late."""
    keeper = Keeper(Window(every_ms=60_000, tz="UTC"), hear_window, window_due)
    times = {}

    for event, (_, ms) in enumerate(steps):
        times[event] = keeper.now_ms
        keeper.take(event)
        keeper.wait(ms * 1000)
    keeper.wait(120_000)

    assert [event for window in keeper.passed for event in window] == list(range(len(steps)))
    for window in keeper.passed:
        assert len({span(times[event], 60_000, "UTC") for event in window}) == 1


@given(STEPS, st.integers(1, 4))
def test_count_fires_exactly_when_enough_are_close(steps, least):
    """As a plain count of what came within the span since it fired last."""
    keeper = Keeper(Count(least, 50), hear_number, count_due)
    recent: list[tuple[int, int]] = []

    for event, (_, ms) in enumerate(steps):
        recent = [one for one in recent if one[0] > keeper.now_ms - 50]
        recent.append((keeper.now_ms, event))
        before = len(keeper.passed)
        keeper.take(event)
        if len(recent) >= least:
            assert keeper.passed[before:] == [[one for _, one in recent]]
            recent = []
        else:
            assert keeper.passed[before:] == []
        keeper.wait(ms)
    keeper.wait(100)

    assert keeper.mark is None
    assert keeper.waiting == []


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 4))
def test_throttle_never_starts_more_in_any_span(waits, most):
    """Starts are in order, and the one `max` places before is at least `per` ago."""
    config = Throttle(max=most, per_ms=50)
    mark, now_ms = None, 1_000_000
    starts = []

    for ms in waits:
        at_ms = next_start(config, mark, now_ms)
        mark = started(config, mark, at_ms, now_ms)
        starts.append(at_ms)
        now_ms += ms

    assert starts == sorted(starts)
    pairs = zip(starts, starts[most:], strict=False)
    assert all(later - earlier >= 50 for earlier, later in pairs)
