"""Flow files change while the daemon runs."""

import signal
from contextlib import closing
from http.client import HTTPConnection
from threading import Event, Thread
from typing import Any

GREET = "flow: {name}\nwhen: {{http: {{path: {path}, verify: none}}}}\ndo: [{{log: {text}}}]\n"


def greet(name: str, text: str = "hi", path: str | None = None) -> str:
    """A flow that logs a word for each request."""
    return GREET.format(name=name, text=text, path=path or f"/{name}")


def test_files_come_change_and_go(daemon: Any) -> None:
    """A new file serves, a changed one runs the new steps, a removed one is gone."""
    daemon.start()
    file = daemon.flow("one", greet("one", "first"))
    daemon.until("one", "on")
    daemon.ended(daemon.post("/one", {}).json["execution"])

    daemon.flow("one", greet("one", "second"))
    wait_for_loads(daemon, 2)
    daemon.ended(daemon.post("/one", {}).json["execution"])
    file.unlink()
    daemon.until("one", None)

    assert daemon.post("/one", {}).status == 404
    daemon.stop()
    assert daemon.said("first")
    assert daemon.said("second")


def test_a_broken_file_keeps_its_last_good_version(daemon: Any) -> None:
    """The flow goes on as it was, is `stale`, also after a restart, and is on when repaired."""
    daemon.flow("one", greet("one"))
    daemon.start()
    daemon.flow("one", greet("one").replace("do:", "does:"))
    daemon.until("one", "stale")
    assert daemon.post("/one", {}).status == 202
    assert "one.yaml:1:1: do is missing" in str(daemon.api.get("doctor"))
    daemon.stop()
    daemon.start()
    assert daemon.flow_states() == {"one": "stale"}
    assert daemon.post("/one", {}).status == 202

    daemon.flow("one", greet("one", "again"))
    daemon.until("one", "on")

    assert daemon.post("/one", {}).status == 202


def test_a_file_that_never_loaded_is_broken(daemon: Any) -> None:
    """It is shown by its path, its neighbours serve, and it serves once it is repaired."""
    daemon.flow("bad", "flow: bad\n")
    daemon.flow("good", greet("good"))
    daemon.start()
    assert daemon.flow_states() == {"bad.yaml": "broken", "good": "on"}

    daemon.flow("bad", greet("bad"))
    daemon.until("bad", "on")

    assert daemon.post("/bad", {}).status == 202


def test_a_conflict_is_a_problem_of_the_later_file(daemon: Any) -> None:
    """The second flow of a name waits, also over a restart, until the first one is gone."""
    first = daemon.flow("zebra", greet("same", "first"))
    daemon.start()
    daemon.flow("ant", greet("same", "second"))
    daemon.until("ant.yaml", "broken")
    assert daemon.said("two flows are called 'same', the first in zebra.yaml")
    daemon.stop()
    daemon.start()
    assert daemon.flow_states() == {"ant.yaml": "broken", "same": "on"}

    first.unlink()
    daemon.until("ant.yaml", None)

    assert daemon.flow_states() == {"same": "on"}
    daemon.ended(daemon.post("/same", {}).json["execution"])
    daemon.stop()
    assert daemon.said("second")


def test_two_files_may_swap_their_flows(daemon: Any) -> None:
    """What changes at once is judged at once."""
    daemon.flow("a", greet("x"))
    daemon.flow("b", greet("y"))
    daemon.start()
    daemon.flow("a", greet("y"))
    daemon.flow("b", greet("x"))

    reloaded = daemon.api.post("reload")

    assert reloaded["problems"] == []
    where = {flow["flow"]: flow["file"] for flow in daemon.api.get("flows")["items"]}
    assert where == {"x": "b.yaml", "y": "a.yaml"}


def test_a_call_finds_a_flow_of_a_later_file(daemon: Any) -> None:
    """The order of the files does not matter for who calls whom."""
    daemon.flow("a", "flow: a\nwhen: {call: {}}\ndo: [{call: z}]\n")
    daemon.flow("z", "flow: z\nwhen: {call: {}}\ndo: [{log: hi}]\n")
    daemon.start()

    problems = daemon.api.post("reload")["problems"]

    assert not [problem for problem in problems if "no flow is called" in problem["message"]]


