"""A flow that goes straight leaves what the machine would have left."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.engine.machine import Machine
from reactor.engine.making import Maker, about_execution
from reactor.engine.state import SharedState
from reactor.engine.straight import straight_of
from reactor.engine.words import Stage
from reactor.ids import Ids
from reactor.loading.load import Loading, load_text
from reactor.model.execution import Entry, Execution, State
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.store import StateValue
from reactor.testing import HandClock

NOW_MS = 1_767_225_600_000
VALUES = st.sampled_from(
    ["plain", "${{ event.data }}", "${{ vars.n + 1 }}", "${{ execution.id }}", "${{ vars.n / 0 }}"]
)
WORDS = st.one_of(
    st.builds(lambda value: {"log": value}, VALUES),
    st.builds(lambda value: {"set": {"s": value}}, VALUES),
    st.builds(lambda value: {"vars": {"n": value}}, st.sampled_from([3, "${{ vars.n * 2 }}"])),
    st.builds(lambda value: {"map": {"over": [1, 2], "to": {"x": value}}}, VALUES),
    st.builds(lambda value: {"reply": {"json": value}}, VALUES),
    st.builds(lambda value: {"emit": {"type": "other", "data": value}}, VALUES),
    st.just({"map": {"to": "${{ state.other }}"}}),
    st.just({"stop": "enough"}),
    st.just({"fail": "no more"}),
)
AROUND = st.sampled_from(
    [
        {},
        {"only_if": "event.data == 1"},
        {"unless": "event.data == 1"},
        {"output": "its own output in a list"},
        {"on_error": "continue"},
        {"on_error": [{"log": "rescued ${{ error.kind }}"}]},
    ]
)
FLOWS = st.fixed_dictionaries(
    {"do": st.lists(st.builds(lambda word, around: word | around, WORDS, AROUND), max_size=5)},
    optional={
        "output": st.sampled_from([{"n": "${{ vars.n }}"}, {"n": "${{ 1 / 0 }}"}]),
        "on_error": st.just([{"log": "the end: ${{ error.message }}"}]),
    },
)


def load(parts: dict[str, Any]) -> Flow:
    """A flow made of these parts."""
    steps = [dict(step) for step in parts["do"]] or [{"log": "nothing"}]
    for number, step in enumerate(steps):
        step["id"] = f"s{number}"
        if "output" in step:
            step["output"] = f"${{{{ [steps.s{number}.output] }}}}"
    whole = {
        "flow": "f",
        "when": {"event": {"type": "go"}},
        "vars": {"n": "${{ event.data }}"},
        **parts,
        "do": steps,
    }
    loaded = load_text(json.dumps(whole), "f.yaml", Loading(catalog=Catalog()))
    assert not loaded.failed, loaded.problems
    return loaded.flows[0]


class Life:
    """One execution of a flow, with what it did to the world inside."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        clock = HandClock(NOW_MS)
        self.shared = SharedState()
        self.shared.load([StateValue("other", "", {"deep": [1]}, None)])
        self.maker = Maker(
            ids=Ids(clock), shared=self.shared, env={}, secret=str, chance=lambda: 0.5
        )
        self.row = Execution(
            id=1,
            root=1,
            flow="f",
            version=flow.version,
            event=1,
            trigger="event",
            key=None,
            state=State.RUNNING,
            created_ms=NOW_MS,
        )
        self.stage = self.maker.stage(self.row)

    def names(self) -> dict[str, Any]:
        """What its conditions saw."""
        return self.maker.names(self.flow, {"data": 1, "id": "evt_1", "key": None})

    def machine(self, journal: list[Entry]) -> Machine:
        """The machine at the end, from a journal of which nothing is stored."""
        made = self.maker.make(self.row, self.flow, self.names(), self.stage, journal, saved=0)
        made.machine.begin(NOW_MS)
        while made.machine.waits_for_commit:
            self.shared.commit(self.stage.states)
            self.stage.states = []
            made.machine.proceed(NOW_MS)
        return made.machine


def left(stage: Stage, shared: SharedState) -> Any:
    """What an execution leaves beside its journal."""
    return stage.lines, [one.received for one in stage.emissions], stage.reply, shared.latest


@settings(max_examples=300)
@given(FLOWS)
def test_it_leaves_what_the_machine_leaves(parts):
    """The same journal, lines, events, reply and state, whether it comes to the end or not."""
    flow = load(parts)
    straight = straight_of(flow)
    by_machine = Life(flow)
    expected = by_machine.machine([])

    if straight is None:
        assert any("state" in json.dumps(step) for step in parts["do"])
        return
    life = Life(flow)
    names = life.names() | {"steps": {}, "error": None, "now": None}
    names["execution"] = about_execution(life.row)
    journal, through, output = straight.walk(names, life.stage, NOW_MS)
    if through:
        assert (expected.ended, expected.error, expected.output) == (State.OK, None, output)
    else:
        machine = life.machine(journal)
        assert (machine.ended, machine.error) == (expected.ended, expected.error)
        journal = list(machine.unsaved())

    assert journal == expected.journal
    assert left(life.stage, life.shared) == left(by_machine.stage, by_machine.shared)


def test_what_waits_or_hides_goes_by_machine():
    """Outside steps, control steps, secrets, `finally`, and `state` read after a `set`."""
    ways: list[dict[str, Any]] = [
        {"do": [{"http": {"get": "https://example.com"}}]},
        {"do": [{"log": "x"}, {"wait": "1s"}]},
        {"do": [{"log": "${{ item }}", "each": "${{ [1] }}"}]},
        {"do": [{"log": "x"}], "finally": [{"log": "y"}]},
        {"do": [{"set": {"a": 1}}, {"log": "${{ state.a }}"}]},
        {"do": [{"log": "${{ secrets.token }}"}]},
        {"do": [{"log": "x"}], "vars": {"n": "${{ secrets.token }}"}},
    ]

    assert [straight_of(load(way)) for way in ways] == [None] * len(ways)
