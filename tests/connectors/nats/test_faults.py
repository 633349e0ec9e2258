"""The source `nats` when its server is killed, paused, cut off, or never was there."""

import asyncio
import os
import random
import resource
from contextlib import suppress

import nats
import pytest
from msgspec import json
from nats.aio.client import Client
from nats.errors import Error

from reactor.connectors.nats.link import connected
from reactor.connectors.nats.pull import Pull
from reactor.connectors.nats.servers import Servers
from reactor.connectors.nats.source import nats as source_nats
from reactor.errors import SourceFailed
from tests.brokers.certificates import Certificates
from tests.brokers.listening import Ears, eventually, listening
from tests.brokers.nats import Nats
from tests.brokers.proxy import Proxy

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FULL = os.environ.get("REACTOR_CHAOS") == "full"
CYCLES = 20 if FULL else 2
MESSAGES = 100_000 if FULL else 3_000
KINDS = ("kill", "pause", "cut")
# The newest of what was heard, in which a message of this moment must be.
MOST_AFTER = 2_000
MEETINGS = 50 if FULL else 3


@pytest.fixture
def ears():
    """What a daemon keeps."""
    return Ears()


@pytest.fixture
def own():
    """A server that a test may harm, and a proxy before it."""
    with Nats() as server, Proxy(server.port) as proxy:
        yield server, proxy


async def make(url, name):
    """Create a stream that takes the subject of its name."""
    client = await nats.connect(url)
    try:
        await client.jetstream().add_stream(name=name, subjects=[name])
    finally:
        await client.close()


async def send_while(url, name, busy):
    """Send numbered messages until told; one whose answer is lost is sent again. How many."""

    async def quiet(error):
        pass

    sent = 0
    while busy.is_set() or sent < MESSAGES:
        client = Client()
        with suppress(Error, OSError, asyncio.TimeoutError):
            async with asyncio.timeout(5):
                await client.connect(
                    [url], allow_reconnect=False, max_reconnect_attempts=1, error_cb=quiet
                )
            stream = client.jetstream(timeout=1)
            while busy.is_set() or sent < MESSAGES:
                batch = [
                    stream.publish(name, str(n).encode(), headers={"Nats-Msg-Id": str(n)})
                    for n in range(sent, sent + 100)
                ]
                await asyncio.gather(*batch)
                sent += 100
                await asyncio.sleep(0.05)
        with suppress(Error, OSError, asyncio.TimeoutError):
            async with asyncio.timeout(1):
                await client.close()
        await asyncio.sleep(0.05)
    return sent


async def send_one(url, name, text):
    """Send a message on a connection of its own."""
    client = await nats.connect(url)
    try:
        await client.jetstream().publish(name, json.encode(text))
    finally:
        await client.close()


async def harm(kind, server, proxy, secs):
    """Do it, so long; it is over when this returns."""
    if kind == "kill":
        await asyncio.to_thread(server.kill)
    elif kind == "pause":
        await asyncio.to_thread(server.pause)
    else:
        proxy.cut()
    await asyncio.sleep(secs)
    if kind == "kill":
        await asyncio.to_thread(server.start)
    elif kind == "pause":
        await asyncio.to_thread(server.resume)
    else:
        proxy.mend()


