"""MariaDB's log when the server is killed, the line cut, the daemon dies; large things."""

import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Event

import pymysql
import pytest

from reactor.connectors.sql.binlog.source import mysql as source
from reactor.errors import SourceFailed
from tests.brokers.listening import Ears, listening
from tests.brokers.mariadb import Mariadb
from tests.brokers.proxy import Proxy

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FULL = os.environ.get("REACTOR_CHAOS") == "full"
CYCLES = 50 if FULL else 2
KEYS = 20
IDLE_SECS = 60 if FULL else 0


def line(server, **options):
    """A connection of root."""
    settings = {"host": "127.0.0.1", "port": server.port, "user": "root", "database": "shop"}
    return pymysql.connect(**settings, **options)


def run(server, *statements):
    """Run statements, each its own commit; the rows of the last."""
    with line(server, autocommit=True) as found, found.cursor() as cursor:
        for each in statements:
            cursor.execute(each)
        return cursor.fetchall()


def write(server, busy):
    """Count up the stock of each key, some keys in each transaction, until told."""
    turn = 0
    while not busy.wait(0.05):
        try:
            with line(server, connect_timeout=2, read_timeout=2) as found, found.cursor() as cursor:
                while not busy.wait(0.005):
                    turn += 1
                    cursor.execute(f"update stock set n = n + 1 where mod(k, 4) = {turn % 4}")
                    found.commit()
        except (pymysql.Error, OSError):
            continue


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
    ears, busy = Ears(), Event()
    loop, resumed = asyncio.get_running_loop(), []
    with Mariadb() as server, Proxy(server.port) as proxy:
        run(
            server,
            "create table stock (k int primary key, n int)",
            f"insert into stock select seq, 0 from seq_1_to_{KEYS}",
        )
        config = {"dsn": server.dsn_at(proxy.port), "tables": ["stock"], "snapshot": False}
        async with listening(source, config, ears) as work:
            await ears.until(lambda: work.state.detail == "following", "following")
            writing = asyncio.create_task(asyncio.to_thread(write, server, busy))
            for kind in ("die", "kill", "cut", "die", "reset") * CYCLES:
                await ears.until_heard(len(ears.heard) + 1)
                await harm(kind, server, proxy, ears)
                began = loop.time()
                await ears.until_heard(len(ears.heard) + 1)
                resumed.append((round(loop.time() - began, 2), kind))
            busy.set()
            await writing
            final = dict(run(server, "select k, n from stock"))
            await ears.until_heard(sum(final.values()))

    seen: dict[int, list[int]] = {}
    for change in ears.data:
        seen.setdefault(change["new"]["k"], []).append(change["new"]["n"])
    assert seen == {key: list(range(1, n + 1)) for key, n in final.items()}
    record_property("changes", len(ears.heard))
    record_property("faults", len(resumed))
    record_property("longest_to_resume_secs", max(resumed))


async def test_a_snapshot_meets_the_stream_while_others_write(mariadb):
    """Rows as of one moment and every change since: each number of a row comes exactly once."""
    ears, busy = Ears(), Event()
    run(
        mariadb,
        "create table stock (k int primary key, n int)",
        f"insert into stock select seq, 0 from seq_1_to_{KEYS}",
    )
    writing = asyncio.create_task(asyncio.to_thread(write, mariadb, busy))
    config = {"dsn": mariadb.dsn, "tables": ["stock"]}
    async with listening(source, config, ears) as work:
        await ears.until_heard(10 * KEYS)
        assert work.state.restarts == 0
        busy.set()
        await writing
        final = dict(run(mariadb, "select k, n from stock"))

        def last():
            return {one["new"]["k"]: one["new"]["n"] for one in ears.data}

        await ears.until(lambda: last() == final, "the last change")

    for key, n in final.items():
        told = [one["new"]["n"] for one in ears.data if one["new"]["k"] == key]
        assert told == list(range(told[0], n + 1))


