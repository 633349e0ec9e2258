"""`make soak`: a million events and a hundred thousand sleepers, with reloads and kills.

`python -m tests.proof.soak [--events N] [--sleepers N] [--kill-every N]` prints a line every ten
seconds and a report at the end.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from msgspec import Struct, field

from reactor.cli.client import Client as Api
from reactor.errors import ReactorError
from tests.proof.judge import expect, read, verdict
from tests.proof.offers import Client, History
from tests.proof.report import Figures, table
from tests.system.conftest import Daemon

CLIENTS = 16
FLOWS = """
flow: keep
when: {http: {path: /keep, verify: none}}
run: {max: 64}
do:
  - set:
      kept: {key: event.body.client, value: "(state.kept[event.body.client] | default(0)) + 1"}
  - map: {over: "[event.body.id]", to: "${{ item }}"}
---
flow: nap
when: {http: {path: /nap, verify: none}}
run: {max: 64}
do:
  - wait: NAP
  - set:
      rested: {key: event.body.client, value: "(state.rested[event.body.client] | default(0)) + 1"}
"""
OTHER = "flow: other\nwhen: {{event: {{type: never}}}}\ndo: [log: {number}]\n"
REPORT_SECS = 10.0
RELOAD_EVERY = 5  # reports
MOST_SLOPE_MB = 1.0  # for 100,000 events


class Look(Struct):
    """One look at the daemon."""

    events: int
    resident_mb: float
    files: int
    database_mb: float
    lag_ms: float


class Soak(Struct):
    """What is asked for, and what was seen."""

    events: int
    sleepers: int
    kill_every: int
    history: History = field(default_factory=History)
    lives: list[list[Look]] = field(default_factory=list)
    kills: int = 0
    reloads: int = 0


def look(daemon: Daemon, events: int) -> Look:
    """How large the process and its store are now, and how late an answer of it comes."""
    assert daemon.process is not None
    process = Path(f"/proc/{daemon.process.pid}")
    pages = int((process / "statm").read_text().split()[1])
    began = time.monotonic()
    daemon.get("/healthz")
    lag_ms = (time.monotonic() - began) * 1000
    size = sum(file.stat().st_size for file in daemon.state.glob("reactor.db*"))
    return Look(
        events, pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(list((process / "fd").iterdir())),
        size / 1e6, lag_ms,
    )  # fmt: skip


def slope_mb(lives: list[list[Look]]) -> float:
    """Megabytes for each 100,000 events, over the longest life, its first third left out."""
    longest = max(lives, key=len)
    steady = longest[len(longest) // 3 :]
    if len(steady) < 3 or steady[-1].events == steady[0].events:
        return 0.0
    mean_x = sum(one.events for one in steady) / len(steady)
    mean_y = sum(one.resident_mb for one in steady) / len(steady)
    over = sum((one.events - mean_x) * (one.resident_mb - mean_y) for one in steady)
    under = sum((one.events - mean_x) ** 2 for one in steady)
    return over / under * 100_000


def soak(folder: Path, asked: Soak) -> Figures:
    """Offer everything, kill and reload on the way, wait for the sleepers, and count."""
    began = time.monotonic()
    daemon = Daemon(folder)
    # Long enough that all of them sleep at once, for a machine that takes 500 events a second.
    nap_secs = max(20, asked.events // 500)
    daemon.flow("load", FLOWS.replace("NAP", f"{nap_secs}s"))
    share = max(1, round(100 * asked.sleepers / asked.events))
    paths = {"/keep": 100 - share, "/nap": share}
    clients = [Client(number, asked.history, paths, 0) for number in range(CLIENTS)]
    chance = random.Random(5)
    try:
        while len(asked.history.accepted) < asked.events:
            daemon.start()
            asked.lives.append([])
            asyncio.run(_live(daemon, clients, asked, chance, began))
            if len(asked.history.accepted) < asked.events:
                daemon.kill()
                asked.kills += 1
        daemon.at_rest(nap_secs * 3 + 120)
        last = look(daemon, len(asked.history.accepted))
        doctor = str(daemon.api.get("doctor"))
        assert daemon.stop() == 0
    finally:
        daemon.end()
    kept = read(daemon.state)
    looks = [one for life in asked.lives for one in life]
    numbers = {
        "accepted": len(asked.history.accepted),
        "sleepers": sum(row.flow == "nap" for row in kept.executions.values()),
        "kills": asked.kills,
        "reloads": asked.reloads,
        "unknown": len(asked.history.unknown),
        **verdict(asked.history, kept),
        "counted wrong": abs(
            sum(kept.by_key("kept").values())
            + sum(kept.by_key("rested").values())
            - len(kept.executions)
        ),
        "had no owner": int("had no owner" in doctor),
        "memory slope in MB per 100,000": slope_mb(asked.lives),
        "memory at most in MB": max(one.resident_mb for one in looks),
        "open files": last.files,
        "database in MB": last.database_mb,
        "lag at most in ms": max(one.lag_ms for one in looks),
        "events a second": len(asked.history.accepted) / (time.monotonic() - began),
    }
    expect(
        numbers, lost=0, unexpected=0, contradictions=0, open=0, not_ok=0, dead_letters=0,
        counted_wrong=0, had_no_owner=0,
    )  # fmt: skip
    return Figures("soak", numbers, time.monotonic() - began)


async def _live(
    daemon: Daemon, clients: list[Client], asked: Soak, chance: random.Random, began: float
) -> None:
    """Until all is accepted, or it is time for a kill."""
    history = asked.history
    until = len(history.accepted) + round(asked.kill_every * chance.uniform(0.5, 1.5))
    sending = [asyncio.create_task(client.send(daemon.address)) for client in clients]
    ticks = 0
    while len(history.accepted) < min(until, asked.events):
        assert not history.refused, f"the daemon answers {dict(history.refused)}"
        await asyncio.sleep(REPORT_SECS / 10)
        ticks += 1
        if ticks % 10:
            continue
        seen = await asyncio.to_thread(look, daemon, len(history.accepted))
        asked.lives[-1].append(seen)
        _tell(seen, asked, began)
        if ticks % (10 * RELOAD_EVERY) == 0:
            asked.reloads += 1
            await asyncio.to_thread(_reload, daemon, asked.reloads)
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    if len(history.accepted) >= asked.events:
        asked.lives[-1].append(await asyncio.to_thread(look, daemon, len(history.accepted)))


def _reload(daemon: Daemon, number: int) -> None:
    daemon.flow("other", OTHER.format(number=number))
    with suppress(ReactorError, OSError):
        Api(daemon.state).post("reload")


def _tell(seen: Look, asked: Soak, began: float) -> None:
    secs = time.monotonic() - began
    sys.stdout.write(
        f"{secs:6.0f} s  {seen.events:9,} events  {seen.events / secs:6.0f}/s  "
        f"{seen.resident_mb:6.1f} MB  {seen.files:4} files  {seen.database_mb:7.1f} MB on disk  "
        f"lag {seen.lag_ms:6.1f} ms  {asked.kills} kills  {asked.reloads} reloads\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Read the sizes, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--sleepers", type=int, default=100_000)
    parser.add_argument("--kill-every", type=int, default=200_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = soak(Path(place), Soak(given.events, given.sleepers, given.kill_every))
    sys.stdout.write(f"\n{figures.line()}\n\n{table([figures])}\n")
    slope = figures.numbers["memory slope in MB per 100,000"]
    if slope >= MOST_SLOPE_MB:
        sys.exit(f"memory grows by {slope:.2f} MB for 100,000 events")


if __name__ == "__main__":
    main()
