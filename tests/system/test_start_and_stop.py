"""How the daemon starts, how it ends, and with which exit code."""

import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import eventually

SLOW = """
flow: slow
when: {{http: {{path: /slow, verify: none}}}}
do:
  - http: {{post: "{url}/slow"}}
  - http: {{post: "{url}/after"}}
"""
HI = "flow: hi\nwhen: {http: {path: /hi, verify: none}}\ndo: [{log: hi}]\n"


def test_a_drain_lets_running_steps_end(daemon: Any, sink: Any) -> None:
    """SIGTERM: requests get 503, /healthz lives, the step ends, the rest runs next time."""
    daemon.flow("slow", SLOW.format(url=sink.url))
    sink.held = "/slow"
    daemon.start()
    execution = daemon.post("/slow", {}).json["execution"]
    sink.until("/slow")

    daemon.signal(signal.SIGTERM)
    eventually(lambda: daemon.get("/readyz").status == 503, "it drains")
    refused = daemon.post("/slow", {})
    assert daemon.get("/healthz").status == 200
    sink.release()
    assert daemon.wait() == 0

    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0
    daemon.start()
    assert daemon.ended(execution)["state"] == "ok"
    assert (sink.count("/slow"), sink.count("/after")) == (1, 1)
    assert not (daemon.state / "listen.new").exists()


def test_a_second_signal_ends_at_once(daemon: Any, sink: Any) -> None:
    """Whoever sends SIGTERM twice does not wait; what was open is finished by the next start."""
    daemon.flow("slow", SLOW.format(url=sink.url))
    sink.held = "/slow"
    daemon.start()
    execution = daemon.post("/slow", {}).json["execution"]
    sink.until("/slow")
    daemon.signal(signal.SIGTERM)
    eventually(lambda: daemon.get("/readyz").status == 503, "it drains")

    daemon.signal(signal.SIGTERM)

    assert daemon.wait() == 1
    sink.release()
    daemon.start()
    assert daemon.ended(execution)["state"] == "ok"


def test_interrupt_is_a_clean_end(daemon: Any) -> None:
    """Ctrl-C drains too; exit 0, and the file with the address is gone."""
    daemon.start()

    daemon.signal(signal.SIGINT)

    assert daemon.wait() == 0
    assert not (daemon.state / "listen").exists()


def test_one_daemon_per_state_folder(daemon: Any) -> None:
    """A second one ends with 78 and says who is there; the first goes on."""
    daemon.start()
    first = daemon.process

    second = daemon.spawn("--listen", "127.0.0.1:0")

    assert second.wait(30) == 78
    assert daemon.said(f"is in use by process {first.pid}")
    daemon.process = first
    assert daemon.get("/readyz").status == 200


def test_a_taken_port_is_a_bad_setting(daemon: Any) -> None:
    """Exit 78, the address is named, and the store was closed cleanly."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        daemon.spawn("--listen", f"127.0.0.1:{port}")

        assert daemon.wait() == 78
        assert daemon.said(f"127.0.0.1:{port}")
    daemon.start()


def test_bad_settings_end_with_all_problems(daemon: Any) -> None:
    """Exit 78 and every problem of the file, with its place."""
    (daemon.folder / "reactor.yaml").write_text("serve: {}\nkeep: {ok: 7}\n")

    daemon.spawn()

    assert daemon.wait() == 78
    assert daemon.said("reactor.yaml:1:1")
    assert daemon.said("reactor.yaml:2:")


def test_a_state_folder_that_cannot_be_used(daemon: Any) -> None:
    """Exit 78 with the path and the remedy."""
    daemon.state.write_text("a file\n")

    daemon.spawn("--listen", "127.0.0.1:0")

    assert daemon.wait() == 78
    assert daemon.said("name a folder that this user may write with --state")


def test_a_damaged_store_is_not_touched(daemon: Any) -> None:
    """Exit 74, the file stays as it is, the remedy is said."""
    daemon.start()
    daemon.stop()
    database = daemon.state / "reactor.db"
    database.write_bytes(b"no database at all" * 1000)

    daemon.spawn("--listen", "127.0.0.1:0")

    assert daemon.wait() == 74
    assert daemon.said("nothing was changed")
    assert database.read_bytes() == b"no database at all" * 1000


@pytest.fixture
def notified(tmp_path: Path) -> Any:
    """A socket as systemd gives it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(tmp_path / "notify"))
        ours.settimeout(30)
        yield ours


def test_systemd_is_told(daemon: Any, notified: Any) -> None:
    """READY when it serves, WATCHDOG while it turns, RELOADING around a reload, STOPPING."""
    daemon.environ |= {
        "NOTIFY_SOCKET": notified.getsockname(),
        "WATCHDOG_USEC": "200000",
    }
    daemon.start()
    said = notified.recv(1000).decode()
    assert said.startswith("READY=1\nSTATUS=")
    assert daemon.address in said
    assert notified.recv(1000) == b"WATCHDOG=1"

    daemon.signal(signal.SIGHUP)
    heard = [notified.recv(1000).decode()]
    while not heard[-1].startswith("READY=1"):
        heard.append(notified.recv(1000).decode())
    daemon.signal(signal.SIGTERM)
    while heard[-1] != "STOPPING=1":
        heard.append(notified.recv(1000).decode())

    assert any(text.startswith("RELOADING=1\nMONOTONIC_USEC=") for text in heard)
    assert daemon.wait() == 0


def test_a_stalled_reader_of_the_log_stops_nothing(daemon: Any) -> None:
    """Where nobody reads the log's pipe the daemon serves, and ends when it is asked."""
    daemon.flow("hi", HI.replace("log: hi", "log: '${{ event.body }}'"))
    reading, writing = os.pipe()
    daemon.start(stdout=subprocess.DEVNULL, stderr=writing)
    os.close(writing)
    text = "x" * 10_000

    statuses = {daemon.post("/hi", text).status for _ in range(50)}

    assert statuses == {202}
    assert select.select([reading], [], [], 0)[0]
    daemon.at_rest()
    assert daemon.stop() == 0
    os.close(reading)


def test_a_flow_that_never_ends_does_not_hold_the_start(daemon: Any, sink: Any) -> None:
    """An execution that was cut off many times runs alone first, but the daemon gets ready."""
    daemon.flow("slow", SLOW.format(url=sink.url))
    sink.held = "/slow"
    daemon.start()
    execution = daemon.post("/slow", {}).json["execution"]
    for calls in range(1, 4):
        sink.until("/slow", calls)
        daemon.kill()
        if calls < 3:
            daemon.start()
    daemon.spawn("--listen", "127.0.0.1:0")
    eventually(lambda: daemon.said("runs alone"), "it runs alone")
    sink.release()

    eventually((daemon.state / "listen").exists, "the daemon is ready")

    assert daemon.ended(execution)["state"] == "ok"
