"""`reactor try` and `reactor replay --dry-run`: what would happen, with nothing touched."""

import asyncio
import io
import json
import sys

import pytest

from reactor.loading.flowtests import Mock
from reactor.model.event import Received
from reactor.plugin.catalog import Catalog
from reactor.store.sqlite import open_sqlite
from reactor.testing import HandClock, World
from reactor.testing.mocks import Mocks, by_step, made_up
from tests.cli.conftest import run
from tests.web.admin.daemon import serving

FLOW = """\
flow: pay
when:
  event: {type: order}
  key: event.data.id
only_if: event.data.total > 10
do:
  - id: book
    http: {post: "http://books.test/", json: "${{ event.data.id }}"}
    retry: {max: 2, delay: 10s, jitter: none}
  - id: note
    only_if: steps.book.output.status == 201
    log: "booked ${{ event.data.id }} for ${{ event.id }}, ${{ state.rate | default(1) }}"
  - wait: 1h
  - set: {last: "${{ event.data.id }}"}
output: steps.book.output.status
"""
HOOK = """\
flow: hook
when:
  - {id: a, http: {path: /a, verify: none}}
  - {id: b, http: {path: /b, verify: none}}
do:
  - log: "${{ event.trigger }} ${{ event.headers['x-from'] }} ${{ event.body.n }}"
"""


@pytest.fixture
def flows(tmp_path):
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "pay.yaml").write_text(FLOW)
    (folder / "hook.yaml").write_text(HOOK)
    return folder


def tell(*arguments, flows, state=None):
    """Run a verb that reads flows and a state folder."""
    return run(*arguments, "--flows", str(flows), "--state", str(state or flows.parent / "state"))


def tried(*arguments, flows, **more):
    """What `try` says, for programs."""
    return json.loads(tell("try", *arguments, "--json", flows=flows, **more).out)


def test_a_try_walks_to_the_end(flows):
    """Waits pass, results nobody knows are made up, and what is asked shows its values."""
    ran = tell("try", "pay", "--event", '{"type": "order", "data": {"id": 7, "total": 20}}',
               "--mock", 'book={"status": 201}', flows=flows)  # fmt: skip

    assert ran.code == 0
    assert ran.lines[:3] == [
        "pay (event)  started",
        "  only_if  event.data.total > 10  = true",
        "      event.data.total  = 20",
    ]
    assert "execution  ok, 1h later" in ran.lines
    assert "  output   201" in ran.lines
    assert '      input   {"post": "http://books.test/", "json": 7}' in ran.lines
    assert "          steps.book.output.status  = 201" in ran.lines


def test_a_result_that_nobody_knows_is_made_up(flows):
    """A step without a mock gives an example of its result, and the answer says so."""
    found = tried(
        "pay", "--event", '{"type": "order", "data": {"id": 7, "total": 20}}', flows=flows
    )

    steps = {step["id"]: step for step in found["executions"][0]["steps"]}
    assert steps["book"]["made_up"]
    assert steps["book"]["output"] == {"body": None, "headers": {}, "status": 200}
    assert (steps["note"]["status"], steps["note"]["conditions"][0]["holds"]) == ("skipped", False)


def test_a_failure_may_be_mocked(flows):
    """A mock that fails is tried again as it would be."""
    found = tried("pay", "--event", '{"data": {"id": 7, "total": 20}, "type": "order"}',
                  "--mock", 'book={"fails": {"status": 503}}', flows=flows)  # fmt: skip

    (execution,) = found["executions"]
    assert (execution["state"], execution["error"]["status"]) == ("failed", 503)
    assert execution["steps"][0]["attempts"] == 3


def test_an_event_that_would_be_stopped_says_by_what(flows):
    """Nothing starts, and the condition shows its values."""
    found = tried("pay", "--event", '{"type": "order", "data": {"total": 5}}', flows=flows)

    assert (found["decision"], found["executions"]) == ("stopped", [])
    assert found["conditions"][0]["parts"] == [
        {"text": "event.data.total", "value": 5},
        {"text": "event.data.total > 10", "value": False},
    ]


def test_an_event_comes_from_a_file_or_from_stdin(flows, monkeypatch):
    """A map with a body has the fields of its trigger, one without is the data itself."""
    file = flows.parent / "event.json"
    file.write_text('{"headers": {"X-From": "me"}, "body": {"n": 1}}')
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"n": 2}'))

    named = tried("hook", "--event", str(file), "--trigger", "b", flows=flows)
    piped = tried("hook", "--event", "-", "--trigger", "a", flows=flows)

    logs = [found["executions"][0]["steps"][0]["output"] for found in (named, piped)]
    assert logs == ["b me 1", "a  2"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["try", "nope"], 4, "no flow"),
        (["try", "hook"], 2, "several triggers: --trigger a, b"),
        (["try", "hook", "--trigger", "c"], 4, "no trigger 'c': it has a, b"),
        (["try", "pay", "--event", "{"], 2, "is no JSON"),
        (["try", "pay", "--event", "nope.json"], 4, "there is no file nope.json"),
        (["try", "pay", "--event", "evt_5"], 4, ""),
        (["try", "pay", "--mock", "book"], 2, "give STEP=JSON"),
        (["try", "pay", "--mock", "nope=1"], 4, "no step 'nope' to mock: book"),
        (["try", "pay", "--mock", 'book={"fails": {"stats": 1}}'], 2, "--mock book"),
        (["replay", "--flow", "pay", "--since", "1h", "--dry-run"], 4, "nothing is stored in"),
        (["replay", "--flow", "pay"], 2, "--since"),
    ],
)
def test_what_cannot_be_tried_says_why(flows, arguments, code, words):
    """Each mistake of the command line has a place and a remedy."""
    ran = tell(*arguments, flows=flows)

    assert ran.code == code
    assert words in ran.err


