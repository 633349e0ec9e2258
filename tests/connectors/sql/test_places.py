"""What steps and polling do alike in PostgreSQL, MariaDB and SQLite."""

import asyncio
import copy
import gc
import os
import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor.connectors.sql.action import sql
from reactor.connectors.sql.database import Session
from reactor.connectors.sql.dsn import database
from reactor.connectors.sql.polling import sql as polling
from reactor.errors import ActionFailed, DatabaseFailed
from reactor.expr.parse import parse
from reactor.expr.scope import Scope
from tests.brokers.listening import Ears, eventually, listening
from tests.brokers.mariadb import Mariadb
from tests.brokers.postgres import Postgres
from tests.brokers.proxy import Proxy
from tests.connectors.conftest import OpenedOnce
from tests.connectors.sql.conftest import Place

pytestmark = pytest.mark.broker
CYCLES = 50 if os.environ.get("REACTOR_CHAOS") == "full" else 1
# SQLite lets one write at a time, and has no server.
SERVERS = pytest.mark.parametrize("place", ["postgres", "mysql"], indirect=True)
EVENT_ID = parse("event.data.id", Scope({"event": None}))
EPOCH = datetime(1990, 1, 1, tzinfo=UTC)
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=5,
)
INSTANTS = st.integers(0, 10**15).map(lambda micros: EPOCH + timedelta(microseconds=micros))


async def done(attempt, place, **written):
    """What a step gives."""
    return await attempt.do(sql, {"dsn": place.dsn, **written})


async def test_values_come_back_as_they_went(attempt, place):
    """Each common type keeps its value from a step into the database and out again."""
    await place.run(
        "create table kept (id KEY, i bigint, x EXACT, f FLOAT, t varchar(100), "
        "b BYTES, j JSON, m INSTANT)"
    )
    text = "insert into kept (i, x, f, t, b, j, m) values ($1, $2, $3, $4, $5, $6, $7)"

    async with place.session() as session:

        async def there_and_back(values):
            await session.execute("delete from kept")
            await session.execute(text, values)
            (row,) = await session.query("select i, x, f, t, b, j, m from kept", max_rows=1)
            found = list(row.values())
            if place.kind != "postgres":  # JSON and, in SQLite, times are texts there
                found[5] = parse_json(found[5])
            if place.kind == "sqlite" and found[6] is not None:
                found[6] = datetime.fromisoformat(found[6])
            assert found == values

        await examples(there_and_back)


