"""A disk that fills up: senders are told to come back, nothing that was accepted is lost."""

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proof.disks import fill
from tests.system.conftest import Daemon, eventually

HOOK = "flow: hook\nwhen: {http: {path: /hook, verify: none}}\ndo: [{log: hi}]\n"


class Sender:
    """Sends events with ids of their own, what was not acknowledged before anything new."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._numbers = iter(range(1_000_000))
        self._again: list[str] = []
        self.accepted: dict[str, str] = {}

    def send(self, size: int = 1000) -> int | None:
        """The status of one event; None when there was no answer."""
        id_ = self._again.pop() if self._again else str(next(self._numbers))
        try:
            answer = self._daemon.post("/hook", {"fill": "x" * size}, Idempotency_Key=id_)
        except OSError:
            self._again.append(id_)
            return None
        if answer.status in (200, 202):
            self.accepted[id_] = answer.json["execution"]
        else:
            self._again.append(id_)
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status


def test_a_nearly_full_disk_refuses_events(daemon: Daemon) -> None:
    """Below `min_free` a webhook is answered 503 with Retry-After; with room again 202."""
    daemon.flow("hook", HOOK)
    daemon.environ["REACTOR_STORE_MIN_FREE"] = "900TiB"
    daemon.start()
    refused = daemon.post("/hook", {})
    assert daemon.get("/readyz").status == 200
    daemon.stop()
    daemon.environ["REACTOR_STORE_MIN_FREE"] = "1MiB"
    daemon.start()

    accepted = daemon.post("/hook", {})

    assert (refused.status, accepted.status) == (503, 202)
    assert int(refused.headers["Retry-After"]) > 0


@pytest.fixture
def small_disk(daemon: Daemon) -> Iterator[Path]:
    """The daemon's state folder on a disk of 48 MiB."""
    daemon.state.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs", str(daemon.state)],
        check=False,
    )
    if made.returncode != 0:
        # Not root: the same by quota of the process is tested below.
        yield Path()
        return
    yield daemon.state
    daemon.end()
    subprocess.run(["umount", str(daemon.state)], check=True)


def test_a_full_disk_is_survived(daemon: Daemon, small_disk: Path) -> None:
    """Filled and freed several times: 503 while it is full, 202 after, all accepted ones run."""
    if small_disk == Path():
        return
    daemon.flow("hook", HOOK)
    daemon.environ["REACTOR_STORE_MIN_FREE"] = "4MiB"
    daemon.start()
    daemon.patience_secs = 2
    sender = Sender(daemon)
    filler = daemon.state / "filler"
    for _ in range(2):
        assert sender.send() in (200, 202)
        fill(filler)
        eventually(lambda: sender.send() == 503, "the disk is full")
        assert daemon.get("/healthz").status == 200
        filler.unlink()
        eventually(lambda: sender.send() in (200, 202), "there is room again")

    daemon.at_rest()

    runs = {run["execution"]: run["state"] for run in daemon.executions()}
    assert {runs.get(execution) for execution in sender.accepted.values()} == {"ok"}
    assert runs.keys() == set(sender.accepted.values())
    assert daemon.stop() == 0


def test_a_file_that_may_not_grow(daemon: Daemon) -> None:
    """A write that fails otherwise is exit 74; what was accepted is there at the next start."""
    daemon.flow("hook", HOOK)
    limit = 6 << 20
    daemon.start(
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    daemon.patience_secs = 5
    sender = Sender(daemon)
    statuses = [sender.send(100_000)]
    while statuses[-1] == 202 and len(statuses) < 200:
        statuses.append(sender.send(100_000))
    assert daemon.wait() == 74

    daemon.patience_secs = 30
    daemon.start()
    daemon.at_rest()

    runs = {run["execution"]: run["state"] for run in daemon.executions()}
    assert 5 < len(sender.accepted) < 200
    assert {runs.get(execution) for execution in sender.accepted.values()} == {"ok"}
    assert sender.send(100_000) in (200, 202)  # the one without an answer, which may be there
