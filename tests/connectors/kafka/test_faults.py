"""The source `kafka` when its broker is killed, paused, cut off, or never was there."""

import asyncio
import os
import resource

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from reactor.connectors.kafka.cluster import Cluster
from reactor.connectors.kafka.source import kafka as source_kafka
from reactor.connectors.kafka.source import member
from tests.brokers.kafka import Kafka
from tests.brokers.listening import Ears, eventually, listening
from tests.brokers.proxy import Proxy
from tests.connectors.kafka.conftest import Topic

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FULL = os.environ.get("REACTOR_CHAOS") == "full"
CYCLES = 20 if FULL else 1
MESSAGES = 100_000 if FULL else 2_000
MEETINGS = 50 if FULL else 2
PARTITIONS = 3


@pytest.fixture
def ears():
    """What a daemon keeps."""
    return Ears()


@pytest.fixture(scope="module")
def proxied():
    """A broker of this file's own that sends its clients through a proxy."""
    server = Kafka()
    with Proxy(server.port) as proxy:
        server.advertise = proxy.port
        with server:
            yield server, proxy


async def send_while(address, topic, busy):
    """Send numbered records until told, each until it is safe. How many."""
    sent = 0
    while busy.is_set() or sent < MESSAGES:
        producer = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True)
        try:
            await producer.start()
            while busy.is_set() or sent < MESSAGES:
                waiting = [
                    await producer.send(topic, str(n).encode(), partition=n % PARTITIONS)
                    for n in range(sent, sent + 100)
                ]
                await asyncio.gather(*waiting)
                sent += 100
                await asyncio.sleep(0.05)
        except (KafkaError, OSError):
            await asyncio.sleep(0.1)
        finally:
            await producer.stop()
    return sent


async def harm(kind, server, proxy):
    """Do it, for a moment; it is over when this returns."""
    if kind == "kill":
        await asyncio.to_thread(server.restart)
        return
    if kind == "pause":
        await asyncio.to_thread(server.pause)
    else:
        proxy.cut()
    await asyncio.sleep(1)
    if kind == "pause":
        await asyncio.to_thread(server.resume)
    else:
        proxy.mend()


async def test_nothing_is_lost_over_kills_pauses_and_cuts(proxied, ears, record_property):
    """The broker is killed, paused and cut off while records flow: each is stored once."""
    server, proxy = proxied
    topic = Topic(server.address, "orders")
    await topic.make(PARTITIONS)
    loop, resumed, busy = asyncio.get_running_loop(), [], asyncio.Event()
    busy.set()
    async with listening(source_kafka, topic.config(), ears, wait=asyncio.sleep) as source:
        await source.up()
        sending = asyncio.create_task(send_while(server.address, "orders", busy))
        for kind in ("kill", "pause", "cut") * CYCLES:
            await ears.until_heard(len(ears.heard) + 1)
            await harm(kind, server, proxy)
            began, before = loop.time(), len(ears.heard)
            await ears.until_heard(before + 1)
            resumed.append(loop.time() - began)
        busy.clear()
        count = await sending
        await ears.until(lambda: len(set(ears.data)) == count, "all", 120)

    for partition in range(PARTITIONS):
        told = [one.data for one in ears.heard if one.fields["partition"] == partition]
        offsets = [
            one.fields["offset"] for one in ears.heard if one.fields["partition"] == partition
        ]
        assert sorted(set(told)) == list(range(partition, count, PARTITIONS))
        assert offsets == sorted(set(offsets)), "each record once, in its order"
    record_property("records", count)
    record_property("faults", len(resumed))
    record_property("longest_to_resume_secs", round(max(resumed), 2))


async def test_a_broker_that_is_away(proxied, ears, caplog, record_property):
    """The source says why it waits, neither spins nor floods the log, and goes on."""
    server, proxy = proxied
    topic = Topic(server.address, "away")
    await topic.make()
    await topic.send(1)
    await asyncio.to_thread(server.kill)
    async with listening(source_kafka, topic.config(), ears, wait=asyncio.sleep) as source:
        # A proxy still stands there: it takes connections and drops them.
        await source.failed(f"127.0.0.1:{proxy.port} closes the connection")
        used = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(3)
        after = resource.getrusage(resource.RUSAGE_SELF)
        lines = len(caplog.records)
        await asyncio.to_thread(server.start)
        await ears.until_heard(1)

    busy_secs = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    record_property("busy_secs_in_3", round(busy_secs, 3))
    record_property("log_lines", lines)
    assert busy_secs < 3 * 0.2
    assert lines < 20


async def test_a_member_that_is_cut_off_leaves_nothing_running(proxied):
    """The broker is silent while the group changes: neither heartbeats nor a join stay behind."""
    server, _ = proxied
    topic = Topic(server.address, "cut-off")
    await topic.make()
    before = asyncio.all_tasks()
    async with member(Cluster(brokers=[server.address]), topic.group) as consumer:
        consumer.subscribe([topic.name])
        coordinator = consumer._coordinator

        async def joined():
            return coordinator._heartbeat_task is not None

        async def joins_again():
            return coordinator._heartbeat_task is None

        await eventually(joined, "it is a member")
        await asyncio.to_thread(server.pause)
        coordinator.request_rejoin()
        await eventually(joins_again, "it waits for the group")
    left = asyncio.all_tasks() - before
    await asyncio.to_thread(server.resume)

    assert left == set()


