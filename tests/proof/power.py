"""Power cuts: what a daemon wrote is cut off anywhere, and opened by its own recovery."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from sqlite3 import Connection

from msgspec import Struct

from reactor.clock import SystemClock
from reactor.errors import ReactorError
from reactor.store.codec import decode
from reactor.store.sqlite import open_sqlite
from tests.proof.disk import Disk, changes, compiled, environment, lay_out
from tests.proof.report import Figures

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
# Each table that may name a file in blobs/, and its column.
_FILES = (("events", "body"), ("executions", "journal"), ("steps", "entries"))


class Acknowledged(Struct, frozen=True):
    """What a process had said to its callers when the power went."""

    events: frozenset[tuple[int, int, str]]
    ended: frozenset[int]

    @classmethod
    def of(cls, text: bytes) -> "Acknowledged":
        """Read whole lines: `accepted EVENT EXECUTION IDENTITY` and `ended EXECUTION`."""
        events, ended = set(), set()
        for line in text.decode().splitlines():
            word, *rest = line.split()
            if word == "accepted":
                events.add((int(rest[0]), int(rest[1]), rest[2]))
            elif word == "ended":
                ended.add(int(rest[0]))
        return cls(frozenset(events), frozenset(ended))


def power_cuts(folder: Path, *, variant: str, images: int, runs: int, events: int) -> Counter[str]:
    """How many images lost something acknowledged, or are not of one piece; why, in words."""
    library, found = compiled(folder), Counter[str]()
    for run in range(runs):
        log, state = folder / f"log{run}", folder / f"state{run}"
        subprocess.run(
            [sys.executable, "-m", "tests.proof.writing", state, variant, str(run), str(events)],
            cwd=ROOT,
            env={**os.environ, **environment(library, state, PROOF_LOG=str(log))},
            check=True,
        )
        found += _cut(log, state, random.Random(run), images // runs)
        log.unlink()
        shutil.rmtree(state)
    return found


def _cut(log: Path, state: Path, chance: random.Random, images: int) -> Counter[str]:
    """Images at random moments of one run, in order, so that the log is replayed once."""
    every, disk, found = changes(log), Disk(state), Counter[str]()
    moments = sorted(chance.randrange(len(every)) for _ in range(images))
    place = 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as room:
        for number, moment in enumerate(moments):
            for change in every[place:moment]:
                disk.take(change)
            place = moment
            image = Path(room) / str(number)
            lay_out(disk.image(chance), image)
            faults = asyncio.run(_faults(image, Acknowledged.of(bytes(disk.acknowledged))))
            found["images"] += 1
            found["acknowledged"] = max(found["acknowledged"], disk.acknowledged.count(b"\n"))
            found["bad images"] += bool(faults)
            found.update(faults)
            shutil.rmtree(image)
    return found


async def _faults(image: Path, acknowledged: Acknowledged) -> list[str]:
    """What is wrong with an image after our own recovery, each kind once."""
    try:
        store = await open_sqlite(image, on_failure=_refuse, clock=SystemClock(), threads=False)
    except ReactorError:
        return ["does not open"]
    try:
        return sorted(set(_wrong(store._connection, image, acknowledged)))
    finally:
        store._connection.execute("PRAGMA synchronous = off")
        await store.close(clean=True)


def _wrong(connection: Connection, image: Path, acknowledged: Acknowledged) -> list[str]:
    rows = dict(connection.execute("SELECT id, state FROM executions").fetchall())
    events = {row[0] for row in connection.execute("SELECT id FROM events")}
    names = {row[0] for row in connection.execute("SELECT identity FROM identities")}
    counted = connection.execute("SELECT value FROM state WHERE name = 'kept'").fetchall()
    keeps = connection.execute("SELECT count(*) FROM executions WHERE flow = 'keep'").fetchone()[0]
    files = [
        name
        for table, column in _FILES
        for (name,) in connection.execute(
            f"SELECT {column} FROM {table} WHERE typeof({column}) = 'text'"
        )
    ]
    checks = {
        "lost events": any(
            event not in events or execution not in rows or identity not in names
            for event, execution, identity in acknowledged.events
        ),
        "lost ends": any(rows.get(execution, 0) < 3 for execution in acknowledged.ended),
        "executions without event": connection.execute(
            "SELECT count(*) FROM executions WHERE event NOT IN (SELECT id FROM events)"
        ).fetchone()[0],
        "files missing": any(not (image / "blobs" / name).exists() for name in files),
        # The first step counts in `state` within the commit that stores the event.
        "torn commits": sum(decode(value) for (value,) in counted) != keeps,
    }
    return [name for name, wrong in checks.items() if wrong]


def cuts(folder: Path, *, images: int, runs: int, events: int = 400) -> Figures:
    """Cut the power so often; nothing acknowledged is lost, and every image opens."""
    began = time.monotonic()
    found = power_cuts(folder, variant="full", images=images, runs=runs, events=events)
    numbers = {name: found[name] for name in ("images", "bad images", "lost events", "lost ends")}
    assert not found["bad images"], found
    return Figures("power cuts", numbers, time.monotonic() - began)


def control(folder: Path, variant: str, *, images: int, runs: int = 1) -> Figures:
    """The same with a fault: it must be found."""
    began = time.monotonic()
    found = power_cuts(folder, variant=variant, images=images, runs=runs, events=300)
    assert found["bad images"], f"{variant} was not caught"
    numbers = {name: found[name] for name in ("images", "bad images", "lost events", "lost ends")}
    return Figures(f"power cuts, {variant} (must be caught)", numbers, time.monotonic() - began)


def _refuse(error: Exception) -> None:
    raise AssertionError(error)