async def examples(there_and_back):
    """Many values, one after the other on this loop."""
    loop = asyncio.get_running_loop()

    @given(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.integers(-(2**53), 2**53) | st.sampled_from([0.5, 12.25, -3.125]),
            st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
            st.none() | PLAIN,
            st.none() | st.binary(max_size=60),
            st.none() | st.dictionaries(PLAIN, JSON, max_size=3) | st.lists(JSON, max_size=3),
            st.none() | INSTANTS,
        ).map(list)
    )
    @settings(
        max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    def tried(values):
        asyncio.run_coroutine_threadsafe(there_and_back(values), loop).result(10)

    await asyncio.to_thread(tried)


def parse_json(text):
    """The value of a JSON text or null."""
    return EVENT_JSON.evaluate({"event": {"text": text}}) if isinstance(text, str) else text


EVENT_JSON = parse("event.text | parse_json", Scope({"event": None}))


async def test_an_upsert_in_batches(attempt, place):
    """Thousands of rows go in, twice the same, with quoted names and a conflict inside a batch."""
    await place.run(
        "create table prices (sku varchar(50) primary key, price EXACT, "
        + ('`a "b`' if place.kind == "mysql" else '"a ""b"')
        + " varchar(50))"
    )
    rows = [{"sku": f"s{n}", "price": n, 'a "b': "x'y"} for n in range(2500)]
    upsert = {"table": "prices", "conflict": ["sku"], "rows": [*rows, {**rows[0], "price": 7}]}

    assert await done(attempt, place, upsert=upsert) == {"rows": 2501}
    assert await done(attempt, place, upsert={**upsert, "set": []}) == {"rows": 2501}

    assert await place.rows("select count(*), sum(price) from prices") == [
        (2500, sum(range(2500)) + 7)
    ]


async def test_a_failed_transaction_leaves_nothing(attempt, place):
    """All statements happen or none."""
    await place.run("create table t (id int primary key)")
    both = [{"execute": "insert into t values (1)"}, {"execute": "insert into t values (1)"}]

    with pytest.raises(ActionFailed) as failure:
        await done(attempt, place, transaction=both)

    assert not failure.value.transient
    assert await place.rows("select * from t") == []


async def test_an_effect_happens_once(attempt, place):
    """A step done again changes nothing and gives what it gave."""
    await place.run("create table t (n int)", "insert into t values (1)")
    written = {"execute": "update t set n = n + 1", "once_key": True}

    first, again = await done(attempt, place, **written), await done(attempt, place, **written)

    assert first == again == {"rows": 1}
    assert await place.rows("select n from t") == [(2,)]


async def test_many_steps_make_the_table_of_keys_at_once(attempt, place):
    """The first steps of a database do not stand in each other's way."""
    await place.run("create table t (n int)")
    text = "insert into t values (1)"

    async def step(number):
        one = copy.copy(attempt)
        one.key, one.shared = f"exe_{number}", OpenedOnce(AsyncExitStack())
        await done(one, place, execute=text, once_key=True)
        for pool in one.shared.found.values():
            await pool.close()

    await asyncio.gather(*map(step, range(8)))

    assert await place.rows("select count(*) from t") == [(8,)]


async def test_too_many_rows_are_refused_early(attempt, place):
    """A query is not read beyond the limit."""
    await place.run("create table t (n int)")
    await done(attempt, place, upsert={"table": "t", "rows": [{"n": n} for n in range(5000)]})

    with pytest.raises(ActionFailed, match="gives more than 100 rows"):
        await done(attempt, place, query="select a.n from t a, t b, t c", max_rows=100)
    assert len(await done(attempt, place, query="select n from t", max_rows=5000)) == 5000


async def test_a_query_without_rows_gives_none(attempt, place):
    """An effect under `query` happens, and has no rows."""
    await place.run("create table t (n int)")

    assert await done(attempt, place, query="insert into t values ($1)", params=[1]) == []
    assert await place.rows("select n from t") == [(1,)]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"query": "selec 1"}, "selec"),
        ({"query": "select * from nowhere"}, "nowhere"),
        ({"query": "select $2", "params": [1]}, "."),
    ],
)
async def test_wrong_statements_are_not_tried_again(attempt, place, written, says):
    """The database's own words come through."""
    with pytest.raises(ActionFailed, match=says) as failure:
        await done(attempt, place, **written)

    assert failure.value.kind == "sql"
    assert not failure.value.transient


async def test_a_cancelled_statement_ends(place):
    """Cancelling a statement that runs for long ends it within a second."""
    slow = {
        "postgres": "select pg_sleep(60)",
        "mysql": "select sleep(60)",
        "sqlite": "with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select count(*) from n",
    }[place.kind]
    async with place.session() as session:
        running = asyncio.create_task(session.query(slow, max_rows=1))
        await asyncio.sleep(0.2)
        running.cancel()
        async with asyncio.timeout(3):
            await asyncio.wait([running])

    assert running.cancelled()


