"""The kafka source against a real Kafka."""

import pytest
from msgspec import json

from reactor.clock import instant
from reactor.connectors.kafka.source import kafka as source_kafka
from tests.brokers.listening import Ears, listening
from tests.brokers.running import eventually
from tests.connectors.kafka.conftest import reading

pytestmark = pytest.mark.broker


async def committed(topic, offset, partition=0):
    """Wait until the group has committed an offset."""

    async def there():
        return await topic.committed(partition) == offset

    await eventually(there, f"{offset} is committed")


async def test_records_start_flows(topic):
    """Each record is an event, in the order of its partition, and what is stored is committed."""
    await topic.send({"id": 1}, {"id": 2})

    async with reading(topic.config()) as source:
        assert await source.data(2) == [{"id": 1}, {"id": 2}]
        await committed(topic, 2)


async def test_a_record_brings_its_facts(topic):
    """Topic, partition, offset, headers, time and key stand beside the data."""
    sent = {"key": b"k", "headers": [("a", b"b"), ("raw", b"\xff")], "timestamp_ms": 1_000}
    await topic.send("hi", **sent)

    async with reading(topic.config()) as source:
        await source.data(1)
        (row,) = await source.world.executions()
        event = await source.event(row.event)

    assert event.fields == {
        "topic": topic.name,
        "partition": 0,
        "offset": 0,
        "headers": {"a": "b", "raw": b"\xff"},
        "timestamp": instant(1_000),
    }
    assert (event.key, event.time_ms) == ("k", 1_000)


async def test_a_tombstone_is_null(topic):
    """A record without value keeps its key."""
    await topic.send(None, key=b"gone")

    async with reading(topic.config()) as source:
        assert await source.data(1) == [None]
        (row,) = await source.world.executions()
        assert (await source.event(row.event)).key == "gone"


async def test_partitions_keep_their_order(topic):
    """Several partitions are read together, each in its own order."""
    await topic.grow(3)
    async with topic.producer() as producer:
        for number in range(300):
            there = number % 3
            await producer.send(topic.name, json.encode([there, number]), partition=there)
        await producer.flush()

    async with reading(topic.config()) as source:
        told = await source.data(300)

    for partition in range(3):
        numbers = [number for there, number in told if there == partition]
        assert numbers == list(range(partition, 300, 3))


async def test_a_pattern_reads_what_fits(topic):
    """A regular expression fits whole names."""
    await topic.send("mine")
    config = topic.config(pattern=topic.name[:-1] + "[" + topic.name[-1] + "]")
    del config["topics"]

    async with reading(config) as source:
        assert await source.data(1) == ["mine"]


async def test_latest_passes_over_what_is_there(topic):
    """Only what comes after the first start is told."""
    await topic.send("old")

    async with reading(topic.config(start="latest")) as source:
        await source.up()
        await topic.send("new")
        assert await source.data(1) == ["new"]


async def test_after_a_restart_it_goes_on(topic, store):
    """Nothing is told twice, nothing is missed."""
    await topic.send(1)
    async with reading(topic.config(), store=store) as source:
        await source.data(1)
    await topic.send(2)

    async with reading(topic.config(), store=store) as source:
        assert await source.data(2) == [1, 2]


async def test_what_is_being_stored_when_it_leaves_is_committed(topic):
    """Whoever reads on in the group begins behind it."""
    await topic.send(*range(10))
    ears = Ears()

    async with listening(source_kafka, topic.config(), ears):
        await ears.until_heard(10)

    assert await topic.committed() == 10


async def test_what_was_stored_and_not_committed_is_told_once(topic, store):
    """Our own mark is further than the group's: a crash came between."""
    await topic.send(1, 2)
    async with reading(topic.config(), store=store) as source:
        await source.data(2)
        await committed(topic, 2)
    name = f"{topic.name}:0"
    cluster, offset, _ = (await store.places(source.instance))[name]
    await topic.commit(1)
    await put(store, source.instance, {name: [cluster, offset, 1]})
    await topic.send(3)

    async with reading(topic.config(), store=store) as source:
        assert await source.data(3) == [1, 2, 3]


async def test_an_operator_resets_the_group(topic, store):
    """Less committed than we left is obeyed: records come again."""
    await topic.send(1, 2)
    async with reading(topic.config(), store=store) as source:
        await source.data(2)
        await committed(topic, 2)
    await topic.commit(1)

    async with reading(topic.config(), store=store) as source:
        assert await source.data(3) == [1, 2, 2]


