"""Changes from PostgreSQL's log: what they hold, in which order, and what is done about trouble."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest

from reactor.connectors.sql.changes import postgres as source
from tests.brokers.listening import Ears, listening

SLOT = "reactor_test"


class Cluster:
    """Databases of one test on the shared server, and a way to run SQL in them."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.dsn = server.dsn_at(server.port, database=name)
        self.ears = Ears()

    def run(self, *statements):
        """Run statements, each its own commit."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for each in statements:
                connection.execute(each)

    def together(self, *statements):
        """Run statements in one transaction."""
        with psycopg.connect(self.dsn) as connection:
            for each in statements:
                connection.execute(each)

    def ask(self, query):
        """The first row of a query."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query).fetchone()

    @asynccontextmanager
    async def following(self, *tables, **config):
        """The source at work on tables."""
        written = {"dsn": self.dsn, "tables": list(tables), "slot": self.name, **config}
        async with listening(source, written, self.ears) as work:
            yield work

    @asynccontextmanager
    async def streaming(self, *tables, **config):
        """The same, from the moment on when it follows."""
        async with self.following(*tables, **config) as work:
            await self.ears.until(lambda: work.state.detail == "following", f"{work.state}", 10)
            yield work

    @property
    def changes(self):
        """What was heard: op and new row."""
        return [(one["op"], one["new"]) for one in self.ears.data]


@pytest.fixture
async def cluster(postgres, request) -> AsyncIterator[Cluster]:
    """An empty database of its own, and a slot of the same name."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**9}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    found = Cluster(postgres, name)
    yield found
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where active"
        )
        connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
            f"where slot_name = '{name}' and not active"
        )


ORDERS = "create table orders (id bigint primary key, state text, total numeric)"


async def test_rows_come_first_then_changes(cluster):
    """The snapshot and the stream meet without a gap or a repeat."""
    cluster.run(ORDERS, "insert into orders values (1, 'new', 1.50), (2, 'new', 20)")
    async with cluster.streaming("orders"):
        cluster.run(
            "insert into orders values (3, 'new', 3)",
            "update orders set state = 'paid' where id = 1",
            "delete from orders where id = 2",
            "truncate orders",
        )
        await cluster.ears.until_heard(6)

    assert cluster.ears.data == [
        {
            "op": "snapshot",
            "schema": "public",
            "table": "orders",
            "old": None,
            "new": {"id": 1, "state": "new", "total": 1.5},
        },
        {
            "op": "snapshot",
            "schema": "public",
            "table": "orders",
            "old": None,
            "new": {"id": 2, "state": "new", "total": 20},
        },
        {
            "op": "insert",
            "schema": "public",
            "table": "orders",
            "old": None,
            "new": {"id": 3, "state": "new", "total": 3},
        },
        {
            "op": "update",
            "schema": "public",
            "table": "orders",
            "old": None,
            "new": {"id": 1, "state": "paid", "total": 1.5},
        },
        {
            "op": "delete",
            "schema": "public",
            "table": "orders",
            "old": {"id": 2},
            "new": None,
        },
        {"op": "truncate", "schema": "public", "table": "orders", "old": None, "new": None},
    ]
    keys = [one.key for one in cluster.ears.heard]
    assert keys == [f"public.orders{key}" for key in ("/1", "/2", "/3", "/1", "/2", "")]
    fields = cluster.ears.heard[2].fields
    assert fields["lsn"].count("/") == 1
    assert fields["xid"] > 0
    assert abs((datetime.now(UTC) - fields["committed"]).total_seconds()) < 60


async def test_one_transaction_is_one_commit(cluster):
    """All rows of a transaction are stored together."""
    cluster.run(ORDERS)
    async with cluster.streaming("orders"):
        cluster.together(*(f"insert into orders values ({n}, 'new', 1)" for n in range(50)))
        await cluster.ears.until_heard(50)

    assert cluster.ears.batches[-1] == 50
    assert len({one.fields["xid"] for one in cluster.ears.heard}) == 1


async def test_a_restart_goes_on(cluster):
    """What happened while nobody listened comes; nothing comes twice."""
    cluster.run(ORDERS, "insert into orders values (1, 'new', 1)")
    async with cluster.streaming("orders"):
        cluster.run("insert into orders values (2, 'new', 1)")
        await cluster.ears.until_heard(2)
    cluster.run("insert into orders values (3, 'new', 1)")
    async with cluster.streaming("orders"):
        await cluster.ears.until_heard(3)

    assert [new["id"] for _, new in cluster.changes] == [1, 2, 3]


async def test_only_the_ops_asked_for(cluster):
    """Other changes pass by."""
    cluster.run(ORDERS)
    async with cluster.streaming("orders", ops=["delete"]):
        cluster.run("insert into orders values (1, 'new', 1)", "delete from orders")
        await cluster.ears.until_heard(1)

    assert [op for op, _ in cluster.changes] == ["delete"]


async def test_without_a_snapshot_only_changes_come(cluster):
    """snapshot: false begins at the present."""
    cluster.run(ORDERS, "insert into orders values (1, 'new', 1)")
    async with cluster.streaming("orders", snapshot=False):
        cluster.run("insert into orders values (2, 'new', 1)")
        await cluster.ears.until_heard(1)

    assert [new["id"] for _, new in cluster.changes] == [2]


async def test_old_values_come_with_full_identity(cluster):
    """REPLICA IDENTITY FULL brings the whole old row."""
    cluster.run(ORDERS, "alter table orders replica identity full")
    async with cluster.streaming("orders"):
        cluster.run("insert into orders values (1, 'new', 1)", "update orders set total = 2")
        await cluster.ears.until_heard(2)

    assert cluster.ears.data[1]["old"] == {"id": 1, "state": "new", "total": 1}


async def test_large_values_that_did_not_change_are_named(cluster):
    """A TOASTed column that an update does not touch is in `unchanged`, not null."""
    cluster.run("create table notes (id int primary key, text text, seen bool)")
    cluster.run("alter table notes alter text set storage external")
    async with cluster.streaming("notes"):
        cluster.run(
            "insert into notes values (1, repeat('x', 100000), false)",
            "update notes set seen = true",
        )
        await cluster.ears.until_heard(2)

    assert len(cluster.ears.data[0]["new"]["text"]) == 100_000
    assert cluster.ears.data[1]["new"] == {"id": 1, "seen": True}
    assert cluster.ears.data[1]["unchanged"] == ["text"]


TYPES = """
create type mood as enum ('calm', 'cross');
create domain cents as numeric(12, 2);
create table kinds (
  id int primary key, s smallint, b bigint, n numeric, huge numeric, price cents, r real,
  d double precision, t text, c char(3), v varchar, yes bool, raw bytea, day date, at time,
  stamp timestamp, moment timestamptz, span interval, u uuid, j json, jb jsonb, m mood,
  ms mood[], ints int[], deep int[], words text[], moments timestamptz[], ip inet, rng int4range
)
"""
VALUES = """
(%d, -5, 9007199254740993, 12.50, 123456789012345678901234567890.125, 9.99, 0.5, 0.1, 'ä"\\', 'ab',
 'x', true, '\\x00ff', '2026-02-28', '23:59:59.5', '2026-01-01 10:00:00.25',
 '2026-01-01 10:00:00.25+02', '1 day 02:00:00', '7d444840-9dc0-11d1-b245-5ffdce74fad2',
 '{"a": [1, null]}', '{"b": 1.5}', 'calm', '{calm,cross}', '{1,NULL,3}', '{{1,2},{3,4}}',
 '{"a b",NULL,"NULL","q\\"\\\\"}', '{2026-01-01 00:00:00+00}', '10.0.0.1', '[1,5)')
