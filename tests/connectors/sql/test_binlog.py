"""Changes from MariaDB's binary log: what they hold, in which order, what is done about trouble."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pymysql
import pytest

from reactor.connectors.sql.binlog.source import mysql as source
from reactor.connectors.sql.connection import sql as connection
from tests.brokers.listening import Ears, eventually, listening

pytestmark = pytest.mark.broker


class Store:
    """A database of one test on the shared server, and a way to run SQL in it."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.dsn = server.dsn_at(server.port, database=name)
        self.ears = Ears()

    def line(self, **options):
        """A connection of root to the database."""
        settings = {"host": "127.0.0.1", "port": self.server.port, "user": "root", **options}
        return pymysql.connect(database=self.name, **settings)

    def run(self, *statements, together=False, **options):
        """Run statements, each its own commit or all in one; the rows of the last."""
        with self.line(autocommit=not together, **options) as line:
            with line.cursor() as cursor:
                for each in statements:
                    cursor.execute(each)
                found = cursor.fetchall()
            line.commit()
        return found

    @asynccontextmanager
    async def following(self, *tables, **config):
        """The source at work on tables."""
        written = {"dsn": self.dsn, "tables": list(tables), **config}
        async with listening(source, written, self.ears) as work:
            yield work

    @asynccontextmanager
    async def streaming(self, *tables, **config):
        """The same, from the moment on when it follows."""
        async with self.following(*tables, **config) as work:
            await self.ears.until(lambda: work.state.detail == "following", f"{work.state}", 20)
            yield work

    async def nobody_reads(self):
        """Return when the server has no reader of its log left."""
        query = "select count(*) from information_schema.processlist where command like 'Binlog%'"

        async def gone():
            return self.run(query)[0][0] == 0

        await eventually(gone, "the server's end of the line", 20)

    @property
    def changes(self):
        """What was heard: op and new row."""
        return [(one["op"], one["new"]) for one in self.ears.data]


