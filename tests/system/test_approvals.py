"""Approvals, waits and calls of a real daemon that is killed meanwhile."""

import json
import subprocess
import sys
from typing import Any

from tests.system.conftest import eventually

FLOWS = """
flow: deploy
when: {http: {path: /deploy, verify: none}}
do:
  - id: ask
    wait:
      approval: "Deploy ${{ event.body.tag }}?"
      form: {count: {type: integer}}
  - id: told
    wait: {when: {http: {path: /told, verify: none}, only_if: incoming.body.tag == event.body.tag}}
  - {id: sub, call: other, with: {count: "${{ steps.ask.output.count }}"}}
output: steps.sub.output
---
flow: other
when: {call: {inputs: {count: {type: integer}}}}
do: [{http: {post: "SINK/done", json: {count: "${{ event.data.count }}"}}}]
output: event.data.count + 1
"""


def reactor(daemon: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command against the daemon."""
    command = [sys.executable, "-m", "reactor", *arguments, "--state", "state"]
    environ = {"PYTHONPATH": str(sys.path[0]), "PATH": "/usr/bin:/bin", **daemon.environ}
    return subprocess.run(
        command, cwd=daemon.folder, env=environ, capture_output=True, text=True, check=False
    )


def waits(daemon: Any, execution: str, reason: str) -> bool:
    """Whether an execution waits for this."""
    found = daemon.api.get("executions", execution)
    return bool(found["state"] == "waiting" and found["reason"] == reason)


def test_a_person_approves_over_the_command_line(daemon: Any, sink: Any) -> None:
    """What waits is listed, survives kills, and goes on with the answer, the event, the call."""
    daemon.flow("deploy", FLOWS.replace("SINK", sink.url))
    daemon.start()
    execution = daemon.post("/deploy", {"tag": "v1"}).json["execution"]
    eventually(lambda: waits(daemon, execution, "approval"), "it waits for a person")
    daemon.kill()
    daemon.start()

    listed = json.loads(reactor(daemon, "approve", "--json").stdout)
    early = daemon.post("/told", {"tag": "v1"})
    refused = reactor(daemon, "approve", execution)
    said = reactor(daemon, "approve", execution, "--set", "count=4", "--json")
    daemon.kill()
    daemon.start()

    assert (listed["execution"], listed["question"]) == (execution, "Deploy v1?")
    assert early.status == 202
    assert early.json["held"] == ["deploy"]
    assert (refused.returncode, said.returncode) == (2, 0)
    assert json.loads(said.stdout)["approved"] is True
    assert daemon.ended(execution)["state"] == "ok"
    assert sink.count("/done") == 1
    assert reactor(daemon, "deny", execution).returncode == 4
