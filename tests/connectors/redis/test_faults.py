"""The source `redis` when its server is killed, paused, cut off, or never was there."""

import asyncio
import os
from typing import Any

import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import RedisError

from reactor.connectors.redis.source import redis
from tests.brokers.certificates import Certificates
from tests.brokers.listening import Ears, eventually, listening
from tests.brokers.proxy import Proxy
from tests.brokers.redis import Redis

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FULL = os.environ.get("REACTOR_CHAOS") == "full"
CYCLES = 20 if FULL else 2
MESSAGES = 100_000 if FULL else 3_000


@pytest.fixture
async def strict():
    """A Redis that answers a write after its fsync."""
    server = Redis(strict=True)
    with server:
        yield server


async def add_while(port, stream, busy):
    """Add numbered entries until told; one whose answer is lost is added again. How many."""
    added = 0
    while busy.is_set() or added < MESSAGES:
        client = Client(port=port, socket_timeout=1, socket_connect_timeout=1)
        try:
            while busy.is_set() or added < MESSAGES:
                async with client.pipeline(transaction=False) as pipe:
                    for number in range(added, added + 100):
                        pipe.xadd(stream, {"n": number})
                    await pipe.execute()
                added += 100
                await asyncio.sleep(0.1)
        except (RedisError, OSError):
            await asyncio.sleep(0.05)
        finally:
            await client.aclose()
    return added


async def harm(kind, server, proxy):
    """Do it, for a moment."""
    if kind == "kill":
        await asyncio.to_thread(server.kill)
    elif kind == "pause":
        await asyncio.to_thread(server.pause)
    else:
        proxy.cut()
    await asyncio.sleep(0.3)
    if kind == "kill":
        await asyncio.to_thread(server.start)
    elif kind == "pause":
        await asyncio.to_thread(server.resume)
    else:
        proxy.mend()


async def test_nothing_is_lost_over_kills_pauses_and_cuts(strict, ears, record_property):
    """The server is killed, paused, and cut off in turn while entries flow: each is stored once."""
    loop, resumed = asyncio.get_running_loop(), []
    busy = asyncio.Event()
    busy.set()
    with Proxy(strict.port) as proxy:
        config = {"url": f"redis://127.0.0.1:{proxy.port}", "streams": ["orders"]}
        async with listening(redis, config, ears, wait=asyncio.sleep) as source:
            await source.up()
            adding = asyncio.create_task(add_while(strict.port, "orders", busy))
            for kind in ("kill", "pause", "cut") * CYCLES:
                await ears.until_heard(len(ears.heard) + 1)
                await harm(kind, strict, proxy)
                began, before = loop.time(), len(ears.heard)
                await ears.until_heard(before + 1)
                resumed.append(loop.time() - began)
            busy.clear()
            count = await adding
            everything = {str(number) for number in range(count)}
            await ears.until(lambda: {d["n"] for d in ears.data} == everything, "all", 120)

            async def acknowledged():
                async with Client(port=strict.port) as client:
                    return not (await client.xpending("orders", "reactor"))["pending"]

            await eventually(acknowledged, "all is acknowledged")

    names = [one.identity for one in ears.heard]
    assert len(names) == len(set(names))
    record_property("entries", count)
    record_property("faults", len(resumed))
    record_property("longest_to_resume_secs", round(max(resumed), 2))


async def test_a_half_open_line_is_noticed(server, client, proxy, ears):
    """Nothing comes through and nothing says so: the reader has a deadline."""
    config = {"url": f"redis://127.0.0.1:{proxy.port}", "streams": ["orders"]}
    async with listening(redis, config, ears) as source:
        await source.up()
        proxy.half_open()
        await client.xadd("orders", {"n": 1})
        await source.failed("does not answer", 20)
        proxy.mend()
        await ears.until_heard(1)


async def test_a_server_that_comes_late(server, ears):
    """A source whose server is not there yet waits for it, and says why."""
    late = Redis(strict=False)
    config = {"url": late.url, "streams": ["orders"]}
    async with listening(redis, config, ears) as source:
        await source.failed(f"redis 127.0.0.1:{late.port} refuses connections")
        with late:
            await source.up()
    late.end()