@pytest.fixture
def store(mariadb, request) -> Store:
    """An empty database of its own."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**9}"
    Store(mariadb, "mysql").run(f"create database {name}")
    return Store(mariadb, name)


ORDERS = "create table orders (id bigint primary key, state varchar(20), total decimal(10, 2))"


async def test_rows_come_first_then_changes(store):
    """The snapshot and the stream meet without a gap or a repeat; old and new rows are whole."""
    store.run(ORDERS, "insert into orders values (1, 'new', 1.50), (2, 'new', 20)")
    async with store.streaming("orders"):
        store.run(
            "insert into orders values (3, 'new', null)",
            "update orders set state = 'paid' where id = 1",
            "delete from orders where id = 2",
            "truncate table orders",
        )
        await store.ears.until_heard(6)

    assert [(one["op"], one["old"], one["new"]) for one in store.ears.data] == [
        ("snapshot", None, {"id": 1, "state": "new", "total": 1.5}),
        ("snapshot", None, {"id": 2, "state": "new", "total": 20}),
        ("insert", None, {"id": 3, "state": "new", "total": None}),
        (
            "update",
            {"id": 1, "state": "new", "total": 1.5},
            {"id": 1, "state": "paid", "total": 1.5},
        ),
        ("delete", {"id": 2, "state": "new", "total": 20}, None),
        ("truncate", None, None),
    ]
    name = f"{store.name}.orders"
    assert [one.key for one in store.ears.heard] == [f"{name}/{n}" for n in (1, 2, 3, 1, 2)] + [
        name
    ]
    update = store.ears.heard[3]
    assert update.fields["gtid"].startswith("0-1-")
    assert isinstance(update.fields["committed"], datetime)
    assert {one["schema"] for one in store.ears.data} == {store.name}


TYPES = {
    "tiny": ("tinyint", "-128", -128),
    "utiny": ("tinyint unsigned", "255", 255),
    "usmall": ("smallint unsigned", "65535", 65535),
    "umedium": ("mediumint unsigned", "16777215", 16777215),
    "medium": ("mediumint", "-8388608", -8388608),
    "uint": ("int unsigned", "4294967295", 4294967295),
    "ubig": ("bigint unsigned", "18446744073709551615", 18446744073709551615),
    "exact": ("decimal(30, 10)", "-12345678901234567890.0123456789", None),
    "cents": ("decimal(10, 2)", "-0.05", -0.05),
    "single": ("float", "1.1", 1.1),
    "twice": ("double", "1e300", 1e300),
    "bits": ("bit(12)", "b'101000000001'", 0b101000000001),
    "yes": ("boolean", "true", 1),
    "year_": ("year", "2026", 2026),
    "day": ("date", "'2026-02-28'", "2026-02-28"),
    "zero_day": ("date", "'0000-00-00'", "0000-00-00"),
    "at": ("datetime", "'2026-02-28 12:34:56'", "2026-02-28 12:34:56"),
    "at3": ("datetime(3)", "'2026-02-28 12:34:56.120'", "2026-02-28 12:34:56.120"),
    "instant": (
        "timestamp(6) null",
        "'2026-02-28 12:34:56.123456'",
        datetime(2026, 2, 28, 12, 34, 56, 123456, UTC),
    ),
    "zero_instant": ("timestamp null", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    "span": ("time", "'-838:59:59'", "-838:59:59"),
    "span3": ("time(3)", "'-00:00:01.250'", "-00:00:01.250"),
    "span6": ("time(6)", "'23:59:59.000001'", "23:59:59.000001"),
    "text_": ("varchar(300)", "'Grüße \U0001f600'", "Grüße \U0001f600"),
    "latin": ("varchar(20) character set latin1", "'Grüße €'", "Grüße €"),
    "wide": ("varchar(20) character set ucs2", "'Grüße'", "Grüße"),
    "fixed": ("char(10)", "'ab'", "ab"),
    "long_": ("longtext", "'x'", "x"),
    "one": ("enum('small', 'größer')", "'größer'", "größer"),
    "some": ("set('a', 'b', 'c')", "'c,a'", "a,c"),
    "none": ("set('a', 'b')", "''", ""),
    "raw": ("varbinary(10)", "x'00ff00'", b"\x00\xff\x00"),
    "padded": ("binary(4)", "x'ff00'", b"\xff\x00\x00\x00"),
    "large": ("longblob", "x'00ff'", b"\x00\xff"),
    "json_": ("json", "'{\"a\": 1}'", '{"a": 1}'),
    "id4": (
        "uuid",
        "'123e4567-e89b-42d3-a456-426655440000'",
        "123e4567-e89b-42d3-a456-426655440000",
    ),
    "id7": (
        "uuid",
        "'0190163d-8694-739b-aea5-966c26f8ad91'",
        "0190163d-8694-739b-aea5-966c26f8ad91",
    ),
    "address": ("inet6", "'2001:db8::ff00:42:8329'", "2001:db8::ff00:42:8329"),
    "nothing": ("int", "null", None),
}


async def test_values_are_the_same_in_rows_and_changes(store):
    """A table of every common type: a change has what a query of the row has."""
    columns = ", ".join(f"{name} {type_}" for name, (type_, _, _) in TYPES.items())
    values = ", ".join(text for _, text, _ in TYPES.values())
    store.run(
        "set sql_mode = ''",
        f"create table typed (n int primary key, {columns})",
        f"insert into typed values (1, {values})",
        charset="utf8mb4",
    )
    async with store.streaming("typed"):
        store.run("set sql_mode = ''", f"insert into typed values (2, {values})", charset="utf8mb4")
        await store.ears.until_heard(2)

    told, changed = (one["new"] for one in store.ears.data)
    expected = {name: value for name, (_, _, value) in TYPES.items()}
    expected["exact"] = "-12345678901234567890.0123456789"
    assert changed == {"n": 2, **expected}
    assert told == {"n": 1, **expected}


async def test_a_transaction_is_stored_in_one_commit(store):
    """All rows of a transaction come together; those of a rolled back one never."""
    store.run(ORDERS, "create table other (id int)")
    async with store.streaming("orders", snapshot=False):
        with store.line() as line, line.cursor() as cursor:
            cursor.execute("insert into orders values (100, 'gone', 1)")
            line.rollback()
        store.run(
            *(f"insert into orders values ({n}, 'new', {n})" for n in range(5)),
            "insert into other values (1)",
            together=True,
        )
        await store.ears.until_heard(5)

    assert [new["id"] for _, new in store.changes] == [0, 1, 2, 3, 4]
    assert store.ears.batches == [5]


async def test_a_large_transaction_goes_on_where_it_was_stored(store):
    """Above 10,000 rows it takes several commits; a death in between repeats and loses nothing."""
    store.run("create table large (id int primary key)")

    def die():
        store.ears.committed = lambda: None
        raise ConnectionError("died after the commit")

    store.ears.committed = die
    async with store.streaming("large", snapshot=False):
        store.run("insert into large select seq from seq_1_to_12000")
        await store.ears.until_heard(12_000)

    assert [new["id"] for _, new in store.changes] == list(range(1, 12_001))
    assert store.ears.batches[0] == 10_000
    assert "in" not in store.ears.position


async def test_only_wanted_ops_and_tables_come(store):
    """The others are read and left."""
    store.run(ORDERS, "create table other (id int primary key)")
    async with store.streaming("orders", ops=["delete"], snapshot=False):
        store.run(
            "insert into orders values (1, 'new', 1)",
            "insert into other values (1)",
            "delete from other",
            "delete from orders",
        )
        await store.ears.until_heard(1)

    assert [(one["op"], one["old"]["id"]) for one in store.ears.data] == [("delete", 1)]


async def test_it_goes_on_after_a_stop(store):
    """What changes while the daemon is away is told when it is back; rows are not told again."""
    store.run(ORDERS, "insert into orders values (1, 'new', 1)")
    async with store.streaming("orders"):
        await store.ears.until_heard(1)
    store.run("insert into orders values (2, 'new', 2)")
    async with store.streaming("orders"):
        await store.ears.until_heard(2)

    assert [(op, new["id"]) for op, new in store.changes] == [("snapshot", 1), ("insert", 2)]


async def test_an_interrupted_snapshot_goes_on_after_the_rows_told(store):
    """Rows told are not told again; what changed meanwhile comes as changes."""
    store.run(
        "create table many (id int primary key)", "insert into many select seq from seq_1_to_2500"
    )

    def die():
        store.ears.committed = lambda: None
        raise ConnectionError("died after the commit")

    store.ears.committed = die
    async with store.streaming("many"):
        store.run("insert into many values (9999)")
        await store.ears.until_heard(2501)

    assert sorted(new["id"] for _, new in store.changes) == [*range(1, 2501), 9999]


async def test_what_waits_at_the_server_is_counted(store):
    """The lag is how many transactions of its log are not stored here."""
    store.run(ORDERS)
    async with store.streaming("orders") as work:
        await store.ears.until(lambda: work.context.lags, "a lag")
        assert work.context.lags == [0]
    store.run(*(f"insert into orders values ({n}, 'new', 1), (-{n}, '', 2)" for n in range(1, 8)))
    store.ears.open.clear()
    async with store.following("orders") as work:
        await store.ears.until(lambda: work.context.lags, "a lag")
        assert work.context.lags == [7]
        store.ears.open.set()
        await store.ears.until_heard(14)


async def test_tables_may_change_while_they_are_followed(store):
    """Rows have the columns that they had when they were written."""
    store.run(ORDERS)
    async with store.streaming("orders"):
        store.run(
            "insert into orders values (1, 'new', 1)",
            "alter table orders add column note varchar(10), drop column total",
            "insert into orders values (2, 'new', 'x')",
        )
        await store.ears.until_heard(2)

    assert [new for _, new in store.changes] == [
        {"id": 1, "state": "new", "total": 1},
        {"id": 2, "state": "new", "note": "x"},
    ]


async def test_latest_passes_over_what_was(store):
    """A reset to latest goes on with what comes."""
    store.run(ORDERS, "insert into orders values (1, 'new', 1)")
    store.ears.position = "latest"
    async with store.streaming("orders"):
        store.run("insert into orders values (2, 'new', 2)")
        await store.ears.until_heard(1)

    assert [new["id"] for _, new in store.changes] == [2]


@pytest.mark.parametrize(
    ("tables", "position", "says"),
    [
        (["nowhere"], None, "there is no table"),
        (["seen"], None, "is a view: only tables have changes"),
        (["orders"], "soon", "position 'soon': it is earliest, latest or a GTID such as 0-1-42"),
        (["orders"], "0-1-999999", "the binary log has no longer what came after 0-1-999999"),
    ],
)
async def test_trouble_is_named(store, tables, position, says):
    """What cannot be followed says why."""
    store.run(ORDERS, "create view seen as select * from orders")
    store.ears.position = position
    async with store.following(*tables) as work:
        await work.failed(says, 20)


async def test_a_purged_log_is_a_loud_stop(store):
    """Nothing is passed over in silence; reset begins anew."""
    store.run(ORDERS, "insert into orders values (1, 'new', 1)")
    async with store.streaming("orders"):
        await store.ears.until_heard(1)
    await store.nobody_reads()  # the server keeps a log that is being read
    store.run("insert into orders values (2, 'lost', 2)", "flush binary logs")

    async def purged():
        # The server keeps a log until it has written down that it may go.
        *old, (last, _) = store.run("show binary logs")
        store.run(f"purge binary logs to '{last}'")
        return not old

    await eventually(purged, "a purged log", 20)

    async with store.following("orders") as work:
        error = await work.failed("no longer what came after", 20)
        assert work.state.state == "stopped"

    assert "reactor sources reset ID --to earliest" in error
    assert len(store.ears.heard) == 1
    store.ears.position = None
    async with store.streaming("orders"):
        await store.ears.until_heard(3)


async def test_settings_and_rights_are_named(store):
    """Each has the SQL that mends it, in the source and in doctor's look at the connection."""
    store.run(
        ORDERS,
        "create user if not exists poor@'127.0.0.1'",
        "grant usage on *.* to poor@'127.0.0.1'",
        "set global binlog_row_metadata = 'NO_LOG'",
    )
    dsn = store.server.dsn_at(store.server.port, user="poor", database=store.name)
    try:
        store.dsn = dsn.replace(f"/{store.name}", "/information_schema")
        async with store.following(f"{store.name}.orders") as work:
            error = await work.failed("SET GLOBAL binlog_row_metadata = 'FULL'", 20)
        said = await connection.probe(connection.config(dsn=store.dsn))
    finally:
        store.run("set global binlog_row_metadata = 'FULL'")
    mend = "GRANT REPLICATION SLAVE ON *.* TO 'poor'@'127.0.0.1'"
    assert mend in error
    assert mend in said
    store.run("grant replication slave on *.* to poor@'127.0.0.1'")
    async with store.following(f"{store.name}.orders") as work:
        await work.failed("GRANT SELECT ON", 20)
    store.run(f"grant select on {store.name}.orders to poor@'127.0.0.1'")
    async with store.streaming(f"{store.name}.orders"):
        store.run("insert into orders values (1, 'new', 1)")
        await store.ears.until_heard(1)