async def test_members_come_and_go_and_nothing_is_lost(kafka, record_property):
    """Two daemons of one group join and leave while records flow: each is stored by one of them."""
    topic = Topic(kafka.address, "meetings")
    await topic.make(PARTITIONS)
    busy = asyncio.Event()
    busy.set()
    one, two = Ears(), Ears()
    async with listening(source_kafka, topic.config(), one) as first:
        await first.up()
        sending = asyncio.create_task(send_while(kafka.address, "meetings", busy))
        for _ in range(MEETINGS):
            async with listening(source_kafka, topic.config(), two) as second:
                await second.up()
                await two.until_heard(len(two.heard) + 1)
            await one.until_heard(len(one.heard) + 1)
        busy.clear()
        count = await sending
        await one.until(lambda: len({*one.data, *two.data}) == count, "all", 60)

    told = [(d.fields["partition"], d.fields["offset"]) for d in one.heard + two.heard]
    record_property("records", count)
    record_property("told_twice", len(told) - len(set(told)))
    assert set(one.data) | set(two.data) == set(range(count))
    assert len(told) == len(set(told))


async def test_a_half_open_line_is_noticed(proxied, ears, record_property):
    """Nothing comes through and nothing says so; what was stored meanwhile is not told again."""
    server, proxy = proxied
    topic = Topic(server.address, "half-open")
    await topic.make()
    await topic.send(1)
    loop = asyncio.get_running_loop()
    async with listening(source_kafka, topic.config(), ears) as source:
        await ears.until_heard(1)
        ears.open.clear()
        await topic.send(2)
        proxy.half_open()
        ears.open.set()
        began = loop.time()
        await source.failed("no broker has answered for 30 s", 45)
        record_property("noticed_secs", round(loop.time() - began, 2))
        proxy.mend()
        await topic.send(3)
        await ears.until(lambda: 3 in ears.data, "it goes on")

    assert ears.data == [1, 2, 3]


async def test_a_slow_sliced_line_is_only_slow(proxied, ears):
    """Latency and slices lose nothing."""
    server, proxy = proxied
    topic = Topic(server.address, "slow")
    await topic.make()
    await topic.send(*range(100))
    proxy.latency_secs, proxy.slice_bytes = 0.02, 200

    async with listening(source_kafka, topic.config(), ears):
        await ears.until_heard(100)
        proxy.mend()

    assert ears.data == list(range(100))


@pytest.fixture(scope="module")
def guarded():
    """A broker with users."""
    with Kafka(protocol="SASL_PLAINTEXT") as server:
        yield server


def bad(address):
    """Configs that cannot work, and what is to be said of each."""
    ann = {"user": "ann", "password": "correct horse"}
    return {
        "password": (
            {"brokers": [address], "sasl": {**ann, "password": "wrong"}},
            "user 'ann' or the password is wrong",
        ),
        "user by scram": (
            {"brokers": [address], "sasl": {**ann, "user": "eve", "mechanism": "scram-sha-256"}},
            "user 'eve' or the password is wrong",
        ),
        "mechanism": (
            {"brokers": [address], "sasl": {**ann, "mechanism": "scram-sha-512"}},
            "it does not take sasl.mechanism scram-sha-512, it takes ",
        ),
        "no login": ({"brokers": [address]}, "does it want tls or sasl?"),
        "tls": ({"brokers": [address], "sasl": ann, "tls": True}, "does the port speak TLS"),
        "ca": (
            {"brokers": [address], "tls": {"ca": "/no/such.pem"}},
            "tls.ca /no/such.pem: No such file or directory",
        ),
        "host": ({"brokers": ["nowhere.invalid:9092"]}, "there is no such host"),
        "topic": (
            {"brokers": [address], "sasl": ann, "topics": ["ordres"]},
            "there is no topic 'ordres' (create it, or correct topics)",
        ),
    }


@pytest.mark.parametrize("what", bad(""))
async def test_a_bad_config_is_told_in_words(guarded, ears, what):
    """Within ten seconds the state names the cause, and no password."""
    config, words = bad(guarded.address)[what]

    async with listening(source_kafka, {"topics": ["orders"], **config}, ears) as source:
        said = await source.failed(words, 10)
        state = source.state.state

    assert "wrong" not in said.replace("is wrong", "")
    assert state in ("retrying", "down")


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256"])
async def test_a_user_may_log_in(guarded, ears, mechanism):
    """PLAIN and SCRAM reach the topics: only the topic is missing."""
    sasl = {"user": "ann", "password": "correct horse", "mechanism": mechanism}
    config = {"brokers": [guarded.address], "sasl": sasl, "topics": ["orders"]}

    async with listening(source_kafka, config, ears) as source:
        await source.failed("there is no topic 'orders'")
