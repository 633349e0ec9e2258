"""Polling a table of SQLite: what is new, late, repeated, unwanted, wrong."""

import random

import pytest

from reactor.connectors.sql.polling import sql
from reactor.errors import SourceFailed
from reactor.expr.parse import Expression, parse
from reactor.expr.scope import Scope


def expression(text: str) -> Expression:
    """An expression over the event, as the loader makes it."""
    return parse(text, Scope({"event": None}))


def poll(listen, **config):
    """A source of orders by their number."""
    written = {
        "dsn": "sqlite:shop.db",
        "query": "select * from orders",
        "cursor": {"column": "id"},
        "every": "20ms",
        **config,
    }
    return listen(sql, **written)


def order(number, state="new", at="2026-01-01 00:00:00"):
    """The statement that takes an order."""
    return f"insert into orders values ({number}, '{state}', '{at}')"


async def test_rows_that_are_there_come_first(listen, shop):
    """The first look begins at the earliest row, the next ones bring what is new."""
    shop.run(order(1), order(2))
    source = poll(listen)
    async with source.running() as ears:
        shop.run(order(3))
        await ears.until(lambda: len(ears.heard) == 3, "three orders")

    assert [row["id"] for row in ears.data] == [1, 2, 3]
    assert ears.data[0] == {"id": 1, "state": "new", "changed_at": "2026-01-01 00:00:00"}


async def test_a_look_that_finds_nothing_writes_nothing(listen, shop):
    """Looks without new rows leave no trace in the store."""
    shop.run(order(1))
    source = poll(listen)
    async with source.running() as ears:
        commits = ears.commits
        await source.looked(3)

        assert ears.commits == commits


async def test_start_latest_passes_over_what_is_there(listen, shop):
    """With latest only rows that come later are events, also those committed out of order."""
    shop.run(order(1), order(5))
    source = poll(listen, cursor={"column": "id", "start": "latest"})
    async with source.running() as ears:
        shop.run(order(6), order(4))
        await ears.until(lambda: len(ears.heard) == 2, "two orders")

    assert sorted(row["id"] for row in ears.data) == [4, 6]


@pytest.mark.parametrize(("to", "told"), [(None, [5, 1, 5, 6]), ("latest", [5, 6])])
async def test_a_reset_moves_it(listen, shop, to, told):
    """Earliest tells all rows, whatever `start` says; latest only what comes."""
    shop.run(order(1))
    source = poll(listen, cursor={"column": "id", "start": "latest"})
    async with source.running() as ears:
        shop.run(order(5))
        await ears.until(lambda: ears.heard, "an order")
    source.ears.position = to
    async with source.running() as ears:
        shop.run(order(6))
        await ears.until(lambda: ears.data[-1]["id"] == 6, "the last")

    assert [row["id"] for row in ears.data] == told


async def test_a_restart_repeats_nothing(listen, shop):
    """What was seen is known after a restart, what came meanwhile is told."""
    shop.run(order(1), order(2))
    source = poll(listen)
    async with source.running():
        pass
    shop.run(order(3))
    async with source.running() as ears:
        await ears.until(lambda: len(ears.heard) == 3, "three orders")

    assert [row["id"] for row in ears.data] == [1, 2, 3]


async def test_a_crash_after_the_commit_repeats_nothing(listen, shop):
    """A daemon that dies between commit and answer goes on after the committed page."""
    shop.run(*(order(number) for number in range(1, 31)))
    source = poll(listen)
    source.ears.crash_after(1)
    await source.failure()
    async with source.running() as ears:
        await source.looked()

    assert [row["id"] for row in ears.data] == list(range(1, 31))


async def test_unwanted_rows_are_seen_too(listen, shop):
    """Rows that no flow wants are passed, and not judged again."""
    shop.run(order(1), order(2), order(3))
    source = poll(listen)
    source.ears.wanted = lambda one: one.data["id"] == 2
    async with source.running() as ears:
        await source.looked(2)
    async with source.running():
        await source.looked()

    assert [row["id"] for row in ears.data] == [2]
    assert ears.batches == [3]


