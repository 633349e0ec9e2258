"""LISTEN and NOTIFY, alone and as a hint to ask a query."""

import psycopg
import pytest

from reactor.connectors.sql.changes import postgres as source
from tests.brokers.listening import Ears, listening

pytestmark = pytest.mark.broker


def run(server, *statements):
    """Run statements, each its own commit."""
    with psycopg.connect(server.dsn, autocommit=True) as line:
        for each in statements:
            line.execute(each)


async def test_notifications_are_events(postgres):
    """Payloads come with their channel: JSON as its value, all else as text."""
    ears = Ears()
    config = {"dsn": postgres.dsn, "mode": "notify", "channels": ["orders", "Mixed case"]}
    async with listening(source, config, ears) as work:
        await work.up()
        run(postgres, "notify orders, '{\"id\": 7}'", "notify \"Mixed case\", '7'", "notify orders")
        await ears.until_heard(3)

    assert ears.data == [{"id": 7}, "7", ""]
    assert [one.fields["channel"] for one in ears.heard] == ["orders", "Mixed case", "orders"]


async def test_with_a_query_nothing_is_lost(postgres):
    """Rows are the events: those of a time without a listener, and those that nobody notified."""
    run(postgres, "create table jobs (id serial primary key)", "insert into jobs default values")
    ears = Ears()
    also = {"query": "select * from jobs", "cursor": {"column": "id"}, "every": "1h"}
    config = {"dsn": postgres.dsn, "mode": "notify", "channels": ["jobs"], "also": also}
    async with listening(source, config, ears):
        await ears.until_heard(1)
    run(postgres, "insert into jobs default values", "notify jobs")
    async with listening(source, config, ears):
        await ears.until_heard(2)
        run(postgres, "insert into jobs default values", "notify jobs")
        await ears.until_heard(3)

    assert [row["id"] for row in ears.data] == [1, 2, 3]


async def test_a_lost_line_is_found_again(postgres):
    """When the server hangs up, the source is back by itself."""
    ears = Ears()
    config = {"dsn": postgres.dsn, "mode": "notify", "channels": ["again"]}
    async with listening(source, config, ears) as work:
        await work.up()
        run(
            postgres,
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where query like '%LISTEN%again%' and pid <> pg_backend_pid()",
        )
        await work.failed("connection")
        await ears.until(lambda: work.state.state == "up", "up again")
        run(postgres, "notify again, 'x'")
        await ears.until_heard(1)
