"""Control steps: cut off anywhere they come to the same end, and long lists stay small."""

import gc
from datetime import datetime
from typing import Any

import pytest

from reactor.clock import to_ms
from reactor.engine.asking import Ask, Heard
from reactor.engine.machine import Machine
from reactor.engine.moments import next_time_of_day
from reactor.engine.render import Rendering
from reactor.engine.state import SharedState
from reactor.engine.words import Stage
from reactor.errors import ActionFailed
from reactor.model.event import Event
from reactor.model.execution import Entry, Execution, State
from reactor.model.flow import Flow
from reactor.store import Open
from reactor.testing import BEGIN_MS, World
from tests.engine.probe import Probe

FLOWS = {
    "nested": """
        flow: one
        when: {event: {type: go}}
        do:
          - id: rows
            each: {row: event.data.rows}
            at_once: 2
            do:
              - id: cells
                each: row
                at_once: 2
                probe: "${{ item }}"
              - id: kind
                choose:
                  - only_if: index == 0
                    do: [{id: first, probe: first}]
                  - do: [{id: other, probe: other}]
          - id: both
            parallel:
              left: [{id: l, probe: l}, {id: l2, wait: 1m}]
              right: [{id: r, probe: r, on_error: [{id: mend, probe: mend}]}]
          - id: loop
            repeat:
              do: [{id: ask, probe: "${{ steps.l.output }}"}]
              max: 3
              every: 5s
              collect: steps.ask.output
        output:
          rows: "${{ steps.rows.output }}"
          both: "${{ steps.both.output }}"
          loop: "${{ steps.loop.output }}"
          mended: "${{ steps.mend.output }}"
    """,
    "failing": """
        flow: one
        when: {event: {type: go}}
        do:
          - id: pair
            retry: {max: 1, delay: 1m, jitter: none}
            on_error: [{id: mend, probe: mend}]
            do:
              - id: race
                parallel: {a: [{id: r, probe: r}], b: [{wait: 1h}], c: [{id: l, probe: l}]}
                join: 3
          - {id: last, probe: "${{ steps.pair.attempts }} ${{ steps.pair.status }}"}
        output: steps.last.output
    """,
    "waiting": """
        flow: one
        when: {event: {type: go}}
        do:
          - id: both
            parallel:
              a: [{id: paid, wait: {when: {event: {type: tick}, only_if: incoming.data.n > 1}}}]
              b:
                - {id: b, probe: b}
                - id: ask
                  wait: {approval: "Go on?", form: {n: {}}, notify: [{id: told, probe: told}]}
          - id: loop
            repeat:
              do: [{id: tick, wait: {when: {event: {type: tick}}}}]
              max: 2
              collect: steps.tick.output.data.n
          - id: late
            wait: {when: {event: {type: never}, only_if: incoming.data.n > 9}, timeout: 1h}
            on_error: continue
          - {id: sub, call: other, with: {n: "${{ steps.paid.output.data.n }}"}}
        output:
          took: "${{ steps.paid.output.data.n }} ${{ steps.loop.output }}"
          by: "${{ steps.ask.output.by }} ${{ steps.ask.output.n }}"
          late: "${{ steps.late.error.kind }}"
          sub: "${{ steps.sub.output }}"
    """,
    "undoing": """
        flow: one
        when: {event: {type: go}}
        do:
          - id: rows
            each: event.data.rows
            at_once: 2
            do: [{id: c, probe: "${{ item }}", undo: [{id: uc, probe: "${{ steps.c.output }}"}]}]
          - id: race
            join: any
            parallel:
              slow: [{id: s, probe: s, undo: [{id: us, probe: s}]}, {wait: 1h}]
              fast: [{id: f, probe: f, undo: [{id: uf, probe: f}]}]
          - {id: x, probe: x, on_error: continue, undo: [{id: ux, probe: x}, {id: r, probe: r}]}
          - {fail: no}
        on_error: [{id: last, probe: last}]
        finally: [{id: over, probe: over}]
    """,
}
ENDS = dict.fromkeys(FLOWS, State.OK) | {"undoing": State.FAILED}
DATA = {"rows": [[1, 2, 3], [4]]}
FAILING = frozenset({"r"})