async def test_a_half_open_line_is_noticed(mariadb):
    """Nothing comes through and nothing says so: without a beat the line is given up."""
    ears = Ears()
    run(mariadb, "create table half_open (id int primary key)")
    with Proxy(mariadb.port) as proxy:
        config = {"dsn": mariadb.dsn_at(proxy.port), "tables": ["half_open"]}
        async with listening(source, config, ears) as work:
            await ears.until(lambda: work.state.detail == "following", "following")
            proxy.half_open()
            await work.failed("silent for too long", 45)
            proxy.mend()
            run(mariadb, "insert into half_open values (1)")
            await ears.until(lambda: ears.heard, "the change")


async def test_a_slow_sliced_line_is_only_slow(mariadb):
    """Messages that come in pieces are whole."""
    ears = Ears()
    run(mariadb, "create table sliced (id int primary key, t text)")
    with Proxy(mariadb.port) as proxy:
        config = {"dsn": mariadb.dsn_at(proxy.port), "tables": ["sliced"]}
        async with listening(source, config, ears) as work:
            await ears.until(lambda: work.state.detail == "following", "following")
            proxy.latency_secs, proxy.slice_bytes = 0.002, 50
            run(mariadb, "insert into sliced select seq, repeat('x', seq) from seq_1_to_100")
            await ears.until_heard(100)

    assert [len(change["new"]["t"]) for change in ears.data] == list(range(1, 101))


def passes(ears, place):
    """Whether this place is kept."""
    return ears.position == {"gtid": place}


async def test_the_position_moves_while_our_tables_are_idle(mariadb, record_property):
    """Beside a busy table of others each place of the log is passed: none must be kept for us."""
    ears, loop = Ears(), asyncio.get_running_loop()
    waits: list[float] = []
    run(mariadb, "create table idle (id int primary key)", "create table busy (id int)")
    config = {"dsn": mariadb.dsn, "tables": ["idle"], "snapshot": False}
    async with listening(source, config, ears) as work:
        await ears.until(lambda: work.state.detail == "following", "following")
        ends = loop.time() + IDLE_SECS
        while not waits or loop.time() < ends:
            began = loop.time()
            await asyncio.to_thread(run, mariadb, "insert into busy select seq from seq_1_to_200")
            ((place,),) = run(mariadb, "select @@global.gtid_binlog_pos")
            await ears.until(partial(passes, ears, place), place)
            waits.append(round(loop.time() - began, 2))

    assert ears.heard == []
    record_property("places_passed", len(waits))
    record_property("longest_wait_secs", max(waits))


LARGE = """
import asyncio, sys, pymysql
from urllib.parse import urlsplit
from reactor.connectors.sql.binlog.source import mysql as source
from tests.brokers.listening import Ears, listening

class Counting(Ears):
    count = 0
    async def many(self, received):
        receipts = await super().many(received)
        self.count += len(self.heard)
        self.heard.clear()
        return receipts

async def main(dsn):
    ears = Counting()
    async with listening(source, {"dsn": dsn, "tables": ["large"]}, ears) as work:
        await ears.until(lambda: work.state.detail == "following", "following")
        def write():
            port = urlsplit(dsn).port
            settings = {"host": "127.0.0.1", "port": port, "user": "root", "database": "shop"}
            with pymysql.connect(**settings, autocommit=True) as line:
                line.cursor().execute(
                    "insert into large select seq, repeat('x', 500) from seq_1_to_100000"
                )
        await asyncio.to_thread(write)
        await ears.until(lambda: ears.count == 100_000, "all", 60)
    # Not `ru_maxrss`, which a new program takes over from the process that began it.
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(max(ears.batches), int(peak.split()[1]) // 1024)

asyncio.run(main(sys.argv[1]))
"""


async def test_a_large_transaction_takes_little_memory(mariadb, record_property):
    """100,000 rows of one transaction are stored in chunks; the process stays below 200 MB."""
    run(mariadb, "create table large (id int primary key, t text)")
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", LARGE, mariadb.dsn],
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
