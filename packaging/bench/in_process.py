"""Durable flows of three steps in one process, beside SQLite alone storing the same rows."""

import asyncio
import sqlite3
import time
from collections import Counter
from contextlib import closing
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import uvloop

from load import ORDER
from measure import Row, Size, spread
from reactor.clock import SystemClock
from reactor.engine.core import Engine
from reactor.errors import StorageFailed
from reactor.logs import configure
from reactor.model.event import Receipt, Received
from reactor.secrets import Redactor
from reactor.store.sqlite import open_sqlite
from reactor.testing import World

FLOW = """\
flow: three-steps
when:
  event: {type: order}
do:
  - id: skus
    map: {over: event.data.lines, to: "${{ item.sku }}"}
  - set: {last_order: "${{ event.data.id }}"}
  - log: order ${{ event.data.id }} of ${{ steps.skus.output | join(", ") }}
"""
IN_FLIGHT = 512
PRAGMAS = ("journal_mode=wal", "synchronous=full", "wal_autocheckpoint=4000", "cache_size=-65536")
TABLES = ("events", "executions", "steps")


def rows(size: Size, folder: Path) -> list[Row]:
    """Flows in a second, each round followed by one of the reference with that round's rows."""
    ours, theirs, batches = [], [], []
    for number in range(size.rounds):
        state = folder / f"round-{number}"
        secs, commits = uvloop.run(run_flows(state, size.flows_in_process))
        ours.append(size.flows_in_process / secs)
        theirs.append(size.flows_in_process / store_again(state, commits))
        batches.append(size.flows_in_process / commits)
    found, beside = spread(ours), spread(theirs)
    ratio = found.median / beside.median
    return [
        Row(
            key="in-process",
            what="durable three-step flows in process (map, set, log)",
            unit="/s",
            measured=found,
            reference="raw SQLite group commit of the same rows",
            beside=beside,
            figure=ratio,
            aim="≥ 0.5 of it, ≥ 10,000/s",
            passed=ratio >= 0.5 and found.median >= 10_000,
            facts={
                "flows_a_round": size.flows_in_process,
                "in_flight": IN_FLIGHT,
                "flows_a_commit": spread(batches).median,
            },
        )
    ]


async def run_flows(
    state: Path, count: int, flow: str = FLOW, name: str = "three-steps"
) -> tuple[float, int]:
    """Seconds until so many flows have ended on disk, and in how many commits."""
    places: Counter[str] = Counter()
    store = await open_sqlite(
        state, on_failure=_stop, clock=SystemClock(), failpoint=lambda place: places.update([place])
    )
    with configure("json", "info", Redactor(), StringIO()):
        async with World(flow, store=store) as world:
            places.clear()
            began = time.perf_counter()
            await _offer(world.engine, count)
            ended = world.engine.meter.ended
            while sum(ended.values()) < count:  # nobody is told when all is done
                await asyncio.sleep(0.001)
            secs = time.perf_counter() - began
            commits = places["after the commit"]
            if ended != {(name, "ok"): count}:
                raise AssertionError(f"{count} flows were to end well: {ended}")
    await store.close(clean=True)
    return secs, commits


async def _offer(engine: Engine, count: int) -> None:
    """Accept so many events, each when the commit of an earlier one has made room."""
    left, done = count, asyncio.Event()
    accepted = 0

    def offer() -> None:
        nonlocal left
        left -= 1
        engine.intake.accept("event", [Received(data=ORDER, type="order")], heard)

    def heard(answer: list[Receipt] | BaseException) -> None:
        nonlocal accepted
        if isinstance(answer, BaseException):
            raise answer
        accepted += 1
        if left:
            offer()
        elif accepted == count:
            done.set()

    for _ in range(min(IN_FLIGHT, count)):
        offer()
    await done.wait()


def store_again(state: Path, commits: int) -> float:
    """Seconds that SQLite alone needs for the rows of a store, in as many commits."""
    with closing(sqlite3.connect(state / "reactor.db")) as database:
        tables = {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        values = database.execute("SELECT * FROM state").fetchall()
    schema = files("reactor.store").joinpath("schema.sql").read_text()
    with closing(sqlite3.connect(state / "again.db", isolation_level=None)) as database:
        for pragma in PRAGMAS:
            database.execute(f"PRAGMA {pragma}")
        database.executescript(schema)
        began = time.perf_counter()
        for number in range(commits):
            database.execute("BEGIN IMMEDIATE")
            for name, found in tables.items():
                _insert(database, name, _part(found, number, commits))
            _insert(database, "state", values)
            database.execute("COMMIT")
        return time.perf_counter() - began


def _part(found: list[Any], number: int, parts: int) -> list[Any]:
    return found[len(found) * number // parts : len(found) * (number + 1) // parts]


def _insert(database: sqlite3.Connection, table: str, values: list[Any]) -> None:
    if values:
        marks = ", ".join("?" for _ in values[0])
        database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values)


def _stop(error: StorageFailed) -> None:
    raise error