async def test_nothing_is_lost_over_kills_pauses_and_cuts(own, ears, record_property):
    """The server is killed, paused and cut off while messages flow: each is stored once.

    Measured is how long after the server is back a message sent then is stored.
    """
    server, proxy = own
    await make(server.url, "orders")
    config = {"servers": [f"nats://127.0.0.1:{proxy.port}"], "stream": "orders", "durable": "mine"}
    loop, busy, chance = asyncio.get_running_loop(), asyncio.Event(), random.Random(7)
    resumed, back = {kind: [] for kind in KINDS}, []
    busy.set()
    async with listening(source_nats, config, ears, wait=asyncio.sleep) as source:
        await source.up()
        sending = asyncio.create_task(send_while(server.url, "orders", busy))
        for kind in KINDS * CYCLES:
            await ears.until_heard(len(ears.heard) + 1)
            await harm(kind, server, proxy, chance.choice([0, 0.5, 1, 2, 6]))
            began = loop.time()
            back.append(f"back {len(back)}")
            await send_one(server.url, "orders", back[-1])
            await ears.until(
                lambda: any(one.data == back[-1] for one in ears.heard[-MOST_AFTER:]), back[-1]
            )
            resumed[kind].append(loop.time() - began)
        busy.clear()
        count = await sending
        everything = {*range(count), *back}
        await ears.until(lambda: set(ears.data) == everything, "all", 120)

        async def acknowledged():
            client = await nats.connect(server.url)
            info = await client.jetstream().consumer_info("orders", "mine")
            await client.close()
            return not info.num_pending and not info.num_ack_pending

        await eventually(acknowledged, "all is acknowledged", 30)

    sequences = [one.fields["sequence"] for one in ears.heard]
    assert len(sequences) == len(set(sequences))
    record_property("messages", count)
    record_property("faults", len(back))
    for kind, secs in resumed.items():
        record_property(f"longest_to_resume_after_{kind}_secs", round(max(secs), 2))


async def test_members_come_and_go_and_nothing_is_lost(server, record_property):
    """Two daemons of one durable join and leave while messages flow: each is stored."""
    await make(server.url, "meetings")
    config = {"servers": [server.url], "stream": "meetings", "durable": "ours"}
    busy = asyncio.Event()
    busy.set()
    one, two = Ears(), Ears()
    async with listening(source_nats, config, one) as first:
        await first.up()
        sending = asyncio.create_task(send_while(server.url, "meetings", busy))
        for _ in range(MEETINGS):
            async with listening(source_nats, config, two) as second:
                await second.up()
                await two.until_heard(len(two.heard) + 1)
            await one.until_heard(len(one.heard) + 1)
        busy.clear()
        count = await sending
        await one.until(lambda: {*one.data, *two.data} == set(range(count)), "all", 60)

    told = [one.fields["sequence"] for one in one.heard + two.heard]
    record_property("messages", count)
    record_property("told_twice", len(told) - len(set(told)))


async def test_a_question_ends_with_the_server(own):
    """Nobody waits for an answer that cannot come."""
    server, _ = own
    async with connected(Servers(servers=[server.url])) as link:
        await asyncio.to_thread(server.pause)
        asked = link.client.jetstream(timeout=600).stream_info("orders")
        asking = asyncio.create_task(link.answer(asked))
        await asyncio.to_thread(server.kill)

        with pytest.raises(SourceFailed, match="the server was lost") as failure:
            await asking

    assert failure.value.lost


async def test_a_server_lost_between_two_batches_is_noticed(own):
    """At the next one, not when it has been silent for long."""
    server, _ = own
    await make(server.url, "orders")
    async with connected(Servers(servers=[server.url])) as link:
        jetstream = link.client.jetstream()
        await jetstream.add_consumer("orders", durable_name="mine", ack_policy="explicit")
        await jetstream.publish("orders", b"1")
        pull = Pull(link, "orders", "mine")
        await pull.begin()
        assert [message.data for message in await pull.take()] == [b"1"]
        await asyncio.to_thread(server.kill)
        await link.ended.wait()
        await asyncio.to_thread(server.start)  # all that hears of it has heard of it by then

        with pytest.raises(SourceFailed, match="the server was lost"):
            await pull.take()
        await pull.end()


async def test_a_server_that_is_away(own, ears, caplog):
    """The source says why it waits, neither spins nor floods the log, and goes on."""
    server, _ = own
    await asyncio.to_thread(server.kill)
    config = {"servers": [server.url], "subjects": ["a"]}
    async with listening(source_nats, config, ears, wait=asyncio.sleep) as source:
        await source.failed(f"127.0.0.1:{server.port} refuses connections")
        used = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(2)
        after = resource.getrusage(resource.RUSAGE_SELF)
        lines = len(caplog.records)
        await asyncio.to_thread(server.start)
        await source.up()

    assert after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime < 2 * 0.2
    assert lines < 20


