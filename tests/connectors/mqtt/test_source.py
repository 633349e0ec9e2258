"""The source `mqtt` against a real broker."""

import asyncio

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from reactor.connectors.mqtt.source import filter_complaint, mqtt
from reactor.plugin.context import Connection
from tests.brokers.listening import Ears, eventually, listening

pytestmark = pytest.mark.broker

VERSIONS = pytest.mark.parametrize("version", [5, "3.1.1"])


@VERSIONS
async def test_messages_come_in_order(server, client, ears, version):
    """Each with its topic, by wildcard too."""
    config = {"url": server.url, "topics": ["home/+/temperature"], "version": version}
    async with listening(mqtt, config, ears) as source:
        await source.up()
        for number in range(300):
            await client.publish("home/attic/temperature", str(number), qos=1)
        await client.publish("home/attic/humidity", "9", qos=1)
        await ears.until_heard(300)

    assert ears.data == list(range(300))
    assert ears.heard[0].fields == {
        "topic": "home/attic/temperature",
        "qos": 1,
        "retained": False,
        "properties": {},
    }


@VERSIONS
async def test_what_comes_while_we_are_away_is_kept(server, client, ears, version):
    """A persistent session under a name of our own."""
    config = {"url": server.url, "topics": ["a/#"], "version": version}
    async with listening(mqtt, config, ears) as source:
        await source.up()
    for number in range(50):
        await client.publish("a/b", str(number), qos=1)

    async with listening(mqtt, config, ears):
        await ears.until_heard(50)

    assert ears.data == list(range(50))
    assert ears.places["client_id"].startswith("reactor-")


@VERSIONS
async def test_what_is_not_stored_comes_again(server, client, ears, version):
    """A crash between commit and PUBACK repeats messages; before the commit it loses none."""
    config = {"url": server.url, "topics": ["a"], "version": version}

    def crash():
        raise MemoryError

    async with listening(mqtt, config, ears) as source:
        await source.up()
        ears.committed = crash
        await client.publish("a", "1", qos=1)
        await ears.until_heard(1)
    ears.committed = lambda: None
    before = len(ears.heard)

    async with listening(mqtt, config, ears):
        await ears.until_heard(before + 1)

    assert set(ears.data) == {1}


async def test_nothing_is_acknowledged_while_nothing_is_stored(server, client, ears):
    """A full daemon holds back its acknowledgements, and loses nothing when it ends."""
    config = {"url": server.url, "topics": ["a"]}
    async with listening(mqtt, config, ears) as source:
        await source.up()
        ears.open.clear()
        for number in range(500):
            await client.publish("a", str(number), qos=1)
    ears.open.set()

    async with listening(mqtt, config, ears):
        await ears.until_heard(500)

    assert ears.data == list(range(500))


async def test_a_clean_session_begins_anew(server, client, ears):
    """What comes while we are away is not kept."""
    config = {"url": server.url, "topics": ["a"], "session": "clean"}
    async with listening(mqtt, config, ears) as source:
        await source.up()
    await client.publish("a", "1", qos=1)

    async with listening(mqtt, config, ears) as source:
        await source.up()
        await client.publish("a", "2", qos=1)
        await ears.until_heard(1)

    assert ears.data == [2]


async def test_qos_0_is_heard_once_or_not(server, client, ears):
    """Messages that nobody acknowledges."""
    config = {"url": server.url, "topics": ["a"], "qos": 0}
    async with listening(mqtt, config, ears) as source:
        await source.up()
        await client.publish("a", "1", qos=1)
        await ears.until_heard(1)

    assert ears.heard[0].fields["qos"] == 0


@VERSIONS
async def test_retained_messages_come_once(server, client, ears, version):
    """What the broker had kept is told at the first start, not again after each connection."""
    await client.publish("lamp", "1", qos=1, retain=True)
    config = {"url": server.url, "topics": ["lamp"], "version": version}
    async with listening(mqtt, config, ears):
        await ears.until_heard(1)

    async with listening(mqtt, config, ears) as source:
        await source.up()
        await client.publish("lamp", "2", qos=1)
        await ears.until_heard(2)

    assert [(one.data, one.fields["retained"]) for one in ears.heard] == [(1, True), (2, False)]


@VERSIONS
async def test_retained_messages_may_be_skipped(server, client, ears, version):
    """`retained: false` counts only what comes from now on."""
    await client.publish("lamp", "1", qos=1, retain=True)
    config = {"url": server.url, "topics": ["lamp"], "version": version, "retained": False}

    async with listening(mqtt, config, ears) as source:
        await source.up()
        await client.publish("lamp", "2", qos=1)
        await ears.until_heard(1)

    assert ears.data == [2]


