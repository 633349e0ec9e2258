"""`mqtt.publish` at a real broker."""

import asyncio
from contextlib import suppress

import aiomqtt
import pytest

from reactor.connectors.mqtt.action import mqtt, mqtt_publish
from reactor.errors import ActionFailed, SourceFailed
from reactor.plugin.context import Connection
from reactor.plugin.decode import decode
from tests.brokers.listening import eventually
from tests.connectors.conftest import attempt

__all__ = ["attempt"]

pytestmark = pytest.mark.broker


@pytest.fixture
def home(attempt, server):
    """An attempt that knows a connection `home` to the broker."""
    config = {"url": server.url}
    attempt.connections["home"] = Connection(name="home", kind="mqtt", config=config)
    return attempt


async def heard(client):
    """The next message."""
    async with asyncio.timeout(5):
        return await anext(aiter(client.messages))


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_is_published(home, client, qos):
    """With each quality of service."""
    await client.subscribe("lamp", qos=2)

    await home.do(mqtt_publish, {"topic": "lamp", "json": {"on": True}, "qos": qos})

    message = await heard(client)
    assert (message.payload, message.qos) == (b'{"on":true}', qos)


async def test_a_message_is_kept(home, client):
    """`retain` keeps it for who comes later; an empty one clears it."""
    await home.do(mqtt_publish, {"topic": "lamp", "text": "on", "retain": True})
    await client.subscribe("lamp")
    first = await heard(client)
    await home.do(mqtt_publish, {"topic": "lamp", "text": "", "retain": True})
    second = await heard(client)

    assert (first.payload, first.retain) == (b"on", True)
    assert second.payload == b""


async def test_user_properties_go_with_it(home, client):
    """Of MQTT 5."""
    await client.subscribe("lamp")

    await home.do(mqtt_publish, {"topic": "lamp", "text": "on", "properties": {"unit": "x"}})

    assert (await heard(client)).properties.UserProperty == [("unit", "x")]


async def test_many_at_once_share_one_connection(home, client):
    """Attempts at once do not disturb each other."""
    await client.subscribe("lamp", qos=1)
    sent = [home.do(mqtt_publish, {"topic": "lamp", "text": str(n)}) for n in range(50)]

    await asyncio.gather(*sent)

    assert {(await heard(client)).payload for _ in range(50)} == {b"%d" % n for n in range(50)}


async def test_a_lost_connection_is_opened_again(home, server):
    """The broker was restarted: the next attempt connects anew."""
    config = {"topic": "lamp", "text": "on"}
    await home.do(mqtt_publish, config)
    await asyncio.to_thread(server.restart)

    async def published():
        with suppress(ActionFailed):  # one attempt may still find the old connection standing
            await home.do(mqtt_publish, config)
            return True
        return False

    await eventually(published, "an attempt goes through")


async def test_a_broker_that_falls_silent_ends_the_attempt(home, client, server):
    """Without the broker's word the attempt fails, and may be tried again."""
    await home.do(mqtt_publish, {"topic": "lamp", "text": "on"})
    server.pause()

    with pytest.raises(ActionFailed, match="does not answer") as failed:
        await home.do(mqtt_publish, {"topic": "lamp", "text": "off"})

    server.resume()
    assert failed.value.transient


async def test_a_topic_from_data_has_no_wildcards(home, server):
    """A template may give anything: it is looked at again."""
    with pytest.raises(ActionFailed, match="a message has one topic"):
        await home.do(mqtt_publish, {"topic": "home/#", "text": "on"})


async def test_data_does_not_choose_the_broker(home, server):
    """An address that event data wrote is refused."""
    config = {"url": server.url, "topic": "lamp", "text": "on"}

    with pytest.raises(ActionFailed, match="data may not choose"):
        await home.do(mqtt_publish, config, data={"url": "mqtt://"})


async def test_the_connection_can_be_tried(server):
    """`reactor doctor` says what answers, or why nothing does."""
    assert "answers, version 5" in await mqtt.probe(decode({"url": server.url}, mqtt.config))

    with pytest.raises(SourceFailed, match="refuses connections"):
        await mqtt.probe(decode({"url": "mqtt://127.0.0.1:9"}, mqtt.config))


async def test_a_goodbye_is_said(home, client, server):
    """The publisher leaves as a client that is done, not as one that vanished."""
    await home.do(mqtt_publish, {"topic": "lamp", "text": "on"})

    await home.shared._stack.aclose()

    async with aiomqtt.Client("127.0.0.1", server.port):
        assert "closed its connection" not in server.output().rpartition("p5, c1")[2]
