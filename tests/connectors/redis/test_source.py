"""The source `redis` against a real server: streams, lists, channels."""

import asyncio

import pytest

from reactor.connectors.redis.source import redis
from reactor.plugin.context import Connection
from tests.brokers.listening import eventually, listening

pytestmark = pytest.mark.broker

_SECS = 0.2


async def add(client, stream, first, count):
    """Add entries with running numbers."""
    async with client.pipeline(transaction=False) as pipe:
        for number in range(first, first + count):
            pipe.xadd(stream, {"n": number})
        await pipe.execute()


def numbers(ears):
    """The numbers of the entries that were heard."""
    return [int(data["n"]) for data in ears.data]


async def until_acknowledged(client, stream, group="reactor"):
    """Wait until nothing is taken and not acknowledged."""

    async def acknowledged():
        return not (await client.xpending(stream, group))["pending"]

    await eventually(acknowledged, "all is acknowledged")


async def test_entries_come_in_order_and_are_acknowledged(server, client, ears):
    """What was there and what is added, each with its stream, its id and its time."""
    await add(client, "orders", 0, 300)

    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears):
        await ears.until_heard(300)
        await add(client, "orders", 300, 10)
        await ears.until_heard(310)
        await until_acknowledged(client, "orders")

    assert numbers(ears) == list(range(310))
    first = ears.heard[0]
    assert first.data == {"n": "0"}
    assert first.fields["stream"] == "orders"
    assert first.identity == f"orders:{first.fields['entry']}"
    assert first.time_ms == int(first.fields["entry"].partition("-")[0])


async def test_latest_begins_with_what_comes(server, client, ears):
    """`start: latest` passes over what is there before the group is."""
    await add(client, "orders", 0, 3)
    config = {"url": server.url, "streams": ["orders"], "start": "latest"}

    async with listening(redis, config, ears) as source:
        await source.up()
        await add(client, "orders", 3, 1)
        await ears.until_heard(1)

    assert numbers(ears) == [3]


async def test_several_streams_are_one_source(server, client, ears):
    """A stream that is not there yet is made."""
    async with listening(redis, {"url": server.url, "streams": ["a", "b"]}, ears) as source:
        await source.up()
        await add(client, "a", 1, 1)
        await add(client, "b", 2, 1)
        await ears.until_heard(2)

    assert sorted((one.fields["stream"], one.data["n"]) for one in ears.heard) == [
        ("a", "1"),
        ("b", "2"),
    ]


async def test_what_a_crash_left_comes_first_and_once(server, client, ears):
    """Committed and not acknowledged: the entries come again and are known."""
    await add(client, "orders", 0, 5)
    config = {"url": server.url, "streams": ["orders"]}

    def crash():
        raise MemoryError

    ears.committed = crash
    async with listening(redis, config, ears):
        await ears.until_heard(5)
    assert (await client.xpending("orders", "reactor"))["pending"] == 5
    ears.committed = lambda: None

    async with listening(redis, config, ears):
        await until_acknowledged(client, "orders")
        await add(client, "orders", 5, 1)
        await ears.until_heard(6)

    assert numbers(ears) == [0, 1, 2, 3, 4, 5]
    assert ears.duplicates >= 5


async def test_the_consumer_keeps_its_name(server, client, ears):
    """The same daemon is the same consumer after a restart."""
    config = {"url": server.url, "streams": ["orders"]}
    for _ in range(2):
        async with listening(redis, config, ears) as source:
            await source.up()
            await add(client, "orders", 0, 1)
            await until_acknowledged(client, "orders")

    (found,) = await client.xinfo_consumers("orders", "reactor")
    assert found["name"].decode() == ears.places["consumer"]


async def test_a_group_that_vanished_is_made_again_where_we_were(server, client, ears):
    """NOGROUP is no end: the reader goes on from its own place."""
    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears):
        await add(client, "orders", 0, 3)
        await ears.until_heard(3)
        await until_acknowledged(client, "orders")
        await client.xgroup_destroy("orders", "reactor")
        await add(client, "orders", 3, 2)
        await ears.until_heard(5)

    assert numbers(ears) == [0, 1, 2, 3, 4]
    assert ears.duplicates == 0


async def test_a_stream_made_anew_is_read_from_its_start(server, client, ears):
    """A stream whose ids are below our place is another one."""
    config = {"url": server.url, "streams": ["orders"]}
    async with listening(redis, config, ears):
        await add(client, "orders", 0, 1)
        await ears.until_heard(1)
        await until_acknowledged(client, "orders")
        await client.delete("orders")
        await client.xadd("orders", {"n": 1}, id="7-0")
        await ears.until_heard(2)

    assert numbers(ears) == [0, 1]