# ---- events that are stored


@pytest.fixture
def state(flows):
    """A state folder with four events: one stopped, one booked at once, one later, one in error."""
    folder = flows.parent / "state"

    async def live():
        answers = {"book": (Mock(output={"status": 201}),)}
        clock = HandClock()
        store = await open_sqlite(folder, on_failure=refuse, clock=clock, threads=False)
        acting = Mocks(Catalog(), by_step(answers), lambda spec, _: made_up(spec))
        async with World(FLOW, store=store, clock=clock, acting=acting) as world:
            for total in (5, 20, 30, "many"):
                await world.advance("1m")
                data = {"id": total, "total": total}
                await world.offer("event", Received(type="order", data=data))
            await world.advance("2h")
        await store.close(clean=True)

    asyncio.run(live())
    return folder


def refuse(error):
    raise AssertionError(error)


SINCE = "2026-01-01T00:00:00Z"


def test_the_same_flow_would_do_the_same(flows, state):
    """Steps give what they gave then, so that nothing comes out otherwise."""
    ran = tell("replay", "--flow", "pay", "--since", SINCE, "--dry-run", flows=flows)

    assert ran.code == 0
    assert ran.lines[-1] == "0 of 4 events would come out otherwise"
    decisions = [line.split("  ")[2].partition(":")[0] for line in ran.lines[:-1]]
    assert decisions == ["stopped", "started, ok", "started, ok", "error"]


def test_a_diff_shows_what_an_edit_changes(flows, state):
    """Decisions, steps, inputs and outputs that differ, each on a line."""
    edited = FLOW.replace("> 10", "> 25").replace("booked", "entered")
    (flows / "pay.yaml").write_text(edited)

    ran = tell("replay", "--flow", "pay", "--since", SINCE, "--diff", flows=flows)

    assert ran.lines[-1] == "2 of 4 events would come out otherwise"
    assert "    started → stopped (only_if: event.data.total > 25)" in ran.lines
    changed = [line for line in ran.lines if "steps.note.input.text" in line]
    assert len(changed) == 1
    assert '"booked 30 for evt_' in changed[0]


def test_a_diff_for_programs(flows, state):
    """--json prints one event a line."""
    (flows / "pay.yaml").write_text(FLOW.replace("  - wait: 1h\n", "  - fail: on purpose\n"))

    ran = tell("replay", "--flow", "pay", "--since", SINCE, "--diff", "--json", flows=flows)

    found = [json.loads(line) for line in ran.lines]
    assert [one["before"]["states"] for one in found] == [["ok"], ["ok"]]
    assert found[0]["after"]["states"] == ["failed"]
    assert "ok → failed: on purpose" in found[0]["changes"]


@pytest.mark.parametrize(("decision", "count"), [("error", 1), ("stopped", 1), ("started", 2)])
def test_events_are_chosen_by_what_was_decided(flows, state, decision, count):
    """--decision takes those that the flow decided so."""
    ran = tell("replay", "--flow", "pay", "--since", SINCE, "--dry-run", "--json",
               "--decision", decision, flows=flows)  # fmt: skip

    assert [json.loads(line)["before"]["decision"] for line in ran.lines] == [decision] * count


def test_no_side_effect_and_nothing_written(flows, state):
    """A dry run leaves every event and execution as it was."""
    before = tell("replay", "--flow", "pay", "--since", SINCE, "--dry-run", flows=flows).out

    assert tell("replay", "--flow", "pay", "--since", SINCE, "--dry-run", flows=flows).out == before


def test_a_stored_event_may_be_tried(flows, state):
    """Its id stands for all that it brought."""
    dry = tell("replay", "--flow", "pay", "--since", SINCE, "--dry-run", "--json", flows=flows)
    event = json.loads(dry.lines[1])["event"]

    found = tried("pay", "--event", event, "--mock", 'book={"status": 201}', flows=flows)

    assert found["executions"][0]["steps"][0]["input"] == {"post": "http://books.test/", "json": 20}


def test_a_real_replay_asks_the_daemon(flows, state):
    """Without --dry-run each event is offered anew to the flow, and to no other."""
    (flows / "pay.yaml").write_text(FLOW.replace("flow: pay", "flow: hello"))
    with serving(state) as served:
        ran = tell("replay", "--flow", "hello", "--since", SINCE, "--json", flows=flows)

    assert ran.code == 0
    assert [asked[0] for asked in served.control.asked] == ["replay"] * 4
    assert all(json.loads(line)["executions"] for line in ran.lines)
