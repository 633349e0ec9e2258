"""The daemon beside a real MariaDB: killed while rows flow, told what is wrong."""

import os
from contextlib import closing
from random import Random
from time import monotonic

import pymysql
import pytest

from tests.brokers.mariadb import Mariadb
from tests.system.conftest import eventually

KILLS = 50 if os.environ.get("REACTOR_CHAOS") == "full" else 3
ROWS = 100
# What the kills left to do is thousands of steps, one transaction each.
PATIENCE_SECS = 300

pytestmark = [pytest.mark.broker, pytest.mark.slow]

CONNECTIONS = 'connections: {{shop: {{sql: {{dsn: "{dsn}"}}}}}}\n'
FLOW = """\
flow: orders
when:
  mysql: {tables: [orders]}
run: {mode: queue, key: event.key}
do:
  - sql:
      execute: insert into effects (id, n) values ($1, $2)
      params: ["${{ event.data.new.id }}", "${{ event.data.new.n }}"]
      once_key: true
    retry: {max: 8, within: 5m, delay: 100ms}
"""


@pytest.fixture
def server():
    """A server of the test's own."""
    with Mariadb() as made:
        yield made


@pytest.fixture
def ask(server):
    """Runs a statement; its rows."""
    settings = {"host": "127.0.0.1", "port": server.port, "user": "root", "database": "shop"}
    with closing(pymysql.connect(**settings, autocommit=True)) as line:

        def run(text):
            with line.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall()

        run("create table orders (id bigint auto_increment primary key, n int)")
        run("create table effects (seq bigint auto_increment primary key, id bigint, n int)")
        yield run


def some_effects(effects, least):
    """Wait until the flow has had so many effects."""
    eventually(lambda: effects() >= least, "some effects")


def follows(daemon):
    """Whether the rows that were there are told."""
    return "following" in [source["detail"] for source in daemon.api.get("sources")["items"]]


def test_kills_of_the_daemon_lose_and_repeat_nothing(daemon, server, ask, record_property):
    """Killed with -9 while rows flow: each change has its effect exactly once, in order of key."""
    daemon.flow("orders", FLOW)
    (daemon.folder / "reactor.yaml").write_text(CONNECTIONS.format(dsn=server.dsn))
    chance, total, resumed = Random(3), 0, []

    def effects():
        return ask("select count(*) from effects")[0][0]

    for _ in range(KILLS):
        daemon.start("--config", "reactor.yaml")
        began, before = monotonic(), effects()
        eventually(lambda: follows(daemon), "the source follows")
        for _ in range(ROWS // 10):
            ask("insert into orders (n) select 0 from seq_1_to_10")
        ask("update orders set n = n + 1 where id <= 10")
        total += ROWS
        some_effects(effects, before + 1)
        resumed.append(round(monotonic() - began, 2))
        wanted = effects() + chance.randrange(1, ROWS)
        some_effects(effects, wanted)
        daemon.kill()
    daemon.start("--config", "reactor.yaml")
    changes = total + int(ask("select sum(n) from orders")[0][0])
    eventually(lambda: effects() >= changes, "all effects", PATIENCE_SECS)
    daemon.at_rest()

    found: dict[int, list[int]] = {}
    for id_, n in ask("select id, n from effects order by seq"):
        found.setdefault(id_, []).append(n)
    final = dict(ask("select id, n from orders"))
    assert found == {id_: list(range(n + 1)) for id_, n in final.items()}
    assert not list(daemon.api.pages("dead", limit=None))
    assert 'reactor_source_lag{source="mysql:' in daemon.api.get("metrics")
    record_property("kills", KILLS)
    record_property("changes", changes)
    record_property("longest_to_resume_secs", max(resumed))


def test_what_is_missing_is_shown(daemon, server, ask):
    """The source and doctor name the grant that is missing, with its SQL."""
    ask("create user poor@'127.0.0.1'")
    ask("grant select on shop.* to poor@'127.0.0.1'")
    dsn = server.dsn_at(server.port, user="poor")
    (daemon.folder / "reactor.yaml").write_text(CONNECTIONS.format(dsn=dsn))
    daemon.flow("orders", FLOW)
    daemon.start("--config", "reactor.yaml")
    mend = "GRANT REPLICATION SLAVE ON *.* TO 'poor'@'127.0.0.1'"

    def said():
        return mend in str([source["detail"] for source in daemon.api.get("sources")["items"]])

    eventually(said, "the source says what is missing", 10)
    checks = {one["check"]: one["detail"] for one in daemon.api.get("doctor")["items"]}
    assert mend in checks["connection shop"]
