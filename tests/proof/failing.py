"""A disk that fails at one call: a sync with an error, or a write that gets half through."""

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.proof.disk import compiled, environment
from tests.proof.judge import expect, read, verdict
from tests.proof.offers import Client, History
from tests.proof.report import Figures
from tests.system.conftest import Daemon

CLIENTS = 4
PATHS = {"/hook": 1}
LARGE_EVERY = 9
FLOWS = """
flow: hook
when: {http: {path: /hook, verify: none, max_body: 4MiB}}
run: {max: 16}
do:
  - set: {last: event.body.id}
  - file.list: {path: flows}
"""
MOST_EVENTS = 2_000  # of a client in one life: the call that fails comes much sooner
EX_IOERR = 74


def failing_disk(folder: Path, fault: str, *, calls: Iterable[int]) -> Figures:
    """Let the Nth call fail for each N: exit 74, and nothing acknowledged is lost."""
    began = time.monotonic()
    library, daemon, history = compiled(folder), Daemon(folder), History()
    daemon.flow("hook", FLOWS)
    clients = [Client(number, history, PATHS, LARGE_EVERY) for number in range(CLIENTS)]
    ends: Counter[str] = Counter()
    try:
        for call in calls:
            daemon.environ |= environment(library, daemon.state, PROOF_FAIL=f"{fault}:{call}")
            when = "at boot"
            try:
                daemon.start()
            except AssertionError:
                pass
            else:
                when = "under load"
                asyncio.run(_load(daemon, clients))
            code = _exit(daemon)
            assert code == EX_IOERR, (
                f"{code} after {fault} {call}: {daemon.log.read_text()[-4000:]}"
            )
            ends[when] += 1
        for name in ("LD_PRELOAD", "PROOF_FOLDER", "PROOF_FAIL"):
            del daemon.environ[name]
        daemon.start()
        daemon.at_rest(600)
        assert daemon.stop() == 0
    finally:
        daemon.end()
    numbers = {
        "exits 74": sum(ends.values()),
        **ends,
        "accepted": len(history.accepted),
        "unknown": len(history.unknown),
        **verdict(history, read(daemon.state)),
    }
    expect(numbers, lost=0, unexpected=0, contradictions=0, open=0, not_ok=0, dead_letters=0)
    what = "sync that fails" if fault == "sync" else "write that gets half through"
    return Figures(f"{what}, at the Nth call", numbers, time.monotonic() - began)


async def _load(daemon: Daemon, clients: list[Client]) -> None:
    sends = [client.send(daemon.address, most=MOST_EVENTS) for client in clients]
    ends = await asyncio.gather(*sends, return_exceptions=True)
    wrong = [end for end in ends if end is not None and not isinstance(end, OSError)]
    assert not wrong, f"the clients did not understand an answer: {wrong}"


def _exit(daemon: Daemon) -> int | str:
    try:
        return daemon.wait()
    except subprocess.TimeoutExpired:
        return "no end"