@pytest.mark.parametrize(
    ("to", "told"), [("earliest", [1, 2, 1, 2, 3]), ("latest", [1, 2]), ("{}:0:1", [1, 2, 2, 3])]
)
async def test_a_reset_by_reactor(topic, store, to, told):
    """`reactor sources reset ID --to …` moves the group too."""
    await topic.send(1, 2)
    async with reading(topic.config(), store=store) as source:
        await source.data(2)
        await committed(topic, 2)
    await store.set_position(source.instance, None if to == "earliest" else to.format(topic.name))
    await topic.send(3)

    async with reading(topic.config(), store=store) as source:
        assert await source.data(len(told)) == told
        await committed(topic, 3)


async def test_a_topic_made_anew_is_read_whole(topic, store):
    """It ends before our mark: other records, from the first."""
    await topic.send(1, 2, 3)
    async with reading(topic.config(), store=store) as source:
        await source.data(3)
    await topic.remove()

    async def made():
        try:
            await topic.make()
            await topic.send("other")
        except Exception:  # noqa: BLE001 -- the broker is still deleting
            return False
        return True

    await eventually(made, "the topic is there again")

    async with reading(topic.config(), store=store) as source:
        assert await source.data(4) == [1, 2, 3, "other"]


async def test_what_retention_took_is_told_as_a_gap(topic, store, caplog):
    """Records deleted before we read them are missing, and said to be."""
    await topic.send(1)
    async with reading(topic.config(), store=store) as source:
        await source.data(1)
    await topic.send(2, 3, 4)
    await topic.truncate(0, 3)

    async with reading(topic.config(), store=store) as source:
        assert await source.data(2) == [1, 4]

    assert "source_gap: 1 to 2 were deleted before we read it" in caplog.text


async def test_poison_goes_to_the_dead_letters(topic):
    """What is no JSON is kept with its bytes and committed; the partition goes on."""
    await topic.send(b"oops", "fine")

    async with reading(topic.config()) as source:
        assert await source.data(1) == ["fine"]
        assert await source.letter() == ("decode", b"oops")
        await committed(topic, 2)


async def test_back_pressure_holds_records(topic):
    """What cannot be stored is not lost; the reader stays in its group meanwhile."""
    async with reading(topic.config()) as source:
        await source.up()
        source.fill()
        await topic.send(*range(5))
        await eventually(lambda: any("held back" in said for said in source.said), "it is held")
        await source.empty()
        assert await source.data(5) == list(range(5))


async def test_records_of_a_cloudevent(topic):
    """Type and attributes of a CloudEvent, in headers or inside."""
    cloud = {"specversion": "1.0", "id": "a", "source": "/shop", "type": "paid", "data": {"n": 1}}
    await topic.send(json.encode(cloud))
    headers = [(f"ce_{name}", str(text).encode()) for name, text in cloud.items() if name != "data"]
    await topic.send({"n": 2}, headers=headers)

    async with reading(topic.config(decode="cloudevent")) as source:
        assert await source.data(2) == [{"n": 1}, {"n": 2}]
        rows = await source.world.executions()
        assert [(await source.event(row.event)).type for row in rows] == ["paid", "paid"]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_topics_are_read(topic, codec):
    """All four compressions of Kafka."""
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=topic.address, compression_type=codec)
    async with producer:
        await producer.send_and_wait(topic.name, b'"squeezed"')

    async with reading(topic.config()) as source:
        assert await source.data(1) == ["squeezed"]


async def test_two_members_share_the_partitions(topic):
    """Each record is told by one of two daemons; when one leaves the other takes over."""
    await topic.grow(4)
    async with reading(topic.config()) as one:
        await one.up()
        async with reading(topic.config()) as two:

            async def shared():
                return one.said[-1:] and two.said[-1:] and "2 partitions" in two.said[-1]

            await eventually(shared, "the second has its share")
            async with topic.producer() as producer:
                for number in range(40):
                    await producer.send(topic.name, str(number).encode(), partition=number % 4)

            async def told():
                rows = [await each.world.executions() for each in (one, two)]
                return all(rows) and sum(map(len, rows)) == 40

            await eventually(told, "all are told once")
            theirs = await two.data(1)
        mine = await one.data(1)
        await topic.send("last")
        await one.data(len(mine) + 1)

    assert sorted(mine + theirs) == list(range(40))


async def put(store, instance, places):
    """Store places as a source would."""
    import asyncio

    from reactor.store import Write, place_name

    stored = asyncio.get_running_loop().create_future()
    rows = [(place_name(instance, name), place) for name, place in places.items()]
    store.submit(Write(positions=rows), lambda: stored.set_result(None))
    await stored