def answer(ask: Ask) -> Heard:
    """What was heard of anything: three events, an approval; and every call ended well."""
    if ask.child is not None:
        row = execution(id=ask.child, state=State.OK)
        return Heard(child=Open(row, heard(1, {}), (Entry("", "output", "sub"),)))
    if ask.name.endswith("approval"):
        data = {"approved": True, "by": "ann", "form": {"n": 1}, "message": None}
        return Heard([heard(9, data)])
    return Heard([heard(number, {"n": number - 1}) for number in (2, 3, 4) if number > ask.after])


def execution(*, id: int, state: State) -> Execution:
    """A row that says no more than this."""
    return Execution(
        id=id, root=id, flow="other", version="", event=1, trigger="call", key=None,
        state=state, created_ms=BEGIN_MS,
    )  # fmt: skip


def heard(number: int, data: Any) -> Event:
    """An event that came at the beginning."""
    return Event(number, "event", "event", BEGIN_MS, BEGIN_MS, None, None, 0, data, {})


class Life:
    """One machine over a journal, its attempts answered at once, its times jumped to."""

    def __init__(self, flow: Flow, journal: tuple[Entry, ...]) -> None:
        names = {
            "event": {"data": DATA},
            "vars": {},
            "steps": {},
            "env": {},
            "state": {},
            "now": None,
            "execution": {},
            "flow": {},
            "error": None,
        }
        stage = Stage(SharedState(), lambda: 1, 1, 0, 1, 1, flow, 0)
        rendering = Rendering(flow, names, str)
        self.machine = Machine(flow, rendering, stage, journal, lambda: 0.5)
        self.keys: list[str] = []
        self.stage = stage

    def live(self, now_ms: int) -> None:
        """Run to the end."""
        machine = self.machine
        machine.begin(now_ms)
        while machine.ended is None:
            machine.take_aborts()
            acts = machine.take_acts()
            for act in acts:
                self.keys.append(act.path)
                if act.step.id in FAILING:
                    machine.fail(act.path, ActionFailed("no", transient=True), now_ms)
                else:
                    machine.finish(act.path, act.config["given"], now_ms)
            asks = machine.take_asks()
            for ask in asks:
                machine.told(ask.path, answer(ask), now_ms)
            if asks:
                continue
            if not acts and machine.waits_for_commit:
                machine.proceed(now_ms)
            elif not acts and machine.due is not None:
                now_ms = max(now_ms, machine.due)
                machine.wake(now_ms)


async def load(text: str) -> Flow:
    """The flow of a text."""
    async with World(specs=[Probe().spec]) as world:
        return world.load(text)[0]


@pytest.mark.parametrize("name", FLOWS)
async def test_a_crash_after_any_entry_leads_to_the_same_end(name):
    """Made again from any prefix of its journal, an execution ends as it would have."""
    flow = await load(FLOWS[name])
    whole = Life(flow, ())
    whole.live(BEGIN_MS)
    journal = tuple(whole.machine.journal)

    ends = set()
    for length in range(len(journal) + 1):
        life = Life(flow, journal[:length])
        life.live(BEGIN_MS + 1000)
        ends.add((life.machine.ended, str(life.machine.output)))

    assert ends == {(ENDS[name], str(whole.machine.output))}


async def test_a_crash_while_taking_back_undoes_all_of_it_once_it_is_stored():
    """From any prefix each step that began is taken back, in the same order, none twice."""
    flow = await load(FLOWS["undoing"])
    whole = Life(flow, ())
    whole.live(BEGIN_MS)
    journal = tuple(whole.machine.journal)

    stories = []
    for length in range(len(journal) + 1):
        life = Life(flow, journal[:length])
        life.live(BEGIN_MS + 1000)
        began = [entry.path for entry in life.machine.journal if entry.kind == "undo"]
        stories.append((began, undone_in(life)))

    assert [sorted(began) for began, _ in stories] == [sorted(undone) for _, undone in stories]
    assert {tuple(undone) for _, undone in stories} == {tuple(undone_in(whole))}