"""
PLAIN = {
    "s": -5,
    "b": 9007199254740993,
    "n": 12.5,
    "huge": "123456789012345678901234567890.125",
    "price": 9.99,
    "r": 0.5,
    "d": 0.1,
    "t": 'ä"\\',
    "c": "ab ",
    "v": "x",
    "yes": True,
    "raw": b"\x00\xff",
    "day": "2026-02-28",
    "at": "23:59:59.5",
    "stamp": "2026-01-01 10:00:00.25",
    "moment": datetime(2026, 1, 1, 8, 0, 0, 250_000, tzinfo=UTC),
    "span": "1 day 02:00:00",
    "u": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "j": {"a": [1, None]},
    "jb": {"b": 1.5},
    "m": "calm",
    "ms": ["calm", "cross"],
    "ints": [1, None, 3],
    "deep": [[1, 2], [3, 4]],
    "words": ["a b", None, "NULL", 'q"\\'],
    "moments": [datetime(2026, 1, 1, tzinfo=UTC)],
    "ip": "10.0.0.1",
    "rng": "[1,5)",
}


async def test_types_are_plain_values(cluster):
    """The snapshot and the stream read each type in the same way."""
    cluster.run(TYPES, f"insert into kinds values {VALUES % 1}")
    async with cluster.streaming("kinds"):
        cluster.run(f"insert into kinds values {VALUES % 2}")
        await cluster.ears.until_heard(2)

    assert cluster.changes == [
        ("snapshot", {"id": 1} | PLAIN),
        ("insert", {"id": 2} | PLAIN),
    ]


async def test_tables_may_change_in_mid_stream(cluster):
    """Columns come, go and change their types; later rows are as the table is then."""
    cluster.run(ORDERS)
    async with cluster.streaming("orders"):
        cluster.run(
            "insert into orders values (1, 'a', 1)",
            "alter table orders add note text default 'none'",
            "insert into orders values (2, 'b', 2)",
            "alter table orders drop state",
            "alter table orders alter total type text",
            "insert into orders values (3, '3.0')",
        )
        await cluster.ears.until_heard(3)

    assert [new for _, new in cluster.changes] == [
        {"id": 1, "state": "a", "total": 1},
        {"id": 2, "state": "b", "total": 2, "note": "none"},
        {"id": 3, "total": "3.0", "note": "none"},
    ]


async def test_a_lost_slot_stops_loudly(cluster):
    """A slot that is gone is no silent new start: the source stops, with the remedy."""
    cluster.run(ORDERS)
    async with cluster.streaming("orders"):
        pass
    cluster.run(f"select pg_drop_replication_slot('{cluster.name}')")
    async with cluster.following("orders") as work:
        said = await work.failed("is gone: changes since")

        assert "reactor sources reset ID --to earliest" in said
        assert work.state.state == "stopped"


@pytest.mark.parametrize("to", [None, "latest"])
async def test_a_reset_begins_anew(cluster, to):
    """Earliest tells all rows again, latest only what comes."""
    cluster.run(ORDERS, "insert into orders values (1, 'new', 1)")
    async with cluster.streaming("orders"):
        await cluster.ears.until_heard(1)
    cluster.run("insert into orders values (2, 'new', 1)")
    cluster.run(f"select pg_drop_replication_slot('{cluster.name}')")
    cluster.ears.position = to
    cluster.ears.heard.clear()
    async with cluster.streaming("orders"):
        cluster.run("insert into orders values (3, 'new', 1)")
        await cluster.ears.until(lambda: 3 in [new["id"] for _, new in cluster.changes], "3")

    assert [new["id"] for _, new in cluster.changes] == ([3] if to else [1, 2, 3])


async def test_an_interrupted_snapshot_loses_nothing(cluster):
    """It goes on after the rows told; what changed meanwhile comes as changes."""
    cluster.run(ORDERS, "insert into orders select n, 'new', 1 from generate_series(1, 3000) n")

    def die():
        if len(cluster.ears.heard) == 2000:
            raise RuntimeError("killed")

    cluster.ears.committed = die
    async with cluster.following("orders") as work:
        await work.failed("killed")
    cluster.ears.committed = lambda: None
    cluster.run("update orders set state = 'paid' where id = 1")
    async with cluster.streaming("orders"):
        cluster.run("insert into orders values (3001, 'new', 1)")
        await cluster.ears.until(lambda: cluster.changes[-1][1]["id"] == 3001, "the last")

    told = [new["id"] for op, new in cluster.changes if op == "snapshot"]
    assert told == list(range(1, 3001))
    assert cluster.changes[3000:] == [
        ("update", {"id": 1, "state": "paid", "total": 1}),
        ("insert", {"id": 3001, "state": "new", "total": 1}),
    ]


@pytest.mark.parametrize(
    ("setup", "config", "says"),
    [
        ("select 1", {"tables": ["nowhere"]}, "there is no table nowhere"),
        ("create table t (n int)", {"tables": ["t"]}, "REPLICA IDENTITY FULL, or write ops"),
        (ORDERS, {"dsn": "postgresql://nobody@127.0.0.1:1/x"}, "refused"),
        (ORDERS, {"dsn": "sqlite:shop.db"}, "not one of PostgreSQL"),
    ],
)
async def test_what_is_wrong_is_named(cluster, setup, config, says):
    """State and message name the cause."""
    cluster.run(setup)
    async with cluster.following("orders", **config) as work:
        await work.failed(says)


async def test_missing_rights_are_named(cluster):
    """A role that may not replicate is told what to ask for."""
    cluster.run(ORDERS, f"create role {cluster.name} login")
    dsn = cluster.server.dsn_at(cluster.server.port, user=cluster.name, database=cluster.name)
    async with cluster.following("orders", dsn=dsn) as work:
        await work.failed("ALTER ROLE … REPLICATION")
    cluster.run(
        f"alter role {cluster.name} replication", f"grant select on orders to {cluster.name}"
    )
    async with cluster.following("orders", dsn=dsn) as work:
        await work.failed("have it done by the tables' owner: CREATE PUBLICATION")
