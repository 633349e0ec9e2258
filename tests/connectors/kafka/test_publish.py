"""Publishing to a real Kafka."""

import pytest

from reactor.errors import ActionFailed
from reactor.plugin.catalog import Catalog

pytestmark = pytest.mark.broker


@pytest.fixture
def publish():
    """The action."""
    spec = Catalog().find("action", "kafka.publish")
    assert spec is not None
    return spec


async def test_a_record_is_sent(topic, attempt, publish):
    """Value as JSON, key and headers as text, and the step's own key beside them."""
    written = {
        "brokers": [topic.address],
        "topic": topic.name,
        "value": {"n": 1},
        "key": "k",
        "headers": {"a": "b"},
    }

    sent = await attempt.do(publish, written)

    assert sent == {"topic": topic.name, "count": 1, "partition": 0, "offset": 0}
    (record,) = await topic.records(1)
    assert (record.key, record.value) == (b"k", b'{"n":1}')
    assert dict(record.headers) == {"a": b"b", "idempotency-key": attempt.key.encode()}


async def test_text_bytes_and_nothing(topic, attempt, publish):
    """Text and bytes are sent as they are, null is a tombstone; a batch keeps its order."""
    messages = [{"value": "text"}, {"value": b"\xff"}, {"value": None, "key": "gone"}]
    written = {"brokers": [topic.address], "topic": topic.name, "messages": messages}

    sent = await attempt.do(publish, written)

    assert (sent["count"], sent["offset"]) == (3, 2)
    records = await topic.records(3)
    assert [record.value for record in records] == [b"text", b"\xff", None]
    assert {dict(record.headers)["idempotency-key"] for record in records} == {
        b"exe_1/do.0",
        b"exe_1/do.0:1",
        b"exe_1/do.0:2",
    }


async def test_equal_keys_go_to_one_partition(topic, attempt, publish):
    """Order is kept per key; a partition by its number is taken as it is."""
    await topic.grow(3)
    where = {"brokers": [topic.address], "topic": topic.name, "value": 1}

    one = await attempt.do(publish, {**where, "key": "a"})
    two = await attempt.do(publish, {**where, "key": "a"})
    third = await attempt.do(publish, {**where, "partition": 2})

    assert one["partition"] == two["partition"]
    assert third["partition"] == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"value": None}, "needs a key"),
        ({"value": 1, "partition": 7}, "has no partition 7"),
        ({"value": "a" * 2_000_000}, "longer than topic"),
        ({"messages": []}, "1 to 10,000 records"),
    ],
)
async def test_what_cannot_be_sent_is_said(topic, attempt, publish, more, said):
    """The failure names the cause and is not tried again."""
    written = {"brokers": [topic.address], "topic": topic.name, **more}

    with pytest.raises(ActionFailed, match=said) as failure:
        await attempt.do(publish, written)

    assert not failure.value.transient


async def test_a_topic_that_is_not_there_is_said(topic, attempt, publish):
    """The failure names it."""
    written = {"brokers": [topic.address], "topic": "no-such-topic", "value": 1}

    with pytest.raises(ActionFailed, match="there is no topic 'no-such-topic'"):
        await attempt.do(publish, written)


async def test_brokers_that_are_not_there_are_said(attempt, publish):
    """The failure is transient and names the address."""
    written = {"brokers": ["127.0.0.1:9"], "topic": "a", "value": 1}

    with pytest.raises(ActionFailed, match="refuses connections") as failure:
        await attempt.do(publish, written)

    assert failure.value.transient
