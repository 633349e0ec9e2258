"""Steps and polling inside a whole reactor: secrets, retries, keys, positions."""

from reactor.model.event import Received
from reactor.plugin.catalog import Catalog
from reactor.testing import World

FLOW = """
flow: orders
when:
  event: {type: order}
do:
  - id: take
    sql:
      dsn: ${{ secrets.shop }}
      execute: insert into orders values ($1, 'new', $2)
      params: ["${{ event.data.id }}", "${{ event.time }}"]
      once_key: true
  - id: rows
    sql:
      dsn: ${{ secrets.shop }}
      query: select id, changed_at from orders
  - sql:
      dsn: ${{ secrets.shop }}
      upsert: {table: prices, conflict: [sku], rows: "${{ event.data.rows }}"}
  - log: ${{ steps.rows.output[0].id }} ${{ steps.rows.output[0].changed_at }}
"""


async def test_a_flow_writes_and_reads(shop):
    """The DSN is a secret, rows are lists of maps, times are texts in SQLite."""
    secrets = {"shop": f"sqlite:{shop.path}"}
    async with World(FLOW, secrets=secrets) as world:
        await world.emit("order", {"id": 7, "rows": [{"sku": "a", "price": 1.5}]})

        assert await world.states() == ["ok"]
    assert shop.rows("select id, state, changed_at from orders") == [
        (7, "new", "2026-01-01T00:00:00Z")
    ]
    assert shop.rows("select sku, price from prices") == [("a", 1.5)]


async def test_data_in_the_dsn_is_denied(shop):
    """A DSN with event data in it fails the step, whatever the data says."""
    text = FLOW.replace("dsn: ${{ secrets.shop }}", 'dsn: "sqlite:${{ event.data.path }}"', 1)
    async with World(text, secrets={"shop": "sqlite:shop.db"}) as world:
        await world.emit("order", {"path": str(shop.path)})
        (execution,) = await world.executions()

    assert execution.error is not None
    assert execution.error.kind == "denied"


async def test_polled_rows_reach_conditions():
    """A row is event.data, its id the key; the source runs outside of a world."""
    text = """
flow: paid
when:
  sql: {dsn: "sqlite:shop.db", query: select * from orders, id: event.data.id, every: 1m}
only_if: event.data.state == "paid" and event.key == "2"
do:
  - log: ${{ event.key }}
"""
    async with World(text) as world:
        (flow,) = world.load(text)
        instance = flow.triggers[0].instance
        rows = [
            Received(data={"id": n, "state": s}, key=str(n)) for n, s in ((1, "new"), (2, "paid"))
        ]
        await world.offer(instance, *rows)

        assert len(await world.executions()) == 1


def test_how_often_is_no_part_of_a_subscription():
    """Another pace or patience does not read all rows again; another query does."""
    sql = "sql: {{dsn: 'sqlite:a', query: {}, id: event.data.{}, every: {}}}"
    text = f"flow: f\nwhen:\n  {sql}\ndo: [{{{{log: a}}}}]"
    world = World()

    def instance(*parts):
        (flow,) = world.load(text.format(*parts))
        return flow.triggers[0].instance

    first = instance("select 1", "id", "1m")

    assert instance("select 1", "id", "2m") == first
    assert instance("select 2", "id", "1m") != first
    assert instance("select 1", "key", "1m") != first


async def test_doctor_says_what_a_connection_lacks(postgres, mariadb, shop):
    """Each kind answers with its version; PostgreSQL with the SQL that mends what is missing."""
    probe = Catalog().outlet("sql")
    assert probe is not None
    admin = await probe.probe(probe.config(dsn=postgres.dsn))
    role = "create role doctored login"
    import psycopg

    with psycopg.connect(postgres.dsn, autocommit=True) as line:
        line.execute(role)
        line.execute("select pg_create_logical_replication_slot('doctored', 'pgoutput')")
    plain = await probe.probe(probe.config(dsn=postgres.dsn_at(postgres.port, user="doctored")))
    with psycopg.connect(postgres.dsn, autocommit=True) as line:
        line.execute("select pg_drop_replication_slot('doctored')")

    assert admin.startswith("postgres answers: version 15")
    assert "ready for mode: wal" in admin
    assert 'mode: wal needs ALTER ROLE "doctored" REPLICATION; GRANT CREATE ON DATABASE' in plain
    assert "slot doctored is idle, keeps" in plain
    assert "mysql answers: version 10." in await probe.probe(probe.config(dsn=mariadb.dsn))
    assert "sqlite answers" in await probe.probe(probe.config(dsn=f"sqlite:{shop.path}"))
