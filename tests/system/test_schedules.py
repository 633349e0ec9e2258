"""Schedules of a real daemon that is killed: each due time once."""

import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

FLOW = """
flow: tick
when: {schedule: {every: 1s, missed: all}}
do:
  - http: {post: "SINK/tick", json: {due: "${{ event.data.due }}"}}
"""


def test_kills_lose_no_due_time_and_repeat_none(daemon: Any, sink: Any) -> None:
    """After three kills the due times of all executions are every second, each once."""
    daemon.flow("tick", FLOW.replace("SINK", sink.url))
    for life in range(1, 4):
        daemon.start()
        sink.until("/tick", life * 2)
        daemon.kill()
    daemon.start()
    sink.until("/tick", 8)
    daemon.at_rest()

    heard = {json.loads(body)["due"] for _, _, body in list(sink.heard)}
    times = sorted(datetime.fromisoformat(due) for due in heard)
    steps = {later - former for former, later in pairwise(times)}
    assert steps == {timedelta(seconds=1)}
    assert len(daemon.executions()) >= len(times)
    assert len({run["event"] for run in daemon.executions()}) == len(daemon.executions())
