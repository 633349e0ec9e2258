"""PostgreSQL's log when the server is killed, the line cut, the daemon dies; large things."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from reactor.connectors.sql.changes import postgres as source
from reactor.errors import SourceFailed
from tests.brokers.listening import Ears, eventually, listening
from tests.brokers.postgres import Postgres
from tests.brokers.proxy import Proxy

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FULL = os.environ.get("REACTOR_CHAOS") == "full"
CYCLES = 50 if FULL else 2
KEYS = 20
IDLE_SECS = 60 if FULL else 0


async def write_while(port, busy):
    """Count up the stock of each key, some keys in each transaction, until told."""
    text = "update stock set n = n + 1 where key %% 4 = %s"
    turn = 0
    while busy.is_set():
        try:
            dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=2) as line:
                while busy.is_set():
                    turn += 1
                    async with asyncio.timeout(2):
                        await line.execute(text, [turn % 4])
                        await line.commit()
                    await asyncio.sleep(0.005)
        except (psycopg.Error, OSError, TimeoutError):
            await asyncio.sleep(0.05)


async def harm(kind, server, proxy, ears):
    """Do it, for a moment."""
    if kind == "kill":
        await asyncio.to_thread(server.restart)
    elif kind == "cut":
        proxy.cut()
        await asyncio.sleep(0.1)
        proxy.mend()
    elif kind == "reset":
        proxy.reset()
    else:
        died = asyncio.Event()

        def die():
            ears.committed = lambda: None
            died.set()
            raise SourceFailed("died after the commit", lost=True)

        ears.committed = die
        await died.wait()


async def test_nothing_is_lost_over_kills_cuts_and_deaths(record_property):
    """Each change comes once and in the order of its row, whatever fails while rows flow."""
    ears, busy = Ears(), asyncio.Event()
    loop, resumed = asyncio.get_running_loop(), []
    busy.set()
    with Postgres() as server, Proxy(server.port) as proxy:
        with psycopg.connect(server.dsn, autocommit=True) as line:
            line.execute("create table stock (key int primary key, n int)")
            line.execute(f"insert into stock select k, 0 from generate_series(1, {KEYS}) k")
        config = {"dsn": server.dsn_at(proxy.port), "tables": ["stock"], "snapshot": False}
        async with listening(source, config, ears) as work:
            await ears.until(lambda: work.state.detail == "following", "following")
            writing = asyncio.create_task(write_while(server.port, busy))
            for kind in ("die", "kill", "cut", "die", "reset") * CYCLES:
                await ears.until_heard(len(ears.heard) + 1)
                await harm(kind, server, proxy, ears)
                began = loop.time()
                await ears.until_heard(len(ears.heard) + 1)
                resumed.append((round(loop.time() - began, 2), kind))
            busy.clear()
            await writing
            with psycopg.connect(server.dsn) as line:
                final: dict[int, int] = dict(line.execute("select key, n from stock").fetchall())
            await ears.until_heard(sum(final.values()))

    seen: dict[int, list[int]] = {}
    for change in ears.data:
        seen.setdefault(change["new"]["key"], []).append(change["new"]["n"])
    assert seen == {key: list(range(1, n + 1)) for key, n in final.items()}
    record_property("changes", len(ears.heard))
    record_property("faults", len(resumed))
    record_property("longest_to_resume_secs", max(resumed))


async def test_a_slow_sliced_line_is_only_slow(postgres):
    """Messages that come in pieces are whole."""
    ears = Ears()
    with psycopg.connect(postgres.dsn, autocommit=True) as line:
        line.execute("create table sliced (id int primary key, text text)")
    with Proxy(postgres.port) as proxy:
        config = {"dsn": postgres.dsn_at(proxy.port), "tables": ["sliced"], "slot": "sliced"}
        async with listening(source, config, ears) as work:
            await ears.until(lambda: work.state.detail == "following", "following")
            proxy.latency_secs, proxy.slice_bytes = 0.002, 50
            with psycopg.connect(postgres.dsn, autocommit=True) as line:
                line.execute(
                    "insert into sliced select n, repeat('x', n) from generate_series(1, 100) n"
                )
            await ears.until_heard(100)

    assert [len(change["new"]["text"]) for change in ears.data] == list(range(1, 101))


async def test_while_nothing_can_be_stored_the_server_is_kept_alive(postgres):
    """A full disk here makes the server wait; its questions are answered meanwhile."""
    ears = Ears()
    with psycopg.connect(postgres.dsn, autocommit=True) as line:
        line.execute("create table held (id int primary key)")
    config = {
        "dsn": postgres.dsn + "?options=-c%20wal_sender_timeout%3D1500ms",
        "tables": ["held"],
        "slot": "held",
    }
    async with listening(source, config, ears) as work:
        await ears.until(lambda: work.state.detail == "following", "following")
        ears.open.clear()
        async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as line:
            await line.execute("insert into held values (1)")
            await line.execute("select pg_sleep(2.5)")
            await line.execute("insert into held values (2)")
        ears.open.set()
        await ears.until_heard(2)

        assert work.state.restarts == 0
    assert Counter(change["new"]["id"] for change in ears.data) == {1: 1, 2: 1}


async def test_a_half_open_line_is_noticed(postgres):
    """Nothing comes through and nothing says so: after three questions the line is given up."""
    ears = Ears()
    with psycopg.connect(postgres.dsn, autocommit=True) as line:
        line.execute("create table half (id int primary key)")
    with Proxy(postgres.port) as proxy:
        dsn = postgres.dsn_at(proxy.port) + "?options=-c%20wal_sender_timeout%3D1500ms"
        config = {"dsn": dsn, "tables": ["half"], "slot": "half"}
        async with listening(source, config, ears) as work:
            await ears.until(lambda: work.state.detail == "following", "following")
            proxy.half_open()
            await work.failed("silent for 1.5 s", 45)
            proxy.mend()
            with psycopg.connect(postgres.dsn, autocommit=True) as line:
                line.execute("insert into half values (1)")
            await ears.until(lambda: ears.heard, "the change")


async def test_the_slot_advances_while_our_tables_are_idle(postgres, record_property):
    """Beside a busy table of others each place of the log is confirmed: none is kept for us."""
    ears, loop = Ears(), asyncio.get_running_loop()
    waits: list[float] = []
    written: list[str] = []
    async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as line:

        async def ask(query):
            found = await (await line.execute(query)).fetchone()
            assert found is not None
            return found[0]

        async def confirmed():
            return await ask(
                f"select confirmed_flush_lsn >= '{written[-1]}' from pg_replication_slots "
                "where slot_name = 'idle'"
            )

        await line.execute("create table idle (id int primary key)")
        await line.execute("create table busy (n int)")
        config = {"dsn": postgres.dsn, "tables": ["idle"], "slot": "idle"}
        async with listening(source, config, ears) as work:
            await ears.until(lambda: work.state.detail == "following", "following")
            ends = loop.time() + IDLE_SECS
            while not waits or loop.time() < ends:
                began = loop.time()
                await line.execute("insert into busy select generate_series(1, 200)")
                written.append(await ask("select pg_current_wal_lsn()"))
                await eventually(confirmed, "a confirmed place", 30)
                waits.append(round(loop.time() - began, 2))

            assert work.context.lags
    assert ears.heard == []
    record_property("places_confirmed", len(waits))
    record_property("longest_wait_secs", max(waits))


LARGE = """
import asyncio, sys, psycopg
from reactor.connectors.sql.changes import postgres as source
from reactor.errors import SourceFailed
from tests.brokers.listening import Ears, listening