async def test_it_ends_at_once(store):
    """A stop hangs up, also while nothing can be stored and much waits; no thread is left."""
    store.run("create table many (id int primary key)")
    async with store.streaming("many", snapshot=False):
        store.ears.open.clear()
        store.run(*(f"insert into many values ({n})" for n in range(300)))

    await store.nobody_reads()
    store.ears.open.set()
    async with store.streaming("many", snapshot=False):
        await store.ears.until_heard(300)
    assert [new["id"] for _, new in store.changes] == list(range(300))


async def test_columns_that_a_session_kept_out_are_absent(store):
    """A session may log less of a row; what it kept out is not called null."""
    store.run(ORDERS, "insert into orders values (1, 'new', null)")
    async with store.streaming("orders", snapshot=False):
        store.run(
            "set session binlog_row_image = 'MINIMAL'",
            "update orders set state = 'paid'",
            "delete from orders",
        )
        await store.ears.until_heard(2)

    assert [(one["old"], one["new"]) for one in store.ears.data] == [
        ({"id": 1}, {"state": "paid"}),
        ({"id": 1}, None),
    ]
    assert {one.key for one in store.ears.heard} == {f"{store.name}.orders/1"}


async def test_statements_instead_of_rows_are_warned_of(store, caplog):
    """A session that logs its statements hides its rows, which is said aloud."""
    store.run(ORDERS)
    async with store.streaming("orders"):
        store.run(
            "set session binlog_format = 'STATEMENT'",
            "insert into orders values (1, 'hidden', 1)",
            "set session binlog_format = 'ROW'",
            "insert into orders values (2, 'seen', 1)",
        )
        await store.ears.until_heard(1)

    assert [new["id"] for _, new in store.changes] == [2]
    assert "a session has logged its statement and not its rows" in caplog.text


async def test_a_compressed_log_is_refused(store):
    """The setting is named at the start; compressed in mid-stream it is a failure, not a gap."""
    store.run(ORDERS)
    try:
        async with store.streaming("orders") as work:
            store.run(
                "set global log_bin_compress_min_len = 10",
                "set global log_bin_compress = 'ON'",
                f"insert into orders values (1, '{'a' * 20}', 1)",
            )
            await work.failed("SET GLOBAL log_bin_compress = 'OFF'")
    finally:
        store.run("set global log_bin_compress = 'OFF'")

    assert store.ears.heard == []


async def test_tables_without_transactions_are_followed_too(store):
    """Their changes end with COMMIT and not with a number."""
    store.run("create table plain (id int, note text) engine = aria")
    async with store.streaming("plain"):
        store.run("insert into plain values (1, 'a'), (2, 'b')", "delete from plain where id = 1")
        await store.ears.until_heard(3)

    assert [one["op"] for one in store.ears.data] == ["insert", "insert", "delete"]
