"""An execution made again from what was stored comes to the same end, wherever it was cut."""

import json
from typing import Any
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from reactor.engine.machine import Machine
from reactor.engine.making import Maker
from reactor.engine.state import SharedState
from reactor.errors import ActionFailed
from reactor.ids import Ids
from reactor.loading.load import Loading, load_text
from reactor.model.execution import Entry, Execution, Failure, State
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.testing import BEGIN_MS, HandClock
from tests.engine.probe import Probe

HOUR_MS = 3_600_000
OK, TRANSIENT, FINAL = "ok", "transient", "final"

RESCUES = st.sampled_from(
    ["fail", "continue", [{"log": "saved"}], [{"probe": "${{ now }}"}], [{"fail": "worse"}]]
)
OUTSIDE = st.fixed_dictionaries(
    {"probe": st.sampled_from([1, "${{ vars.n }}", "${{ now }}", "${{ event.data }}"])},
    optional={
        "on_error": RESCUES,
        "retry": st.sampled_from([{"max": 2, "delay": "1h", "max_delay": "1h"}]),
        "only_if": st.sampled_from(["vars.n > 0", "vars.n == 99", "vars.n + 'x' > 1"]),
        "output": st.sampled_from(["now", "vars.n + 1", "vars.n + 'x'"]),
    },
)
INSIDE = st.sampled_from(
    [
        {"log": "n is ${{ vars.n }}"},
        {"vars": {"n": "${{ vars.n + 1 }}"}},
        {"vars": {"n": "${{ vars.n + 'x' }}"}, "on_error": "continue"},
        {"set": {"s": "${{ vars.n }}"}},
        {"log": "state ${{ state.s }}"},
        {"map": {"to": {"n": "${{ vars.n }}"}}},
        {"reply": {"json": {"n": "${{ vars.n }}"}}},
        {"emit": {"type": "t", "data": "${{ vars.n }}"}},
        {"fail": "no"},
        {"stop": "enough"},
    ]
)
STEPS = st.lists(OUTSIDE | OUTSIDE | INSIDE, min_size=1, max_size=4)
FLOWS = st.fixed_dictionaries(
    {"do": STEPS},
    optional={
        "on_error": STEPS,
        "finally": STEPS,
        "output": st.sampled_from([{"n": "${{ vars.n }}", "at": "${{ now }}"}]),
        "dead_letter": st.just({"emit": {"type": "dead", "data": "${{ error.kind }}"}}),
    },
)
OUTCOMES = st.lists(st.sampled_from([OK, OK, TRANSIENT, FINAL]), min_size=1, max_size=7)
CANCELS = st.sampled_from([None, None, "cancelled", "timeout"])


def load(parts: dict[str, Any]) -> Flow:
    """A flow made of these parts."""
    whole = {"flow": "f", "when": {"event": {"type": "go"}}, "vars": {"n": "${{ event.data }}"}}
    text = json.dumps(whole | parts)
    loading = Loading(catalog=Catalog([Probe().spec]))
    loaded = load_text(text, "f.yaml", loading)
    assert not loaded.failed, loaded.problems
    return loaded.flows[0]


class Life(Struct):
    """What one run of an execution did."""

    machine: Machine
    cuts: list[int]  # the length of the journal at each commit
    acts: list[tuple[str, int, Any]]


