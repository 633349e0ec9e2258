"""Core NATS against a real server: subjects, queue groups, what is lost."""

import pytest

from reactor.connectors.nats.subjects import MOST_WAITING
from tests.brokers.running import eventually
from tests.connectors.nats.conftest import reading

pytestmark = pytest.mark.broker


async def test_messages_start_flows(server, client):
    """Wildcards match; the address for an answer is there."""
    async with reading({"servers": [server.url], "subjects": ["a.>"]}) as source:
        await source.up()
        await client.publish("a.b", b'{"n": 1}', reply="inbox.1", headers={"Colour": "red"})

        assert await source.data(1) == [{"n": 1}]
        (row,) = await source.world.executions()
        assert (await source.event(row.event)).fields == {
            "subject": "a.b",
            "headers": {"Colour": "red"},
            "reply": "inbox.1",
        }


async def test_one_of_a_queue_group_gets_each(server, client):
    """Two readers of a queue share what comes."""
    config = {"servers": [server.url], "subjects": ["jobs"], "queue": "workers"}
    async with reading(config) as one, reading(config) as two:
        await one.up()
        await two.up()
        for number in range(40):
            await client.publish("jobs", str(number).encode())

        async def all_told():
            return len(await one.world.executions()) + len(await two.world.executions()) == 40

        await eventually(all_told, "all are told once")


async def test_what_cannot_be_stored_is_lost_and_said(server, client):
    """Core NATS keeps nothing: the source says how much is gone, and goes on."""
    async with reading({"servers": [server.url], "subjects": ["b"]}) as source:
        await source.up()
        source.fill()
        for number in range(MOST_WAITING * 2):
            await client.publish("b", str(number).encode())
        await eventually(lambda: "were lost" in source.said[-1], "the loss is said")
        await source.empty()

        assert (await source.data(3))[:3] == [0, 1, 2]


async def test_a_lost_server_is_said(server, client):
    """The source fails with a cause, so that it is started again."""
    async with reading({"servers": [server.url], "subjects": ["c"]}) as source:
        await source.up()
        server.restart()

        assert (await source.failed()).startswith("the server was lost")