async def test_a_half_open_line_is_noticed(own, ears):
    """Nothing comes through and nothing says so: heartbeats are missed."""
    server, proxy = own
    await make(server.url, "orders")
    config = {"servers": [f"nats://127.0.0.1:{proxy.port}"], "stream": "orders", "durable": "mine"}
    async with listening(source_nats, config, ears) as source:
        await source.up()
        proxy.half_open()
        await source.failed("does not answer", 30)
        proxy.mend()
        await source.up()


async def test_a_slow_sliced_line_is_only_slow(own, ears):
    """Latency and slices lose nothing."""
    server, proxy = own
    await make(server.url, "orders")
    busy = asyncio.Event()
    proxy.latency_secs, proxy.slice_bytes = 0.01, 200
    config = {"servers": [f"nats://127.0.0.1:{proxy.port}"], "stream": "orders", "durable": "mine"}
    sending = asyncio.create_task(send_while(server.url, "orders", busy))
    async with listening(source_nats, config, ears):
        await ears.until_heard(300)
        proxy.mend()
        count = await sending
        await ears.until(lambda: set(ears.data) == set(range(count)), "all", 30)


@pytest.fixture(scope="module")
def guarded():
    """A server with users."""
    with Nats(settings='authorization { user: "ann", password: "correct horse" }') as server:
        yield server


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A server that speaks TLS only, and its certificates."""
    found = Certificates(tmp_path_factory.mktemp("certificates"))
    with Nats(settings=f'tls {{ cert_file: "{found.cert}", key_file: "{found.key}" }}') as server:
        yield server, found


def bad(url, tls_url):
    """Configs that cannot work, and what is to be said of each."""
    ann = {"user": "ann", "password": "correct horse"}
    return {
        "password": (
            {"servers": [url], "login": {**ann, "password": "wrong"}},
            "the user, password or token is wrong",
        ),
        "no login": (
            {"servers": [url]},
            "it wants a login: user and password, token, nkey or creds",
        ),
        "tls": ({"servers": [url], "login": ann, "tls": True}, "it speaks no TLS: drop tls"),
        "ca": (
            {"servers": [url], "tls": {"ca": "/no/such.pem"}},
            "tls.ca /no/such.pem: No such file or directory",
        ),
        "authority": ({"servers": [tls_url], "tls": True}, "its certificate is refused"),
        "host": ({"servers": ["nats://nowhere.invalid:4222"]}, "there is no such host"),
        "stream": (
            {"servers": [url], "login": ann, "stream": "ORDRES", "subjects": []},
            "there is no stream 'ORDRES': there is none",
        ),
    }


@pytest.mark.parametrize("what", bad("", ""))
async def test_a_bad_config_is_told_in_words(guarded, sealed, ears, what):
    """Within ten seconds the state names the cause, and no password."""
    config, words = bad(guarded.url, sealed[0].url)[what]

    async with listening(source_nats, {"subjects": ["a"], **config}, ears) as source:
        said = await source.failed(words, 10)
        state = source.state.state

    assert "wrong" not in said.replace("is wrong", "")
    assert state in ("retrying", "down")


async def test_a_user_may_log_in_and_tls_is_spoken(guarded, sealed, ears):
    """What is right is let in."""
    ann = {"user": "ann", "password": "correct horse"}
    async with listening(
        source_nats, {"servers": [guarded.url], "login": ann, "subjects": ["a"]}, ears
    ) as source:
        await source.up()
    server, found = sealed
    tls = {"ca": str(found.authority)}
    async with listening(
        source_nats, {"servers": [server.url], "tls": tls, "subjects": ["a"]}, ears
    ) as source:
        await source.up()
