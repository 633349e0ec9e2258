"""Streams of JetStream against a real server."""

import asyncio

import nats
import pytest
from msgspec import json

from reactor.connectors.nats.source import nats as source_nats
from reactor.connectors.nats.stream import ACK_WAIT_SECS
from tests.brokers.listening import Ears, listening
from tests.brokers.nats import Nats
from tests.brokers.running import eventually
from tests.connectors.nats.conftest import Stream, reading

pytestmark = pytest.mark.broker


async def test_messages_start_flows(stream):
    """Each message is an event in the stream's order, and acknowledged once it is stored."""
    await stream.send({"id": 1}, {"id": 2})

    async with reading(stream.config()) as source:
        assert await source.data(2) == [{"id": 1}, {"id": 2}]

        async def acknowledged():
            return await stream.waiting("mine") == (0, 0)

        await eventually(acknowledged, "all is acknowledged")


async def test_a_message_brings_its_facts(stream):
    """Subject, headers, number and deliveries stand beside the data."""
    await stream.send("hi", subject="a.b", Colour="red")

    async with reading(stream.config()) as source:
        await source.data(1)
        (row,) = await source.world.executions()
        event = await source.event(row.event)

    assert event.fields == {
        "subject": f"{stream.name}.a.b",
        "headers": {"Colour": "red"},
        "sequence": 1,
        "deliveries": 1,
    }


async def test_each_subject_has_its_durable(stream):
    """Several subjects of a stream are read side by side, others are not."""
    await stream.send(1, subject="a")
    await stream.send(2, subject="b")
    await stream.send(3, subject="c")
    subjects = [f"{stream.name}.a", f"{stream.name}.b"]

    async with reading(stream.config(subjects=subjects)) as source:
        assert sorted(await source.data(2)) == [1, 2]

    durables = await stream.jetstream.consumers_info(stream.name)
    assert {one.config.filter_subject for one in durables} == set(subjects)


async def test_latest_passes_over_what_is_there(stream):
    """Only what comes after the first start is told."""
    await stream.send("old")

    async with reading(stream.config(start="latest")) as source:
        await source.up()
        await stream.send("new")
        assert await source.data(1) == ["new"]


async def test_after_a_restart_it_goes_on(stream, store):
    """Nothing is told twice, nothing is missed."""
    await stream.send(1)
    async with reading(stream.config(), store=store) as source:
        await source.data(1)
    await stream.send(2)

    async with reading(stream.config(), store=store) as source:
        assert await source.data(2) == [1, 2]


async def test_a_redelivery_starts_nothing_twice(stream, store):
    """A message whose acknowledgement was lost comes again, and is known."""
    await stream.send(1)
    async with reading(stream.config(), store=store) as source:
        await source.data(1)
    await stream.jetstream.delete_consumer(stream.name, "mine")
    await stream.jetstream.add_consumer(
        stream.name, durable_name="mine", ack_policy="explicit", deliver_policy="all"
    )
    await stream.send(2)

    async with reading(stream.config(), store=store) as source:
        assert await source.data(2) == [1, 2]
        assert source.world.engine.meter.duplicates == 1


async def test_a_lost_durable_is_made_anew_where_we_were(stream, store):
    """What was done before is not even asked for."""
    await stream.send(1, 2)
    async with reading(stream.config(), store=store) as source:
        await source.data(2)

        async def kept():
            return (await store.places(source.instance)).get("mine", ["", 0])[1] == 2

        await eventually(kept, "the place is kept")
    await stream.jetstream.delete_consumer(stream.name, "mine")
    await stream.send(3)

    async with reading(stream.config(), store=store) as source:
        assert await source.data(3) == [1, 2, 3]
        assert source.world.engine.meter.duplicates == 0


async def test_a_stream_made_anew_is_read_whole(stream, store):
    """Its numbers begin again and mean other messages; the gap is told."""
    await stream.send(1)
    async with reading(stream.config(), store=store) as source:
        await source.data(1)
    await stream.jetstream.delete_stream(stream.name)
    await stream.make()
    await stream.send("other")

    async with reading(stream.config(), store=store) as source:
        assert await source.data(2) == [1, "other"]


