"""A small disk that fills up and is freed, again and again, under load."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proof.judge import expect, read, verdict
from tests.proof.offers import Client, History
from tests.proof.report import Figures
from tests.system.conftest import Daemon

CLIENTS = 4
PATHS = {"/hook": 1}
FLOWS = """
flow: hook
when: {http: {path: /hook, verify: none, max_body: 4MiB}}
run: {max: 16}
do: [{set: {seen: {key: event.body.id, value: event.body.number}}}, {log: hi}]
"""
SIZE = "48m"
MIN_FREE = "4MiB"
MOST_SECS = 10.0  # on any machine; the report says how long it took


@contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """A disk of its own at a place; False where this user may not mount one."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(place)]
    mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


def fill(file: Path) -> None:
    """Take all the room that there is."""
    with file.open("wb", buffering=0) as filler:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue


def full_disk(folder: Path, *, times: int) -> Figures | None:
    """Fill and free so often, and how long 503 and 202 take then; None where no disk is had."""
    began = time.monotonic()
    daemon, history = Daemon(folder), History()
    with small_disk(daemon.state) as mounted:
        if not mounted:
            return None
        daemon.flow("hook", FLOWS)
        daemon.environ["REACTOR_STORE_MIN_FREE"] = MIN_FREE
        daemon.start()
        try:
            refused, back = asyncio.run(_fill_and_free(daemon, history, times))
            daemon.at_rest(60)
            assert daemon.stop() == 0
        finally:
            daemon.end()
        kept = read(daemon.state)
        found = verdict(history, kept)
        # With no room left the oldest history goes: what ran is told by what it left behind.
        gone, found["lost"] = found["lost"], len(history.accepted.keys() - kept.by_key("seen"))
        numbers = {
            "times": times,
            "accepted": len(history.accepted),
            "answers 503": history.refused[503],
            "slowest 503 in s": max(refused),
            "slowest way back in s": max(back),
            "history dropped for room": gone,
            **found,
        }
    expect(numbers, lost=0, unexpected=0, contradictions=0, open=0, not_ok=0, dead_letters=0)
    assert set(history.refused) <= {503}, history.refused
    assert max(refused + back) < MOST_SECS, numbers
    return Figures("full disk, filled and freed", numbers, time.monotonic() - began)


async def _fill_and_free(
    daemon: Daemon, history: History, times: int
) -> tuple[list[float], list[float]]:
    clients = [Client(number, history, PATHS, 200) for number in range(CLIENTS)]
    sending = [asyncio.create_task(client.send(daemon.address)) for client in clients]
    filler, refused, back = daemon.state / "filler", list[float](), list[float]()
    for _ in range(times):
        await _grows(lambda: len(history.accepted), 20)
        await asyncio.to_thread(fill, filler)
        refused.append(await _grows(lambda: history.refused[503], 1))
        # Every client is refused while it is full, the ones whose write had begun too.
        await _grows(lambda: history.refused[503], CLIENTS)
        filler.unlink()
        back.append(await _grows(lambda: len(history.accepted), 1))
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    # What is under way when the clients go is unknown to them: they ask once more.
    await asyncio.gather(*(client.send(daemon.address, most=3) for client in clients))
    return refused, back


async def _grows(count: Callable[[], int], by: int, limit_secs: float = 15.0) -> float:
    """Wait until there are so many more; after how many seconds that was."""
    began, least = time.monotonic(), count() + by
    while count() < least:
        assert time.monotonic() - began < limit_secs, "it does not go on"
        await asyncio.sleep(0.002)
    return time.monotonic() - began
