"""A broker that does not grant every topic as it was asked: the source says so, and is not up."""

import pytest
from msgspec import json

from reactor.connectors.mqtt.source import mqtt
from tests.brokers.listening import Ears, listening
from tests.brokers.mosquitto import Mosquitto

pytestmark = pytest.mark.broker

VERSIONS = pytest.mark.parametrize("version", [5, "3.1.1"])
_RIGHTS = ["publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"]


@pytest.fixture
def secretive(tmp_path):
    """A broker that refuses `secret/#`, by its plugin: its access list grants and never sends."""
    refusal = {"acltype": "subscribePattern", "topic": "secret/#", "allow": False}
    rules = {
        "defaultACLAccess": dict.fromkeys(_RIGHTS, True),
        "anonymousGroup": "all",
        "groups": [{"groupname": "all", "roles": [{"rolename": "common"}]}],
        "roles": [{"rolename": "common", "acls": [refusal]}],
    }
    file = tmp_path / "rules.json"
    file.write_bytes(json.encode(rules))
    with Mosquitto(strict=False, rules=file) as server:
        yield server


@pytest.mark.parametrize(
    ("version", "reason"),
    [(5, ": Not authorized"), ("3.1.1", ", and does not say why: may our user read it")],
)
async def test_one_refused_topic_is_named(secretive, version, reason):
    """Among granted ones: with its cause, as far as the broker tells, and the source is not up."""
    topics = ["home/a", "secret/b", "home/c"]
    ears = Ears()
    async with listening(
        mqtt, {"url": secretive.url, "topics": topics, "version": version}, ears
    ) as source:
        said = await source.failed("refuses topic")
        state = source.state.state

    assert said == f"mqtt 127.0.0.1:{secretive.port} refuses topic 'secret/b'{reason}"
    assert state in ("retrying", "down")
    assert "subscribed" not in ears.places


async def test_each_refused_topic_is_named(secretive):
    """All at once, not one after the other."""
    config = {"url": secretive.url, "topics": ["secret/a", "home/a", "secret/b"]}
    async with listening(mqtt, config, Ears()) as source:
        said = await source.failed("refuses topic")

    assert said.endswith(
        "refuses topic 'secret/a': Not authorized; refuses topic 'secret/b': Not authorized"
    )


@VERSIONS
async def test_a_topic_granted_with_less_is_told(version):
    """A broker that answers qos 1 with qos 0 does not get away with it; asked for 0 it will do."""
    with Mosquitto(strict=False, lines=["max_qos 0"]) as server:
        config = {"url": server.url, "topics": ["a"], "version": version}
        async with listening(mqtt, config, Ears()) as source:
            await source.failed("sends topic 'a' with qos 0 only: write qos: 0 if that will do")
        async with listening(mqtt, {**config, "qos": 0}, Ears()) as source:
            await source.up()