def test_unchanged_flows_are_not_touched(daemon: Any) -> None:
    """Under load 50 reloads of neighbours and of its own steps lose no request of a route."""
    daemon.flow("steady", greet("steady"))
    daemon.flow("changing", greet("changing", "v0"))
    daemon.start()
    began = {source["id"]: source for source in daemon.api.get("sources")["items"]}
    statuses: list[int] = []
    enough = Event()

    def load() -> None:
        with closing(HTTPConnection(daemon.address, timeout=30)) as connection:
            while not enough.is_set():
                for path in ("/steady", "/changing"):
                    connection.request("POST", path, b"{}", {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    statuses.append(answer.status)

    loads = [Thread(target=load) for _ in range(2)]
    for thread in loads:
        thread.start()

    for number in range(25):
        daemon.flow("changing", greet("changing", f"v{number + 1}"))
        daemon.flow("other", greet(f"other-{number}"))
        daemon.api.post("reload")
        (daemon.flows / "other.yaml").unlink()
        text = greet("changing").replace("verify: none", "verify: none, max_body: 2MiB")
        daemon.flow("changing", text)
        daemon.api.post("reload")
    enough.set()
    for thread in loads:
        thread.join()

    assert set(statuses) == {202}
    after = {source["id"]: source for source in daemon.api.get("sources")["items"]}
    assert after.keys() == began.keys()
    daemon.at_rest()
    assert len(daemon.executions()) == len(statuses)


def test_a_flow_that_joins_a_route_does_not_restart_it(daemon: Any) -> None:
    """A flow that sorts before the first one shares its source; removing the first keeps it."""
    first = daemon.flow("m", greet("m", path="/shared"))
    daemon.start()

    daemon.flow("a", greet("a", path="/shared"))
    daemon.until("a", "on")
    both = daemon.post("/shared", {}).json
    first.unlink()
    daemon.until("m", None)
    daemon.flow("a", greet("a", path="/shared").replace("none", "none, body: json"))
    wait_for_loads(daemon, 4)

    assert len(both["executions"]) == 2
    assert daemon.post("/shared", {}).status == 202


def test_sighup_reads_everything_again(daemon: Any) -> None:
    """SIGHUP serves what the folder says, without a restart."""
    daemon.start()
    daemon.flow("one", greet("one"))

    daemon.signal(signal.SIGHUP)

    daemon.until("one", "on")
    assert daemon.get("/readyz").status == 200


def test_a_pause_is_kept(daemon: Any) -> None:
    """A paused flow takes nothing, also after kill -9, until it is resumed."""
    daemon.flow("one", greet("one"))
    daemon.start()
    daemon.api.post("flows", "one", "pause")
    daemon.kill()
    daemon.start()
    assert daemon.flow_states() == {"one": "paused"}
    assert daemon.post("/one", {}).status == 404

    daemon.api.post("flows", "one", "resume")

    assert daemon.post("/one", {}).status == 202


def test_an_execution_keeps_its_version(daemon: Any, sink: Any) -> None:
    """What began before a reload ends with the steps it began with; new ones take the new steps."""
    text = "flow: f\nwhen: {{http: {{path: /f, verify: none}}}}\ndo:\n  - http: {{post: {0}/one}}\n"
    daemon.flow("f", text.format(sink.url) + f"  - http: {{post: {sink.url}/old}}\n")
    sink.held = "/one"
    daemon.start()
    old = daemon.post("/f", {}).json["execution"]
    sink.until("/one")
    daemon.flow("f", text.format(sink.url) + f"  - http: {{post: {sink.url}/new}}\n")
    wait_for_loads(daemon, 2)
    daemon.kill()
    sink.release()
    daemon.start()

    daemon.ended(old)
    daemon.ended(daemon.post("/f", {}).json["execution"])

    assert (sink.count("/old"), sink.count("/new")) == (1, 1)


def wait_for_loads(daemon: Any, count: int) -> None:
    """Wait until flows were loaded so often since the log began."""
    from tests.system.conftest import eventually

    eventually(lambda: len(daemon.lines("flows loaded")) >= count, f"{count} loads")