class Counting(Ears):
    count = 0
    async def many(self, received):
        receipts = await super().many(received)
        self.count += len(self.heard)
        self.heard.clear()
        self.identities.clear()
        return receipts

async def main(dsn):
    ears = Counting()
    config = {"dsn": dsn, "tables": ["large"], "slot": "large"}
    async with listening(source, config, ears) as work:
        await ears.until(lambda: work.state.detail == "following", "following")
        def write():
            with psycopg.connect(dsn) as line:
                line.execute("insert into large select n, repeat('x', 500) "
                             "from generate_series(1, 100000) n")
        await asyncio.to_thread(write)
        await ears.until(lambda: ears.count == 100_000, "all", 60)
    # Not `ru_maxrss`, which a new program takes over from the process that began it.
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(max(ears.batches), int(peak.split()[1]) // 1024)

asyncio.run(main(sys.argv[1]))
"""


async def test_a_large_transaction_takes_little_memory(postgres, record_property):
    """100,000 rows of one transaction are stored in chunks; the process stays below 200 MB."""
    with psycopg.connect(postgres.dsn, autocommit=True) as line:
        line.execute("create table large (id int primary key, text text)")
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", LARGE, postgres.dsn],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    longest, megabytes = map(int, ran.stdout.split())
    record_property("megabytes", megabytes)
    assert longest == 10_000
    assert megabytes < 200