class World:
    """Plays the outside: the same answer for the same attempt at the same step."""

    def __init__(self, flow: Flow, outcomes: list[str], cancel: str | None, at: int) -> None:
        self.flow = flow
        self.outcomes = outcomes
        self.cancel = cancel
        self.at = at

    def live(self, journal: list[Entry], now_ms: int) -> Life:
        """Run to the end from a journal, sleeping through every wait."""
        life = Life(self.machine(journal, now_ms), [], [])
        while not self.turn(life):
            if life.machine.sleeping:
                now_ms = max(now_ms, life.machine.due or 0)
                life.machine = self.machine(life.machine.journal, now_ms)
        return life

    def machine(self, journal: list[Entry], now_ms: int) -> Machine:
        """The execution as its journal says, begun."""
        clock = HandClock(now_ms)
        self.clock, shared = clock, SharedState()
        maker = Maker(ids=Ids(clock), shared=shared, env={}, secret=str, chance=lambda: 0.5)
        row = Execution(
            id=1,
            root=1,
            flow="f",
            version=self.flow.version,
            event=1,
            trigger="event",
            key=None,
            state=State.RUNNING,
            created_ms=BEGIN_MS,
        )
        view = {"data": 1, "id": "evt_1", "key": None}
        names, stage = maker.names(self.flow, view), maker.stage(row)
        running = maker.make(row, self.flow, names, stage, list(journal))
        self.stage = running.stage
        running.machine.begin(now_ms)
        return running.machine

    def turn(self, life: Life) -> bool:
        """One commit and what follows it; whether the execution has ended."""
        machine, now_ms = life.machine, self.clock.now_ms()
        machine.unsaved()
        life.cuts.append(len(machine.journal))
        if machine.ended is not None:
            return True
        if machine.waits_for_commit:
            self.stage.states.clear()
            if self.cancel is not None and self.at == 0 and not machine.closing:
                machine.cancel(Failure(step=None, kind=self.cancel, message="enough"), now_ms)
                return False
            machine.proceed(now_ms)
            return False
        for act in machine.take_acts():
            life.acts.append((act.path, act.attempt, act.config))
            number = crc32(act.path.encode()) + act.attempt
            if self.cancel is not None and number % 5 == self.at and not machine.closing:
                machine.cancel(Failure(step=None, kind=self.cancel, message="enough"), now_ms)
                break
            outcome = self.outcomes[number % len(self.outcomes)]
            if outcome == OK:
                machine.finish(act.path, number, now_ms)
            else:
                failed = ActionFailed("it failed", transient=outcome == TRANSIENT)
                machine.fail(act.path, failed, now_ms)
        return False


def end_of(machine: Machine) -> Any:
    """All that a user sees of an ended execution, but for times of day."""
    done = {
        entry.path: (entry.value["status"], entry.value["attempts"], entry.value["input"])
        for entry in machine.journal
        if entry.kind == "done"
    }
    replies = [entry.value for entry in machine.journal if entry.kind == "reply"]
    return machine.ended, machine.error, done, replies


@settings(max_examples=250)
@given(FLOWS, OUTCOMES, CANCELS, st.integers(0, 4), st.data())
def test_a_cut_at_any_commit_changes_nothing(parts, outcomes, cancel, at, data):
    """Made again from what was stored, an hour later or not, it ends as it would have.

    No step that has its result runs again, and an attempt that does has the same number and input.
    """
    world = World(load(parts), outcomes, cancel, at)
    whole = world.live([], BEGIN_MS)
    cut = data.draw(st.sampled_from(sorted({0, *whole.cuts})))
    prefix = whole.machine.journal[:cut]
    later = data.draw(st.sampled_from([0, HOUR_MS // 2])) if cut else 0

    again = world.live(prefix, BEGIN_MS + later)

    stored = {entry.path for entry in prefix if entry.kind == "done"}
    ready = {entry.path for entry in prefix if entry.kind == "ready"}
    same = set(map(repr, whole.acts))
    assert [path for path, _, _ in again.acts if path in stored] == []
    assert [act for act in again.acts if act[0] in ready and repr(act) not in same] == []
    if "now" not in json.dumps(parts) or not later:
        assert end_of(again.machine) == end_of(whole.machine)
    else:
        assert again.machine.ended == whole.machine.ended


@settings(max_examples=100)
@given(FLOWS, OUTCOMES, CANCELS, st.integers(0, 4))
def test_a_journal_has_one_result_for_each_step(parts, outcomes, cancel, at):
    """Nothing is decided twice, and every step that got ready has a result or was cut off."""
    life = World(load(parts), outcomes, cancel, at).live([], BEGIN_MS)

    decided = [
        (entry.path, entry.kind) for entry in life.machine.journal if entry.kind != "attempt"
    ]

    assert len(decided) == len(set(decided))
