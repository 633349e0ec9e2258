"""What flows send to Redis, at a real server."""

import asyncio

import pytest

from reactor.connectors.redis.actions import (
    redis_command,
    redis_publish,
    redis_push,
    redis_xadd,
)
from reactor.connectors.redis.connection import redis
from reactor.errors import ActionFailed, SourceFailed
from reactor.plugin.context import Connection
from reactor.plugin.decode import decode
from tests.connectors.conftest import attempt

__all__ = ["attempt"]

pytestmark = pytest.mark.broker


@pytest.fixture
def main(attempt, server):
    """An attempt that knows a connection `main` to the server."""
    config = {"url": server.url}
    attempt.connections["main"] = Connection(name="main", kind="redis", config=config)
    return attempt


async def test_publish_says_who_heard(main, client):
    """A message goes to whoever listens now."""
    async with client.pubsub() as listener:
        await listener.subscribe("alerts")
        await listener.get_message(timeout=5)

        result = await main.do(redis_publish, {"channel": "alerts", "json": {"disk": "full"}})

        message = await listener.get_message(timeout=5)
    assert result == {"receivers": 1}
    assert message["data"] == b'{"disk":"full"}'


async def test_xadd_adds_an_entry(main, client):
    """Values become text, maps JSON; the output is the entry's id."""
    fields = {"id": 7, "name": "ann", "lines": [{"sku": "a"}], "vip": True}

    result = await main.do(redis_xadd, {"stream": "orders", "fields": fields, "max_length": 100})

    ((entry, stored),) = await client.xrange("orders")
    assert result == {"entry": entry.decode()}
    assert stored == {b"id": b"7", b"name": b"ann", b"lines": b'[{"sku":"a"}]', b"vip": b"true"}


@pytest.mark.parametrize(("left", "order"), [(False, [b"a", b"b"]), (True, [b"b", b"a"])])
async def test_push_adds_to_either_end(main, client, left, order):
    """The right end, or the left one, from which the source takes."""
    await main.do(redis_push, {"list": "jobs", "text": "a", "left": left})
    result = await main.do(redis_push, {"list": "jobs", "text": "b", "left": left})

    assert result == {"length": 2}
    assert await client.lrange("jobs", 0, -1) == order


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        (["SET", "a", "1"], True),
        (["GET", "missing"], None),
        (["HGETALL", "stock"], {"apples": "3"}),
        (["HINCRBY", "stock", "apples", 2], 5),
        (["SMEMBERS", "set"], ["x"]),
        (["GET", "raw"], b"\xff"),
    ],
)
async def test_command_answers_with_data(main, client, args, answer):
    """Texts, numbers, lists and maps; bytes where they are no text."""
    await client.hset("stock", "apples", 3)
    await client.sadd("set", "x")
    await client.set("raw", b"\xff")

    assert await main.do(redis_command, {"args": args}) == answer


async def test_an_error_of_the_server_is_told(main, client):
    """A command that the server refuses fails for good."""
    await client.set("text", "a")

    with pytest.raises(ActionFailed, match="WRONGTYPE") as failed:
        await main.do(redis_push, {"list": "text", "text": "a"})

    assert (failed.value.kind, failed.value.transient) == ("redis", False)


async def test_a_server_that_is_away_may_be_back(main, server):
    """A refused connection may be tried again."""
    with pytest.raises(ActionFailed, match="refuses connections") as failed:
        await main.do(redis_command, {"url": "redis://127.0.0.1:9", "args": ["PING"]})

    assert failed.value.transient


async def test_a_wrong_password_is_told_without_it(main, server):
    """The login is refused; the password stays out of the message."""
    url = f"redis://ann:s3cret@127.0.0.1:{server.port}"

    with pytest.raises(ActionFailed, match="refuses the login") as failed:
        await main.do(redis_command, {"url": url, "args": ["PING"]})

    assert "s3cret" not in str(failed.value)
    assert not failed.value.transient


async def test_connections_outlive_a_restart_of_the_server(main, one_server):
    """What the pool kept is dead, and is not used."""
    await main.do(redis_command, {"args": ["PING"]})

    await asyncio.to_thread(one_server.restart)

    assert await main.do(redis_command, {"args": ["PING"]}) is True


async def test_data_does_not_choose_the_server(main, server):
    """An address that event data wrote is refused."""
    with pytest.raises(ActionFailed, match="data may not choose") as failed:
        await main.do(
            redis_command, {"url": server.url, "args": ["PING"]}, data={"url": "redis://"}
        )

    assert failed.value.kind == "denied"


async def test_a_missing_connection_is_told(attempt):
    """Neither url nor a connection of this kind."""
    with pytest.raises(ActionFailed, match="or url: redis://HOST:6379"):
        await attempt.do(redis_command, {"args": ["PING"]})


async def test_the_connection_can_be_tried(server):
    """`reactor doctor` says what answers, or why nothing does."""
    found = await redis.probe(decode({"url": server.url}, redis.config))
    assert "answers: Redis 7" in found

    with pytest.raises(SourceFailed, match="refuses connections"):
        await redis.probe(decode({"url": "redis://127.0.0.1:9"}, redis.config))