@SERVERS
async def test_late_committers_are_all_found(place, listen):
    """Writers that take their number early and commit late, out of order: nothing is missed."""
    await place.run("create table orders (id KEY, at INSTANT, writer int)")
    source = listen(
        polling,
        dsn=place.dsn,
        query="select * from orders",
        cursor={"column": ["id"], "overlap": 50},
        id=EVENT_ID,
        every="5ms",
    )
    chance = random.Random(5)

    async def write(number, session: Session):
        for _ in range(12):
            async with session.transaction():
                await session.execute("insert into orders (writer) values ($1)", [number])
                await asyncio.sleep(chance.uniform(0, 0.04))

    async with source.running() as ears:
        opened = [place.session() for _ in range(5)]
        sessions = [await each.__aenter__() for each in opened]
        await asyncio.gather(*(write(n, session) for n, session in enumerate(sessions)))
        for each in opened:
            await each.__aexit__(None, None, None)
        await ears.until(lambda: len(ears.heard) >= 5 * 12, "all")
        await source.looked()

    wanted = [id_ for (id_,) in await place.rows("select id from orders order by id")]
    assert sorted(row["id"] for row in ears.data) == wanted


async def test_a_table_larger_than_a_page(place, listen):
    """Pages come in order, and a restart in the middle goes on."""
    await place.run("create table orders (id KEY, at INSTANT)")
    async with place.session() as session, session.transaction():
        await session.many(
            "insert into orders (id, at) values ($1, $2)",
            [[n, EPOCH + timedelta(seconds=n // 3)] for n in range(1, 3501)],
        )
    cursor = {"column": ["at", "id"], "overlap": "10s"}
    config = {"dsn": place.dsn, "query": "select * from orders;", "cursor": cursor}
    source = listen(polling, **config, every="10ms")
    source.ears.crash_after(2)
    await source.failure()

    async with source.running() as ears:
        await source.looked()

    assert [row["id"] for row in ears.data] == list(range(1, 3501))
    assert len(ears.places) < 1100


async def test_a_cursor_that_has_no_order_is_named(postgres, listen):
    """A column of points or of json cannot say which row is newer."""
    for column in ("json", "point"):
        query = f"select {column}('{'{}' if column == 'json' else '(1,2)'}') as at"
        config = {"dsn": postgres.dsn, "query": query, "cursor": {"column": ["at"]}}
        source = listen(polling, **config, every="1s")

        said = str(await source.failure())

        assert f"ordering operator for type {column}" in said


async def test_a_slow_query_is_named(place, listen):
    """A look that takes too long fails with what helps."""
    if place.kind == "sqlite":
        slow = (
            "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) i from n"
        )
    else:
        slow = f"select {'pg_sleep(9)::text' if place.kind == 'postgres' else 'sleep(9)'} as i"
    source = listen(polling, dsn=place.dsn, query=slow, every="1s", statement_timeout="200ms")

    assert "took longer than 200ms" in str(await source.failure())


async def test_a_half_open_line_is_noticed(mariadb, tmp_path):
    """Nothing comes through and nothing says so: a look has a deadline, and the next one works."""
    place, ears = Place("mysql", mariadb.dsn, tmp_path), Ears()
    await place.run("create table half (id KEY)", "insert into half values ()")
    with Proxy(mariadb.port) as proxy:
        config = {
            "dsn": mariadb.dsn_at(proxy.port),
            "query": "select * from half",
            "cursor": {"column": "id"},
            "every": "20ms",
            "statement_timeout": "500ms",
        }
        async with listening(polling, config, ears) as work:
            await ears.until_heard(1)
            proxy.half_open()
            await work.failed("took longer than 500ms", 20)
            proxy.mend()
            await place.run("insert into half values ()")
            await ears.until_heard(2)

    assert [row["id"] for row in ears.data] == [1, 2]


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
async def test_polling_over_kills_and_cuts(kind, tmp_path, record_property):
    """Rows that are added while the server is killed and cut off come once each."""
    ears, loop, resumed = Ears(), asyncio.get_running_loop(), []
    made = Postgres() if kind == "postgres" else Mariadb()
    with made as server, Proxy(server.port) as proxy:
        place = Place(kind, server.dsn, tmp_path)
        await place.run("create table orders (id KEY, n int)")
        config = {
            "dsn": server.dsn_at(proxy.port),
            "query": "select * from orders",
            "cursor": {"column": "id"},
            "every": "20ms",
        }

        async def resumes():
            began = loop.time()
            await place.run(*["insert into orders (n) values (1)"] * 5)
            await ears.until_heard(len(ears.heard) + 1)
            resumed.append(round(loop.time() - began, 2))

        async with listening(polling, config, ears):
            await resumes()
            for _ in range(CYCLES):
                await asyncio.to_thread(server.restart)
                await resumes()
                proxy.reset()
                await resumes()
            rows = await place.rows("select id from orders order by id")
            await ears.until_heard(len(rows))

    assert [(row["id"],) for row in ears.data] == rows
    record_property("rows", len(rows))
    record_property("faults", len(resumed) - 1)
    record_property("longest_to_resume_secs", max(resumed))


async def test_a_lost_connection_may_be_tried_again(postgres):
    """A server that hangs up, and one that is not there, are failures that pass."""
    session = await database(postgres.dsn, ".").connect()
    with pytest.raises(DatabaseFailed) as hung_up:
        await session.query("select pg_terminate_backend(pg_backend_pid())", max_rows=1)
    await session.close()
    with pytest.raises(DatabaseFailed) as away:
        await database("postgresql://a@127.0.0.1:1/a", ".").connect()
    with pytest.raises(DatabaseFailed) as unknown:
        await database(postgres.dsn_at(postgres.port, database="nowhere"), ".").connect()

    assert hung_up.value.transient
    assert away.value.transient
    assert not unknown.value.transient


async def test_pages_of_a_server_that_is_gone_leave_nothing_open(postgres):
    """Who stops reading after the line was lost hears so, and psycopg has nothing to warn of."""
    session = await database(postgres.dsn, ".").connect()
    other = await database(postgres.dsn, ".").connect()
    query = "select pg_backend_pid() as pid from generate_series(1, 10)"
    pages = session.pages(query, [], 2)
    page = await anext(pages)
    gone = "select pg_terminate_backend($1, 5000)::text as gone"
    await other.query(gone, [page[0]["pid"]], max_rows=1)

    with pytest.raises(DatabaseFailed) as failure:
        await pages.aclose()

    await session.close()
    await other.close()
    transient = failure.value.transient
    del pages, failure
    gc.collect()
    assert transient


@SERVERS
async def test_deadlocks_may_be_tried_again(place):
    """Of two transactions that wait for each other one fails, and may be tried again."""
    await place.run(
        "create table t (id int primary key, n int)", "insert into t values (1,0),(2,0)"
    )
    failures = []

    async def cross(session, first, second):
        text = "update t set n = n + 1 where id = $1"
        try:
            async with session.transaction():
                await session.execute(text, [first])
                await asyncio.sleep(0.1)
                await session.execute(text, [second])
        except DatabaseFailed as error:
            failures.append(error)

    async with place.session() as one, place.session() as other:
        await asyncio.gather(cross(one, 1, 2), cross(other, 2, 1))

    assert [error.transient for error in failures] == [True]


@SERVERS
async def test_the_pool_uses_connections_again(attempt, place):
    """Steps one after the other share a connection; one that the server closed is replaced."""
    asked, kill, there = {
        "postgres": (
            "select pg_backend_pid() as id",
            "select pg_terminate_backend({})::text as done",
            "select pid from pg_stat_activity where pid = {}",
        ),
        "mysql": (
            "select connection_id() as id",
            "kill {}",
            "select id from information_schema.processlist where id = {}",
        ),
    }[place.kind]
    (first,), (again,) = [await done(attempt, place, query=asked) for _ in range(2)]

    async def gone():
        return await place.rows(there.format(first["id"])) == []

    await place.run(kill.format(first["id"]))
    await eventually(gone, "the end of the connection")
    (fresh,) = await done(attempt, place, query=asked)

    assert first == again != fresh
