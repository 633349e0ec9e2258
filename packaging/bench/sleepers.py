"""Executions that sleep in the store: the daemon's memory, and intake beside one without them."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from history import AT_ONCE, store_at_once, stop
from load import post_orders
from measure import Row, Size, interleaved, spread
from msgspec.structs import replace
from processes import Served, daemon, until
from webhook import FLOW

from reactor.cli.client import Client
from reactor.clock import SystemClock
from reactor.ids import Ids
from reactor.model.execution import Entry, State
from reactor.store import NewExecution, Open, Write
from reactor.store.sqlite import open_sqlite

SLEEP = """\
flow: reminders
when:
  event: {type: booked}
do:
  - wait: 30d
  - log: ${{ event.data.customer.name }} travels tomorrow
"""
FLOWS = {"orders.yaml": FLOW, "reminders.yaml": SLEEP}
HOUR_MS = 3_600_000
SPREAD_MS = 30 * 24 * HOUR_MS
# So many of them are due when the daemon starts: that they go on shows that all of them could.
DUE = 100


def rows(size: Size, folder: Path) -> list[Row]:
    """Memory with many sleepers, and webhooks a second beside a daemon without any."""
    many, none = folder / "many", folder / "none"
    with daemon(many, FLOWS) as served:
        sleeper = _fall_asleep(served)
    asyncio.run(fill(many / "state", sleeper, size.sleepers))
    with daemon(many, FLOWS) as full, daemon(none, FLOWS) as fresh:
        _awake(full.state)
        for served in (full, fresh):  # warm up
            _rate(served, 1, folder)
        found, beside = interleaved(
            size.rounds,
            lambda: _rate(full, size.load_secs, folder),
            lambda: _rate(fresh, size.load_secs, folder),
        )
        resident, without = full.memory_mb()[0], fresh.memory_mb()[0]
        ready_secs = full.ready_secs
    ratio = found.median / beside.median
    return [
        Row(
            key="sleepers",
            what=f"memory (RSS) with {size.sleepers:,} sleeping executions, after load",
            unit="MB",
            measured=spread([resident]),
            reference="without any",
            beside=spread([without]),
            figure=resident,
            aim="< 300 MB",
            passed=resident < 300,
            facts={"ready_secs": ready_secs},
        ),
        Row(
            key="sleepers",
            what=f"durable webhook with {size.sleepers:,} sleeping executions",
            unit="/s",
            measured=found,
            reference="without any",
            beside=beside,
            figure=ratio,
            aim="≥ 0.9 of it",
            passed=ratio >= 0.9,
        ),
    ]


def _fall_asleep(served: Served) -> int:
    """One execution that the daemon itself put to sleep."""
    client = Client(served.state)
    data = {"customer": {"name": "Ada"}}
    client.post("events", body={"type": "booked", "data": data})
    query = "SELECT id FROM executions WHERE state = ?"
    until(lambda: _ask(served.state, query, State.WAITING) is not None, "one fell asleep")
    return _ask(served.state, query, State.WAITING) or 0


def _awake(state: Path) -> None:
    """Wait until those that were due have ended well."""
    query = "SELECT count(*) FROM executions WHERE flow = 'reminders' AND state = ?"
    until(lambda: _ask(state, query, State.OK) == DUE, "sleepers that were due ended")


def _ask(state: Path, query: str, value: State) -> int | None:
    with closing(sqlite3.connect(f"file:{state / 'reactor.db'}?mode=ro", uri=True)) as database:
        row = database.execute(query, (value.value,)).fetchone()
        return None if row is None else row[0]


def _rate(served: Served, secs: float, folder: Path) -> float:
    rate = post_orders(served.address, secs, folder).rate
    until(lambda: not any(map(_works, served.metrics().items())), "nothing works")
    return rate


def _works(metric: tuple[str, float]) -> bool:
    name, count = metric
    return name.startswith("reactor_open_executions") and "waiting" not in name and count > 0


async def fill(state: Path, sleeper: int, count: int) -> None:
    """A store with so many executions like this one, due over a month."""
    store = await open_sqlite(state, on_failure=stop, clock=SystemClock())
    (opened,) = await store.load([sleeper])
    ids = Ids(SystemClock(), after=store.last_id)
    for first in range(0, count, AT_ONCE):
        write = Write()
        for number in range(first, min(count, first + AT_ONCE)):
            _add(write, opened, ids, number, count)
        await store_at_once(store, write)
    await store.close(clean=True)


def _add(write: Write, like: Open, ids: Ids, number: int, count: int) -> None:
    now_ms = SystemClock().now_ms()
    due_ms = now_ms + HOUR_MS + SPREAD_MS * number // count if number >= DUE else now_ms
    event, execution = ids.next(), ids.next()
    write.events.append(replace(like.event, id=event))
    row = replace(like.execution, id=execution, root=execution, event=event, due_ms=due_ms)
    entries = [_moved(entry, due_ms) for entry in like.journal]
    write.executions.append(NewExecution(row, tuple(entries)))


def _moved(entry: Entry, due_ms: int) -> Entry:
    """The same entry of the journal; what was decided is another time to wake."""
    return replace(entry, value=due_ms) if entry.kind == "chose" else entry