async def test_what_another_consumer_left_for_long_is_claimed(server, client, ears):
    """An entry that nobody acknowledged for a minute is taken over."""
    await client.xgroup_create("orders", "reactor", "0", mkstream=True)
    await add(client, "orders", 0, 2)
    await client.xreadgroup("reactor", "gone", {"orders": ">"})
    ids = [
        entry["message_id"]
        for entry in await client.xpending_range("orders", "reactor", "-", "+", 10)
    ]
    await client.xclaim("orders", "reactor", "gone", 0, ids, idle=61_000)

    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears):
        await ears.until_heard(2)
        await until_acknowledged(client, "orders")

    assert numbers(ears) == [0, 1]


async def test_trimmed_entries_are_told(server, client, ears, caplog):
    """What was taken and trimmed before it was stored is lost, and said to be."""
    await client.xgroup_create("orders", "reactor", "0", mkstream=True)
    await add(client, "orders", 0, 3)
    ears.places["consumer"] = "me"
    ears.position = {"since": 0}
    await client.xreadgroup("reactor", "me", {"orders": ">"})
    await client.xtrim("orders", maxlen=1, approximate=False)

    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears) as source:
        await until_acknowledged(client, "orders")
        await source.up()
        assert "2 entries were trimmed" in source.state.detail

    assert numbers(ears) == [2]
    assert "trimmed before they were stored" in caplog.text


async def test_entries_trimmed_while_we_were_away_are_told(server, client, ears, caplog):
    """A stream that was cut beyond the group's place has a gap."""
    config = {"url": server.url, "streams": ["orders"]}
    await add(client, "orders", 0, 2)
    async with listening(redis, config, ears):
        await ears.until_heard(2)
        await until_acknowledged(client, "orders")
    await add(client, "orders", 2, 5)
    await client.xtrim("orders", maxlen=2, approximate=False)

    async with listening(redis, config, ears) as source:
        await ears.until_heard(4)
        assert "3 entries were trimmed" in source.state.detail

    assert numbers(ears) == [0, 1, 5, 6]


async def test_a_reset_to_earliest_tells_everything_again(server, client, ears):
    """`reactor sources reset ID --to earliest`: the group goes back, known ids count anew."""
    config = {"url": server.url, "streams": ["orders"]}
    await add(client, "orders", 0, 3)
    async with listening(redis, config, ears):
        await ears.until_heard(3)
        await until_acknowledged(client, "orders")
    ears.position = None

    async with listening(redis, config, ears):
        await ears.until_heard(6)

    assert numbers(ears) == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(("to", "more"), [("latest", []), ("entry", [2])])
async def test_a_reset_moves_the_group(server, client, ears, to, more):
    """To the end, or behind the entry of an id."""
    config = {"url": server.url, "streams": ["orders"]}
    await add(client, "orders", 0, 3)
    async with listening(redis, config, ears):
        await ears.until_heard(3)
        await until_acknowledged(client, "orders")
    ears.position = to if to == "latest" else ears.heard[1].fields["entry"]

    async with listening(redis, config, ears) as source:
        await source.up()
        await add(client, "orders", 9, 1)
        await ears.until(lambda: numbers(ears)[-1] == 9, "the new one")

    assert numbers(ears)[3:] == [*more, 9]


async def test_a_position_that_is_none_stops_the_source(server, ears):
    """A slip in `reset --to` is said, and nothing is moved."""
    ears.places["consumer"] = "me"
    ears.position = "tuesday"

    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears) as source:
        assert "'tuesday'" in await source.failed("earliest, latest or an entry's id")
        assert source.state.state == "stopped"


async def test_two_daemons_share_a_group(server, client, ears):
    """Daemons of one group join and leave; each entry is stored by one of them, none is lost."""
    config = {"url": server.url, "streams": ["orders"]}
    others = type(ears)()
    async with listening(redis, config, ears):
        for turn in range(6):
            async with listening(redis, config, others) as other:
                await other.up()
                await add(client, "orders", turn * 200, 200)
                await ears.until(
                    lambda turn=turn: len(ears.heard) + len(others.heard) >= turn * 200 + 100,
                    "half of them",
                )

        async def all_heard():
            return {*numbers(ears), *numbers(others)} == set(range(1200))

        # What the other took and was stopped with is its own until it comes back.
        async with listening(redis, config, others):
            await eventually(all_heard, "all are heard", 20)
            await until_acknowledged(client, "orders")

    assert len(numbers(ears)) + len(numbers(others)) == 1200


async def test_an_entry_that_is_no_text_goes_aside(server, client, ears):
    """Bytes that are not UTF-8 are kept raw and acknowledged; the stream goes on."""
    await client.xadd("orders", {"n": b"\xff\xfe"})
    await client.xadd("orders", {"n": "1"})

    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears):
        await ears.until_heard(2)
        await until_acknowledged(client, "orders")

    assert ears.heard[0].undecodable == "a field of the entry is not UTF-8 text"
    assert ears.data == [{"n": b"\xff\xfe"}, {"n": "1"}]


