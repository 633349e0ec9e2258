"""The daemon beside a real PostgreSQL: killed while rows flow, told what is wrong."""

import os
from contextlib import closing
from random import Random
from time import monotonic

import psycopg
import pytest

from tests.brokers.postgres import Postgres
from tests.system.conftest import eventually

KILLS = 50 if os.environ.get("REACTOR_CHAOS") == "full" else 3
ROWS = 100
# What the kills left to do is thousands of steps, one transaction each.
PATIENCE_SECS = 300

pytestmark = [pytest.mark.broker, pytest.mark.slow]

CONNECTIONS = 'connections: {{shop: {{sql: {{dsn: "{dsn}"}}}}}}\n'
FLOWS = """\
flow: orders
when:
  postgres: {tables: [orders], slot: shop}
run: {mode: queue, key: event.key}
do:
  - sql:
      execute: insert into effects (id, n) values ($1, $2)
      params: ["${{ event.data.new.id }}", "${{ event.data.new.n }}"]
      once_key: true
    retry: {max: 8, within: 5m, delay: 100ms}
---
flow: polled
when:
  sql: {query: select * from orders, cursor: {column: id}, id: event.data.id, every: 50ms}
do:
  - sql:
      execute: insert into polled values ($1)
      params: ["${{ event.data.id }}"]
      once_key: true
    retry: {max: 8, within: 5m, delay: 100ms}
"""


@pytest.fixture
def line():
    """A connection to a server of the test's own."""
    with Postgres() as server, closing(psycopg.connect(server.dsn, autocommit=True)) as made:
        made.execute("create table orders (id bigserial primary key, n int)")
        made.execute("create table effects (seq bigserial, id bigint, n int)")
        made.execute("create table polled (id bigint)")
        yield made


def count(line, table):
    """How many rows a table has."""
    return line.execute(f"select count(*) from {table}").fetchone()[0]


def some_effects(line, least):
    """Wait until flows have had so many effects."""
    eventually(lambda: count(line, "effects") >= least, "some effects")


def follows(daemon):
    """Whether the rows that were there are told."""
    return "following" in [source["detail"] for source in daemon.api.get("sources")["items"]]


def test_kills_of_the_daemon_lose_and_repeat_nothing(daemon, line, record_property):
    """Killed with -9 while rows flow: each change has its effect exactly once, in order of key."""
    port = line.info.port
    daemon.flow("orders", FLOWS)
    dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    (daemon.folder / "reactor.yaml").write_text(CONNECTIONS.format(dsn=dsn))
    chance, total, resumed = Random(3), 0, []
    for _ in range(KILLS):
        daemon.start("--config", "reactor.yaml")
        began, before = monotonic(), count(line, "effects")
        eventually(lambda: follows(daemon), "the source follows")
        for _ in range(ROWS // 10):
            line.execute("insert into orders (n) select 0 from generate_series(1, 10)")
        line.execute("update orders set n = n + 1 where id <= 10")
        total += ROWS
        some_effects(line, before + 1)
        resumed.append(round(monotonic() - began, 2))
        wanted = count(line, "effects") + chance.randrange(1, ROWS)
        some_effects(line, wanted)
        daemon.kill()
    changes = total + line.execute("select sum(n) from orders").fetchone()[0]
    daemon.start("--config", "reactor.yaml")
    eventually(lambda: count(line, "effects") >= changes, "all effects", PATIENCE_SECS)
    eventually(lambda: count(line, "polled") >= total, "all rows polled", PATIENCE_SECS)
    daemon.at_rest()

    found = line.execute("select id, array_agg(n order by seq) from effects group by id").fetchall()
    final = dict(line.execute("select id, n from orders").fetchall())
    assert dict(found) == {id_: list(range(n + 1)) for id_, n in final.items()}
    assert count(line, "polled") == total
    assert not list(daemon.api.pages("dead", limit=None))
    record_property("kills", KILLS)
    record_property("changes", changes)
    record_property("longest_to_resume_secs", max(resumed))


def test_trouble_is_shown_and_stops_nothing_else(daemon, line):
    """Sources that cannot work say why; doctor says what the connection lacks; others go on."""
    line.execute("create role plain login")
    dsn = f"postgresql://plain@127.0.0.1:{line.info.port}/postgres"
    (daemon.folder / "reactor.yaml").write_text(CONNECTIONS.format(dsn=dsn))
    daemon.flow("orders", FLOWS)
    daemon.flow("right", "flow: right\nwhen:\n  http: {path: /a, verify: none}\ndo:\n  - log: hi\n")
    daemon.start("--config", "reactor.yaml")

    def errors():
        found = [source["detail"] for source in daemon.api.get("sources")["items"]]
        wanted = ("ALTER ROLE … REPLICATION", "permission denied for table orders")
        return all(any(each in error for error in found) for each in wanted)

    eventually(errors, "both sources say why", 10)
    assert daemon.post("/a", {}).status == 202
    checks = {one["check"]: one["detail"] for one in daemon.api.get("doctor")["items"]}
    assert 'mode: wal needs ALTER ROLE "plain" REPLICATION' in checks["connection shop"]
    assert 'reactor_source_up{source="' in daemon.api.get("metrics")
