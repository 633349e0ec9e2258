"""A newcomer's first minutes: a webhook, a kill in the middle, and where to look."""

import json
import signal
from pathlib import Path
from typing import Any

from tests.system.conftest import eventually

HELLO = Path(__file__).parents[2] / "flows" / "hello.yaml"


def test_the_story_of_the_readme(daemon: Any) -> None:
    """The sample flow answers 202, its execution ends ok, its line is in the log."""
    daemon.flow("hello", HELLO.read_text())
    daemon.start()

    answer = daemon.post("/hello", {"name": "Ada"})

    assert answer.status == 202
    assert answer.headers["Reactor-Event"] == answer.json["event"]
    shown = daemon.ended(answer.json["execution"])
    assert (shown["state"], shown["flow"]) == ("ok", "hello")
    assert [step["status"] for step in shown["steps"]] == ["ok"]
    assert [run["execution"] for run in daemon.executions()] == [answer.json["execution"]]
    assert daemon.stop() == 0
    assert daemon.said("hello Ada")


def test_why_names_the_condition_and_what_it_saw(daemon: Any) -> None:
    """An event that started nothing is answered 204 with its id, and `why` explains it."""
    daemon.flow(
        "big",
        "flow: big\nwhen:\n  http: {path: /orders, verify: none}\n"
        "only_if: event.body.total > 1000 and event.body.paid\ndo: [{log: big}]\n",
    )
    daemon.start()

    answer = daemon.post("/orders", {"total": 7, "paid": True})

    assert answer.status == 204
    why = daemon.api.get("events", answer.headers["Reactor-Event"], "decisions")
    (decision,) = why["decisions"]
    assert (decision["flow"], decision["decision"]) == ("big", "stopped")
    assert decision["reason"] == "only_if: event.body.total > 1000 and event.body.paid"
    assert {"text": "event.body.total", "value": 7} in decision["detail"]


def test_why_still_knows_after_a_restart(daemon: Any) -> None:
    """What no flow wanted is written down once a second, and explained after a clean stop."""
    daemon.flow(
        "big",
        "flow: big\nwhen:\n  http: {path: /orders, verify: none}\n"
        "only_if: event.body.total > 1000\ndo: [{log: big}]\n",
    )
    daemon.start()
    event = daemon.post("/orders", {"total": 7}).headers["Reactor-Event"]
    assert daemon.stop() == 0
    daemon.start()

    why = daemon.api.get("events", event, "decisions")

    assert [decision["decision"] for decision in why["decisions"]] == ["stopped"]


def test_a_kill_in_the_middle_of_a_retry(daemon: Any, sink: Any) -> None:
    """After kill -9 the execution goes on where it was: no finished step runs twice."""
    sink.answers = [200, 503, 503]
    daemon.flow(
        "pay",
        f"""
flow: pay
when: {{http: {{path: /pay, verify: none}}}}
do:
  - id: first
    http: {{post: "{sink.url}/first", json: {{n: "${{{{ event.body.n }}}}"}}}}
  - id: second
    http: {{post: "{sink.url}/second"}}
    retry: {{max: 8, delay: 1s, factor: 1, jitter: none}}
  - id: third
    http: {{post: "{sink.url}/third"}}
""",
    )
    daemon.start()
    accepted = daemon.post("/pay", {"n": 1})
    sink.until("/second")
    daemon.kill()

    daemon.start()

    shown = daemon.ended(accepted.json["execution"])
    assert shown["state"] == "ok"
    assert [sink.count(path) for path in ("/first", "/third")] == [1, 1]
    assert sink.count("/second") >= 3
    assert len({h["idempotency-key"] for path, h, _ in sink.heard if path == "/second"}) == 1


def test_a_kill_while_a_step_is_under_way(daemon: Any, sink: Any) -> None:
    """A step that had not ended runs again with the same key, the ones before it do not."""
    daemon.flow(
        "slow",
        f"""
flow: slow
when: {{http: {{path: /slow, verify: none}}}}
do:
  - http: {{post: "{sink.url}/before"}}
  - id: slow
    http: {{post: "{sink.url}/slow"}}
""",
    )
    sink.held = "/slow"
    daemon.start()
    accepted = daemon.post("/slow", {})
    sink.until("/slow")
    daemon.kill()
    sink.release()

    daemon.start()

    assert daemon.ended(accepted.json["execution"])["state"] == "ok"
    assert (sink.count("/before"), sink.count("/slow")) == (1, 2)
    keys = [headers["idempotency-key"] for path, headers, _ in sink.heard if path == "/slow"]
    assert keys[0] == keys[1]


def test_ready_is_one_line_of_json(daemon: Any) -> None:
    """Where logs are JSON the line `ready` has the address and the number of flows."""
    daemon.flow("hello", HELLO.read_text())
    daemon.start()

    (ready,) = eventually(lambda: daemon.lines("ready"), "the line `ready`")

    assert (ready["listen"], ready["flows"]) == (daemon.address, 1)


def test_it_serves_with_nothing_to_serve(daemon: Any) -> None:
    """No folder of flows, an empty one, a broken file: ready, 200, and it is said."""
    daemon.flows.rmdir()
    daemon.start()
    assert daemon.get("/readyz").status == 200
    daemon.flows.mkdir()
    daemon.flow("bad", "flow: bad\nwhen: {httq: {}}\n")

    daemon.until("bad.yaml", "broken")

    assert daemon.get("/readyz").status == 200
    assert daemon.said("bad.yaml:2:")
    assert daemon.post("/nothing").status == 404


def test_startup_is_an_event(daemon: Any) -> None:
    """Each start of the daemon fires `startup` once."""
    daemon.flow("boot", "flow: boot\nwhen: {startup: {}}\ndo: [{log: booted}]\n")
    daemon.start()
    daemon.at_rest()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    daemon.start()

    daemon.at_rest()

    assert [run["state"] for run in daemon.executions(flow="boot")] == ["ok", "ok"]


def test_starting_and_emitting_over_the_api(daemon: Any) -> None:
    """`start` and `emit` answer with what they started, and it runs."""
    daemon.flow(
        "sum",
        "flow: sum\nwhen:\n  - call: {inputs: {a: {type: number}}}\n  - event: {type: sum.*}\n"
        "do: [{log: 'sum'}]\n",
    )
    daemon.start()

    by_hand = daemon.api.post("flows", "sum", "start", body={"inputs": {"a": 1}})
    emitted = daemon.api.post("events", body={"type": "sum.now", "data": {}, "id": "1"})
    again = daemon.api.post("events", body={"type": "sum.now", "data": {}, "id": "1"})

    assert json.dumps(again["executions"]) == json.dumps(emitted["executions"])
    assert again["duplicate"]
    for receipt in (by_hand, emitted):
        assert daemon.ended(receipt["executions"][0]["execution"])["state"] == "ok"