async def test_a_full_daemon_stops_reading(server, client, ears):
    """While nothing can be stored no more than one batch is taken."""
    ears.open.clear()
    await add(client, "orders", 0, 1000)

    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears) as source:
        await source.up()

        async def taken():
            return (await client.xpending("orders", "reactor"))["pending"] > 0

        await eventually(taken, "a batch is taken")
        await asyncio.sleep(_SECS)
        assert (await client.xpending("orders", "reactor"))["pending"] == 128
        ears.open.set()
        await ears.until_heard(1000)


async def test_lag_is_told(server, client, ears):
    """How many entries wait for the group."""
    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears) as source:
        await ears.until(lambda: source.context.lags, "a lag")

    assert source.context.lags[-1] == 0


# ---- lists


async def test_elements_of_a_list_are_moved_stored_removed(server, client, ears):
    """In order from the left; nothing is left behind."""
    await client.rpush("jobs", *[b'{"n": %d}' % number for number in range(300)])

    async with listening(redis, {"url": server.url, "list": "jobs"}, ears):
        await ears.until_heard(300)
        await client.rpush("jobs", '{"n": 300}')
        await ears.until_heard(301)

        async def empty():
            return not await client.keys("jobs*")

        await eventually(empty, "nothing is left")

    assert numbers(ears) == list(range(301))
    assert ears.heard[0].fields == {"list": "jobs"}


async def test_elements_that_a_crash_left_come_first(server, client, ears):
    """What was moved and not removed is emitted again: at least once."""
    await client.rpush("jobs", "1", "2")

    def crash():
        raise MemoryError

    ears.committed = crash
    async with listening(redis, {"url": server.url, "list": "jobs"}, ears):
        await ears.until_heard(2)
    ears.committed = lambda: None
    before = len(ears.heard)

    async with listening(redis, {"url": server.url, "list": "jobs"}, ears):
        await client.rpush("jobs", "3")
        await ears.until(lambda: ears.data[-1] == 3, "the new one")

    assert ears.data[before:] == [1, 2, 3]


async def test_an_element_that_is_no_json_goes_aside(server, client, ears):
    """It is kept raw as undecodable, and the list goes on."""
    await client.rpush("jobs", "{oops", "2")

    async with listening(redis, {"url": server.url, "list": "jobs"}, ears):
        await ears.until_heard(2)

    assert ears.data == [b"{oops", 2]
    assert "not JSON" in str(ears.heard[0].undecodable)


# ---- channels


@pytest.mark.parametrize("way", [{"channels": ["alerts"]}, {"patterns": ["al*"]}])
async def test_messages_of_channels(server, client, ears, way):
    """Each message with its channel."""
    async with listening(redis, {"url": server.url, **way}, ears) as source:
        await source.up()
        assert "at most once" in source.state.detail
        for number in range(50):
            await client.publish("alerts", number)
        await ears.until_heard(50)

    assert ears.data == list(range(50))
    assert ears.heard[0].fields == {"channel": "alerts"}


async def test_keyspace_notifications_bring_the_key(server, client, ears):
    """Events of keys are text, and the key is the event's key."""
    await client.config_set("notify-keyspace-events", "KEA")
    config = {"url": server.url, "patterns": ["__keyevent@0__:set", "__keyspace@0__:lamp"]}

    async with listening(redis, config, ears) as source:
        await source.up()
        await client.set("lamp", 1)
        await ears.until_heard(2)
    await client.config_set("notify-keyspace-events", "")

    assert {(one.fields["channel"], one.data, one.key) for one in ears.heard} == {
        ("__keyspace@0__:lamp", "set", "lamp"),
        ("__keyevent@0__:set", "lamp", "lamp"),
    }


async def test_notifications_that_are_off_are_said(server, ears):
    """A server sends none unless it was told to."""
    config = {"url": server.url, "patterns": ["__keyevent@0__:expired"]}

    async with listening(redis, config, ears) as source:
        await source.failed("CONFIG SET notify-keyspace-events")


# ---- servers


async def test_a_connection_of_reactor_yaml(server, client, ears):
    """`connection: NAME` stands for the address; without a name the only one of its kind."""
    main = Connection(name="main", kind="redis", config={"url": server.url})
    await add(client, "orders", 0, 1)

    async with listening(redis, {"streams": ["orders"]}, ears, connections={"main": main}):
        await ears.until_heard(1)


async def test_cancelling_is_quick(server, ears):
    """A reader that waits for entries ends at once."""
    async with listening(redis, {"url": server.url, "streams": ["orders"]}, ears) as source:
        await source.up()
        began = asyncio.get_running_loop().time()

    assert asyncio.get_running_loop().time() - began < 1