def undone_in(life: Life) -> list[str]:
    """Which steps were taken back, in order."""
    return [entry.path for entry in life.machine.journal if entry.kind == "undone"]


@pytest.mark.parametrize("name", FLOWS)
async def test_every_attempt_at_a_step_has_its_own_path(name):
    """No two items, rounds or attempts around a step share an entry of the journal."""
    flow = await load(FLOWS[name])
    life = Life(flow, ())
    life.live(BEGIN_MS)

    done = [entry.path for entry in life.machine.journal if entry.kind == "done"]

    assert len(done) == len(set(done))


@pytest.mark.parametrize(
    "steps",
    [
        "[{wait: 1h}]",
        "[{probe: 1, retry: {max: 1, delay: 1h}}]",
        "[{parallel: {a: [{wait: 1h}], b: [{repeat: {do: [{wait: 1h}], max: 2}}]}}]",
        "[{each: [1, 2], at_once: 2, do: [{wait: 1h}]}]",
    ],
)
async def test_an_execution_that_sleeps_leaves_nothing_in_memory(steps):
    """Its machine is gone without help of the collector."""
    flow = f"{{flow: one, when: {{event: {{type: go}}}}, do: {steps}}}"
    gc.collect()
    before = sum(isinstance(each, Machine) for each in gc.get_objects())
    gc.disable()
    try:
        async with World(flow, specs=[Probe({"probe": ["fail"]}).spec]) as world:
            await world.emit("go")
            after = sum(isinstance(each, Machine) for each in gc.get_objects())

            assert (await world.states(), after) == (["waiting"], before)
    finally:
        gc.enable()


async def test_a_long_list_never_has_more_at_work_than_it_may():
    """Two thousand items, four at once: never a fifth task, and the output keeps their order."""
    probe = Probe()
    most = 0
    flow = """
        flow: one
        when: {event: {type: go}}
        do:
          - {id: all, each: event.data, at_once: 4, probe: "${{ item }}"}
          - {id: told, each: steps.all.output, log: "${{ item }}"}
        output: steps.all.output
    """

    async with World(flow, specs=[probe.spec]) as world:

        def heard(*_: object, **__: object) -> None:
            nonlocal most
            most = max(most, world.engine.attempts)

        world.engine.listen(heard)
        await world.emit("go", list(range(2000)))
        states = await world.states()

    assert (states, most <= 4) == (["ok"], True)
    assert [call.given for call in probe.calls] == list(range(2000))


@pytest.mark.parametrize(
    ("now", "time", "days", "expected"),
    [
        ("2026-01-01T00:00:00Z", (8, 0, 0), (), "2026-01-01T07:00:00Z"),
        ("2026-01-01T07:00:00Z", (8, 0, 0), (), "2026-01-02T07:00:00Z"),
        ("2026-01-01T00:00:00Z", (8, 0, 0), ("sun",), "2026-01-04T07:00:00Z"),
        ("2026-03-28T12:00:00Z", (2, 30, 0), (), "2026-03-29T01:00:00Z"),
        ("2026-10-24T12:00:00Z", (2, 30, 0), (), "2026-10-25T00:30:00Z"),
    ],
)
def test_the_next_time_of_day_follows_the_clocks_of_its_zone(now, time, days, expected):
    """A skipped time is the end of the gap, one that comes twice is the first."""
    found = next_time_of_day(to_ms(datetime.fromisoformat(now)), time, "Europe/Warsaw", days)

    assert found == to_ms(datetime.fromisoformat(expected))


def test_an_unknown_time_zone_fails_the_step():
    """The name is told."""
    with pytest.raises(ActionFailed, match="no time zone 'Mars'"):
        next_time_of_day(0, (8, 0, 0), "Mars")