@pytest.mark.parametrize(("to", "told"), [("earliest", [1, 2, 1, 2, 3]), ("2", [1, 2, 2, 3])])
async def test_an_operator_sends_it_back(stream, store, to, told):
    """After `reactor sources reset` messages that are known come again as new ones."""
    await stream.send(1, 2)
    async with reading(stream.config(), store=store) as source:
        await source.data(2)
    await store.set_position(source.instance, None if to == "earliest" else to)
    await stream.send(3)

    async with reading(stream.config(), store=store) as source:
        assert await source.data(len(told)) == told


async def test_poison_goes_to_the_dead_letters(stream):
    """What is no JSON is kept with its bytes and acknowledged; the stream goes on."""
    await stream.send(b"oops", "fine")

    async with reading(stream.config()) as source:
        assert await source.data(1) == ["fine"]
        assert await source.letter() == ("decode", b"oops")


async def test_back_pressure_holds_messages(stream):
    """What cannot be stored is neither lost nor given to others, and says so."""
    async with reading(stream.config()) as source:
        await source.up()
        source.fill()
        await stream.send(*range(5))
        await eventually(lambda: any("held back" in said for said in source.said), "it is held")
        await source.empty()
        assert await source.data(5) == list(range(5))


async def test_who_leaves_while_it_stores_acknowledges(stream):
    """What was committed when we were told to end is nobody else's work."""
    ears = Ears()
    async with listening(source_nats, stream.config(), ears) as source:
        await source.up()
        leaving = []
        ears.committed = lambda: leaving.append(asyncio.ensure_future(source.stop()))
        await stream.send("hi")
        await ears.until_heard(1)
        await asyncio.gather(*leaving)

        async def done():
            return await stream.waiting("mine") == (0, 0)

        # Acknowledgements are the server's to read after it answered all else.
        await eventually(done, "it is acknowledged")


async def test_who_leaves_gives_back_what_it_did_not_store(stream):
    """Another daemon has it at once, not when the time for its acknowledgement is over."""
    one, two = Ears(), Ears()
    one.open.clear()
    async with listening(source_nats, stream.config(), one) as first:
        await first.up()
        await stream.send(*range(5))

        async def taken():
            return await stream.waiting("mine") == (0, 5)

        await eventually(taken, "it is taken")
        async with listening(source_nats, stream.config(), two) as second:
            await second.up()
            await first.stop()
            await two.until(lambda: sorted(two.data) == list(range(5)), "all", ACK_WAIT_SECS / 2)
    assert one.heard == []


async def test_a_modest_account_is_enough(store):
    """Where fewer messages may be unacknowledged than we ask for, the server's number is taken."""
    accounts = """
accounts { modest { jetstream: { max_ack_pending: 100 }, users: [{ user: ann, password: ann }] } }
no_auth_user: ann
"""
    with Nats(settings=accounts) as server:
        client = await nats.connect(server.url)
        stream = Stream(client, server.url, "orders")
        await stream.make()
        await stream.send(1)
        async with reading(stream.config(), store=store) as source:
            assert await source.data(1) == [1]
        await client.close()


async def test_messages_of_a_cloudevent(stream):
    """Type and attributes of a CloudEvent, in headers or inside."""
    cloud = {"specversion": "1.0", "id": "a", "source": "/shop", "type": "paid", "data": {"n": 1}}
    await stream.send(json.encode(cloud))
    headers = {f"ce-{name}": str(value) for name, value in cloud.items() if name != "data"}
    await stream.send({"n": 2}, **headers)

    async with reading(stream.config(decode="cloudevent")) as source:
        assert await source.data(2) == [{"n": 1}, {"n": 2}]
        rows = await source.world.executions()
        assert [(await source.event(row.event)).type for row in rows] == ["paid", "paid"]


async def test_an_unknown_stream_is_said(stream):
    """The message names it and what there is."""
    async with reading(stream.config(stream="ORDRES")) as source:
        said = await source.failed()

    assert said.startswith("there is no stream 'ORDRES': there is ")
    assert stream.name in said


async def test_a_foreign_durable_is_refused(stream):
    """A durable of another subject is not taken for ours."""
    await stream.jetstream.add_consumer(
        stream.name, durable_name="mine", ack_policy="explicit", filter_subject=f"{stream.name}.x"
    )

    async with reading(stream.config()) as source:
        said = await source.failed()

    assert said == f"durable 'mine' reads {stream.name}.x, not all: name another durable"
