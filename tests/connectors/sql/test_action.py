"""The `sql` action on SQLite: rows, effects, upserts, transactions, effects once."""

import sqlite3

import pytest

from reactor.connectors.sql.action import sql
from reactor.connectors.sql.sqlite import SqliteDatabase
from reactor.errors import ActionFailed, DatabaseFailed


async def done(attempt, **written):
    """What a step gives."""
    return await attempt.do(sql, {"dsn": "sqlite:shop.db", **written})


async def test_a_query_gives_maps(attempt, shop):
    """Rows come as maps; parameters are bound, as often as they are named."""
    shop.run("insert into prices values ('a', 1.5, null), ('b', 2, 'x')")
    query = "select * from prices where sku = $2 or (price < $1 and $1 < 5)"

    rows = await done(attempt, query=query, params=[1.6, "b"])

    assert rows == [
        {"sku": "a", "price": 1.5, "note": None},
        {"sku": "b", "price": 2.0, "note": "x"},
    ]


async def test_data_is_never_sql(attempt, shop):
    """A value with quotes in it is a value."""
    nasty = "'); drop table prices; --"
    await done(attempt, execute="insert into prices values ($1, 1, null)", params=[nasty])

    assert shop.rows("select sku from prices") == [(nasty,)]


async def test_execute_counts_rows(attempt, shop):
    """A statement without rows says how many it touched."""
    shop.run("insert into prices values ('a', 1, null), ('b', 2, null)")

    assert await done(attempt, execute="update prices set price = 3") == {"rows": 2}


async def test_too_many_rows_fail(attempt, shop):
    """More rows than max_rows are a failure that says the remedy, not half a result."""
    shop.run("insert into prices values ('a', 1, null), ('b', 2, null)")

    assert len(await done(attempt, query="select * from prices", max_rows=2)) == 2
    with pytest.raises(ActionFailed, match="more than 1 rows: add a limit to it, or raise"):
        await done(attempt, query="select * from prices", max_rows=1)


async def test_an_upsert_inserts_and_changes(attempt, shop):
    """Rows are inserted; where they are there, all columns but those of conflict change."""
    shop.run("insert into prices values ('a', 1, 'old')")
    rows = [{"sku": "a", "price": 5, "note": "new"}, {"sku": "b", "price": 6, "note": None}]

    given = await done(attempt, upsert={"table": "prices", "conflict": ["sku"], "rows": rows})

    assert given == {"rows": 2}
    assert shop.rows("select * from prices order by sku") == [("a", 5, "new"), ("b", 6, None)]


@pytest.mark.parametrize(("set_", "left"), [(["price"], ("a", 5, "old")), ([], ("a", 1, "old"))])
async def test_an_upsert_changes_what_set_says(attempt, shop, set_, left):
    """Of a row that is there only the columns of `set` change; none where it is empty."""
    shop.run("insert into prices values ('a', 1, 'old')")
    rows = [{"sku": "a", "price": 5, "note": "new"}]
    upsert = {"table": "prices", "conflict": ["sku"], "rows": rows, "set": set_}

    await done(attempt, upsert=upsert)

    assert shop.rows("select * from prices") == [left]


@pytest.mark.parametrize(
    ("upsert", "says"),
    [
        ({"rows": [{"sku": "a"}, {"sku": "b", "price": 1}]}, "row 1 has other columns than row 0"),
        ({"rows": [{"price": 1}], "conflict": ["sku"]}, "the rows have no column 'sku'"),
        ({"rows": [{"sku": "a"}], "conflict": ["sku"], "set": ["x"]}, "no column 'x'"),
        ({"rows": [{'a" = 1; --': 1}]}, "has no column named"),
    ],
)
async def test_rows_that_do_not_fit_are_named(attempt, shop, upsert, says):
    """What is wrong with an upsert's rows is said, and no name becomes SQL."""
    with pytest.raises(ActionFailed, match=says):
        await done(attempt, upsert={"table": "prices", **upsert})


async def test_a_transaction_is_all_or_nothing(attempt, shop):
    """When one statement fails none has happened."""
    both = [
        {"execute": "insert into prices values ('a', 1, null)"},
        {"execute": "insert into prices values ($1, 1, null)", "params": ["a"]},
    ]

    with pytest.raises(ActionFailed, match="UNIQUE constraint failed"):
        await done(attempt, transaction=both)

    assert shop.rows("select * from prices") == []
    assert await done(attempt, transaction=[both[0], {"query": "select sku from prices"}]) == [
        {"rows": 1},
        [{"sku": "a"}],
    ]


async def test_once_key_makes_an_effect_once(attempt, shop):
    """The same step does nothing again, and gives what it gave; another step does."""
    shop.run("insert into prices values ('a', 1, null)")
    written = {"execute": "update prices set price = price + 1", "once_key": True}

    first, again = await done(attempt, **written), await done(attempt, **written)
    attempt.key = "exe_1/do.1"
    await done(attempt, **written)

    assert first == again == {"rows": 1}
    assert shop.rows("select price from prices") == [(3,)]
    assert len(shop.rows("select * from reactor_once")) == 2


async def test_a_step_that_failed_is_not_done(attempt, shop):
    """The key goes with the transaction when a statement fails."""
    written = {"execute": "insert into prices values ('a', 1, null)", "once_key": "done_here"}
    shop.run("insert into prices values ('a', 1, null)")
    with pytest.raises(ActionFailed):
        await done(attempt, **written)
    shop.run("delete from prices")

    assert await done(attempt, **written) == {"rows": 1}


async def test_a_locked_database_may_be_tried_again(shop):
    """Another program's lock is a failure that passes."""
    connection = sqlite3.connect(shop.path, isolation_level=None)
    connection.execute("begin exclusive")
    session = await SqliteDatabase(shop.path, busy_secs=0.01).connect()
    with pytest.raises(DatabaseFailed) as failure:
        await session.execute("insert into prices values ('a', 1, null)")
    await session.close()
    connection.close()

    assert failure.value.transient
    assert failure.value.code == "SQLITE_BUSY"


async def test_data_may_not_choose_the_database(attempt, shop):
    """A DSN that an event wrote is refused."""
    with pytest.raises(ActionFailed, match="data may not choose the database"):
        await attempt.do(
            sql, {"dsn": "sqlite:shop.db", "query": "select 1"}, data={"dsn": "sqlite:"}
        )
