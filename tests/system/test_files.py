"""Files that start flows of a real daemon, which is killed in between."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from tests.system.conftest import eventually

FLOWS = Path(__file__).parents[2] / "flows"
KILLS = 3
FILES = 600

RELAY = """
flow: relay
when:
  file: {path: inbox/*.json, events: [created], settled: 50ms}
run: {max: 4}
do:
  - id: read
    file.read: {path: "${{ event.data.path }}"}
  - http:
      post: SINK/file
      json: {name: "${{ event.data.name }}", text: "${{ steps.read.output.text }}"}
    retry: {max: 20, delay: 50ms, factor: 1, jitter: none}
  - file.move: {from: "${{ event.data.path }}", to: "done/${{ event.data.name }}"}
"""

LOG = """
flow: errors
when:
  file: {path: logs/*.log, lines: true}
only_if: contains(event.data, "error")
do:
  - log: "${{ event.path }} ${{ event.number }} ${{ event.data }}"
"""


def started(daemon: Any, least: int) -> bool:
    """Whether so many executions are there."""
    return len(daemon.executions()) >= least


def test_the_sample_flow_files_away_what_is_dropped(daemon: Any) -> None:
    """It waits for a folder that is not there yet, reads, logs and moves."""
    daemon.flow("inbox", (FLOWS / "server" / "inbox.yaml").read_text())
    daemon.start()
    assert [source["state"] for source in daemon.api.get("sources")["items"]] == ["up"]

    (daemon.folder / "inbox").mkdir()
    (daemon.folder / "inbox" / "a.txt").write_text("hello")
    done = daemon.folder / "done" / "a.txt"
    eventually(done.exists, "the file is in done/")
    daemon.at_rest()

    assert [run["state"] for run in daemon.executions()] == ["ok"]
    assert daemon.said("a.txt, 5 bytes: hello")


def test_kills_lose_no_file_and_start_none_twice(daemon: Any, sink: Any) -> None:
    """Hundreds of files dropped while the daemon is killed: one execution each, all at the end."""
    daemon.flow("relay", RELAY.replace("SINK", sink.url))
    inbox = daemon.folder / "inbox"
    inbox.mkdir()
    for life in range(KILLS):
        daemon.start()
        for number in range(FILES // KILLS):
            (inbox / f"{life}-{number}.json").write_text(f"{life} {number}")
        sink.until("/file", life * 50 + 20)
        daemon.kill()
    daemon.start()
    eventually(lambda: not any(inbox.iterdir()), "the inbox is empty", 60)
    daemon.at_rest()

    runs = daemon.executions()
    heard = [json.loads(body) for _, _, body in sink.heard]
    assert len(runs) == FILES
    assert {run["state"] for run in runs} == {"ok"}
    assert len({one["name"] for one in heard}) == FILES
    assert all(one["text"] == one["name"].removesuffix(".json").replace("-", " ") for one in heard)
    assert len(heard) <= FILES + KILLS * 4
    assert len(list((daemon.folder / "done").iterdir())) == FILES


def test_kills_lose_no_line_and_start_none_twice(daemon: Any) -> None:
    """A log written and rotated while the daemon is killed: each wanted line once."""
    daemon.flow("errors", LOG)
    logs = daemon.folder / "logs"
    logs.mkdir()
    log, wanted = logs / "app.log", 0
    for life in range(KILLS):
        with log.open("a") as file:
            for number in range(300):
                file.write(f"error {life}-{number}\nfine\n")
        wanted += 300
        daemon.start()
        eventually(partial(started, daemon, wanted - 250), "some lines")
        daemon.kill()
        if life == 1:
            log.rename(logs / "app.log.1")
    daemon.start()
    eventually(lambda: len(daemon.executions()) >= wanted, "all lines")
    daemon.at_rest()

    events = [daemon.api.get("events", run["event"]) for run in daemon.executions()]
    assert set(Counter(event["data"] for event in events).values()) == {1}
    assert len(events) == wanted