async def test_a_changed_row_is_an_event_by_its_time(listen, shop):
    """With a time as cursor a row comes again in each new state, with its id as key."""
    shop.run(order(1, "new", "2026-01-01 10:00:00"))
    source = poll(listen, cursor={"column": ["changed_at", "id"]}, id=expression("event.data.id"))
    async with source.running() as ears:
        shop.run("update orders set state = 'paid', changed_at = '2026-01-01 10:00:30'")
        await ears.until(lambda: len(ears.heard) == 2, "both states")

    assert [(one.key, one.data["state"]) for one in ears.heard] == [("1", "new"), ("1", "paid")]


async def test_late_commits_within_the_overlap_are_found(listen, shop):
    """Rows that become visible late and out of order are all told, once."""
    numbers = list(range(1, 301))
    chance = random.Random(7)
    late = sorted(numbers, key=lambda number: number + chance.uniform(0, 90))
    source = poll(listen, every="1ms")
    async with source.running() as ears:
        for start in range(0, 300, 10):
            shop.run(*(order(number) for number in late[start : start + 10]))
            await source.looked(0)
        await ears.until(lambda: len(ears.heard) >= 300, "all orders")
        await source.looked()

    assert sorted(row["id"] for row in ears.data) == numbers


async def test_what_is_known_does_not_grow(listen, shop):
    """Rows before the overlap are forgotten."""
    shop.run(*(order(number) for number in range(1, 2501)))
    source = poll(listen, cursor={"column": "id", "overlap": 50})
    async with source.running() as ears:
        await source.looked()

    assert len(ears.heard) == 2500
    assert max(ears.batches) == 1000
    assert len(ears.places) <= 51 * 2


async def test_without_a_cursor_changes_of_the_whole_are_events(listen, shop):
    """Each row that is new or differs since the last look comes, one that came back too."""
    shop.run(order(1), order(2))
    source = poll(listen, cursor=None, id=expression("event.data.id"))
    async with source.running() as ears:
        shop.run("update orders set state = 'paid' where id = 1", "delete from orders where id = 2")
        await ears.until(lambda: len(ears.heard) == 3, "the change")
        await source.looked()
        shop.run(order(2))
        await ears.until(lambda: len(ears.heard) == 4, "the row that came back")

    assert [(row["id"], row["state"]) for row in ears.data] == [
        (1, "new"),
        (2, "new"),
        (1, "paid"),
        (2, "new"),
    ]


async def test_a_null_cursor_is_named(listen, shop):
    """A row that no look could ever find is said, with the row."""
    shop.run("insert into orders values (7, 'new', null)")
    failure = await poll(listen, cursor={"column": "changed_at"}).failure()

    assert isinstance(failure, SourceFailed)
    assert "the cursor changed_at is null in the row id 7" in str(failure)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"query": "select 1 fro"}, "no such column: id"),
        ({"query": "select * from nowhere"}, "no such table: nowhere"),
        ({"cursor": {"column": "state", "overlap": 5}}, "an overlap needs a time or a number"),
        ({"cursor": {"column": "changed_at", "overlap": 5}}, "is a duration such as 5m, not 5"),
        ({"cursor": {"column": "id", "overlap": "5m"}}, "its overlap is a number too, not 5m"),
        ({"cursor": {"column": "changd_at"}}, "no such column: changd_at"),
        ({"dsn": "sqlite:missing.db"}, "unable to open database file"),
        ({"dsn": "oracle://shop"}, "none that this build knows: postgresql://"),
        ({"id": expression("event.data.state + 1")}, "id: "),
    ],
)
async def test_what_is_wrong_is_named(listen, shop, config, says):
    """The source fails with a text that names the cause."""
    shop.run(order(1))
    source = poll(listen, **config)

    assert says in str(await source.failure())


async def test_a_wrong_overlap_is_told_at_the_second_look(listen, shop):
    """A text that is no time has no earlier."""
    shop.run(order(1, at="soon"))
    source = poll(listen, cursor={"column": "changed_at", "overlap": "5m"})

    assert "an overlap needs a time or a number" in str(await source.failure())