async def test_topics_that_are_asked_for_no_more(server, client, ears):
    """Under a client id of its own a source forgets what an earlier life subscribed to."""
    config = {"url": server.url, "client_id": "mine"}
    async with listening(mqtt, {**config, "topics": ["a", "b"]}, ears) as source:
        await source.up()

    async with listening(mqtt, {**config, "topics": ["b"]}, ears) as source:
        await source.up()
        await client.publish("a", "1", qos=1)
        await client.publish("b", "2", qos=1)
        await ears.until_heard(1)

    assert ears.data == [2]


@VERSIONS
async def test_a_shared_subscription_shares_the_messages(server, client, ears, version):
    """Two daemons with one `share` store each message once between them."""
    config = {"url": server.url, "topics": ["a"], "share": "pair", "version": version}
    others = Ears()
    async with listening(mqtt, config, ears) as one, listening(mqtt, config, others) as other:
        await one.up()
        await other.up()
        for number in range(100):
            await client.publish("a", str(number), qos=1)

        async def all_heard():
            return len(ears.heard) + len(others.heard) == 100

        await eventually(all_heard, "all of them")

    assert sorted([*ears.data, *others.data]) == list(range(100))
    assert ears.heard
    assert others.heard


async def test_properties_of_mqtt_5(server, client, ears):
    """User properties and what else a message says of itself."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("unit", "celsius")]
    properties.ContentType = "application/json"
    properties.ResponseTopic = "answers"
    async with listening(mqtt, {"url": server.url, "topics": ["a"]}, ears) as source:
        await source.up()
        await client.publish("a", "21", qos=1, properties=properties)
        await ears.until_heard(1)

    assert ears.heard[0].fields["properties"] == {
        "user": {"unit": "celsius"},
        "content_type": "application/json",
        "response_topic": "answers",
    }


async def test_a_cloudevent_in_user_properties(server, client, ears):
    """Binary mode: attributes beside the payload."""
    properties = Properties(PacketTypes.PUBLISH)
    attributes = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "order.taken"}
    properties.UserProperty = list(attributes.items())
    config = {"url": server.url, "topics": ["a"], "decode": "cloudevent"}
    async with listening(mqtt, config, ears) as source:
        await source.up()
        await client.publish("a", '{"total": 3}', qos=1, properties=properties)
        await ears.until_heard(1)

    (event,) = ears.heard
    assert (event.data, event.type) == ({"total": 3}, "order.taken")
    assert event.fields["cloudevent"]["source"] == "/shop"


async def test_a_message_that_is_no_json_goes_aside(server, client, ears):
    """It is kept raw as undecodable and acknowledged; the next one comes."""
    config = {"url": server.url, "topics": ["a"]}
    async with listening(mqtt, config, ears) as source:
        await source.up()
        await client.publish("a", b"\xff{", qos=1)
        await client.publish("a", "", qos=1)
        await ears.until_heard(2)

    assert ears.data == [b"\xff{", None]
    assert ears.heard[0].undecodable is not None
    assert ears.heard[1].undecodable is None


async def test_the_last_will(server, client, ears):
    """When the daemon vanishes the broker says so; when it leaves it does not."""
    config = {
        "url": server.url,
        "topics": ["a"],
        "will": {"topic": "reactor/state", "text": "gone"},
    }
    await client.subscribe("reactor/state", qos=1)
    async with listening(mqtt, config, ears) as source:
        await source.up()
    async with listening(mqtt, config, ears) as source:
        await source.up()
        async with aiomqtt.Client("127.0.0.1", server.port, identifier=ears.places["client_id"]):
            message = await anext(aiter(client.messages))

    assert (str(message.topic), message.payload) == ("reactor/state", b"gone")


async def test_a_connection_of_reactor_yaml(server, client, ears):
    """`connection: NAME` stands for the address."""
    home = Connection(name="home", kind="mqtt", config={"url": server.url})
    config = {"topics": ["a"], "connection": "home"}
    async with listening(mqtt, config, ears, connections={"home": home}) as source:
        await source.up()


async def test_cancelling_is_quick(server, ears):
    """A source that waits for messages ends at once."""
    async with listening(mqtt, {"url": server.url, "topics": ["a"]}, ears) as source:
        await source.up()
        began = asyncio.get_running_loop().time()

    assert asyncio.get_running_loop().time() - began < 1


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("", "matches nothing"),
        ("home#", "# stands alone"),
        ("#/home", "# stands alone"),
        ("home/a+", "+ stands for a whole level"),
        ("$share/g/a", "share: NAME"),
    ],
)
def test_topic_filters_that_cannot_be(topic, words):
    """Each is told with the form that can."""
    assert words in (filter_complaint(topic) or "")


@pytest.mark.parametrize("topic", ["#", "+", "a/+/b", "a/#", "/", "$SYS/#"])
def test_topic_filters_that_can_be(topic):
    """Wildcards where they belong."""
    assert filter_complaint(topic) is None