async def test_a_slow_sliced_line_is_only_slow(server, client, proxy, ears):
    """Latency and slices lose nothing."""
    proxy.latency_secs, proxy.slice_bytes = 0.02, 50
    async with client.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.xadd("orders", {"n": number})
        await pipe.execute()

    config = {"url": f"redis://127.0.0.1:{proxy.port}", "streams": ["orders"]}
    async with listening(redis, config, ears):
        await ears.until_heard(100)

    assert [data["n"] for data in ears.data] == [str(number) for number in range(100)]


async def test_resets_lose_nothing(server, client, proxy, ears):
    """RST in the middle of reading: what was taken comes again and is known."""
    config = {"url": f"redis://127.0.0.1:{proxy.port}", "streams": ["orders"]}
    async with listening(redis, config, ears):
        for turn in range(5):
            async with client.pipeline(transaction=False) as pipe:
                for number in range(turn * 200, turn * 200 + 200):
                    pipe.xadd("orders", {"n": number})
                await pipe.execute()
            await ears.until_heard(turn * 200 + 50)
            proxy.reset()
        await ears.until_heard(1000)

    assert sorted(int(data["n"]) for data in ears.data) == list(range(1000))


async def test_a_channel_that_falls_silent_is_noticed(server, client, proxy, ears):
    """Pub/sub over a half-open line: the source asks, hears nothing, and connects anew."""
    config = {"url": f"redis://127.0.0.1:{proxy.port}", "channels": ["alerts"]}
    async with listening(redis, config, ears) as source:
        await source.up()
        proxy.half_open()
        await source.failed("does not answer", 25)
        proxy.mend()
        await source.up()
        await client.publish("alerts", "1")
        await ears.until_heard(1)


@pytest.fixture
def guarded():
    """A Redis with users."""
    settings = {"user": "reactor on >right ~* &* +@all", "requirepass": "master"}
    with Redis(strict=False, settings=settings) as server:
        yield server


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://127.0.0.1:{port}", "refuses the login"),
        ("redis://reactor:wrong@127.0.0.1:{port}", "refuses the login: invalid username-password"),
        ("redis://reactor:right@127.0.0.1:{port}/99", "DB index is out of range"),
        ("redis://nowhere.invalid:6379", "there is no such host"),
        ("rediss://127.0.0.1:{port}", "127.0.0.1:{port}"),
    ],
)
async def test_a_bad_address_is_told_in_words(guarded, ears, url, words):
    """Within ten seconds the state names the cause, and no password."""
    config = {"url": url.format(port=guarded.port), "streams": ["orders"]}

    async with listening(redis, config, ears) as source:
        said = await source.failed(words.format(port=guarded.port))

    assert "wrong" not in said.replace("username-password", "")


async def test_an_acl_user_may_log_in(guarded, ears):
    """User and password of the url."""
    url = f"redis://reactor:right@127.0.0.1:{guarded.port}/2"

    async with listening(redis, {"url": url, "streams": ["orders"]}, ears) as source:
        await source.up()


async def test_a_user_without_rights_is_told(guarded, ears):
    """NOPERM names what is not allowed."""
    async with Client(port=guarded.port, password="master") as client:
        await client.execute_command("ACL", "SETUSER", "guest", "on", ">guest", "~*", "+ping")
    url = f"redis://guest:guest@127.0.0.1:{guarded.port}"

    async with listening(redis, {"url": url, "streams": ["orders"]}, ears) as source:
        await source.failed("has no permissions to run")


async def test_tls(tmp_path, ears):
    """rediss:// with the authority's file works; without it the certificate is refused."""
    made = Certificates(tmp_path)
    with Redis(strict=False, certificates=made) as server:
        config: dict[str, Any] = {
            "url": f"rediss://127.0.0.1:{server.port}",
            "streams": ["orders"],
        }
        async with listening(redis, config, ears) as source:
            await source.failed("its certificate is refused")
        config["tls"] = {"ca": str(made.authority)}
        async with listening(redis, config, Ears()) as source:
            await source.up()
        config["tls"] = {"ca": str(tmp_path / "missing.pem")}
        async with listening(redis, config, Ears()) as source:
            await source.failed("missing.pem: No such file")
