"""The source `mqtt` when its broker is killed, paused, cut off, or never was there."""

import asyncio
import os
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from reactor.connectors.mqtt.config import Address
from reactor.connectors.mqtt.session import failed
from reactor.connectors.mqtt.source import mqtt
from tests.brokers.certificates import Certificates
from tests.brokers.listening import Ears, listening
from tests.brokers.mosquitto import Mosquitto
from tests.brokers.proxy import Proxy

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FULL = os.environ.get("REACTOR_CHAOS") == "full"
CYCLES = 20 if FULL else 2
MESSAGES = 100_000 if FULL else 3_000
BATCH = 100


class Publishing:
    """Publishes numbered messages whatever happens, until told; what may be lost is sent again.

    Mosquitto acknowledges before it writes to disk: before a kill it is told to write.
    """

    def __init__(self, server):
        self.server = server
        self.count = 0
        self.busy = True
        self.free = asyncio.Event()
        self.free.set()
        self._idle = asyncio.Event()

    async def run(self):
        """Publish until told, at least so many."""
        while self.busy or self.count < MESSAGES:
            try:
                async with aiomqtt.Client("127.0.0.1", self.server.port, timeout=2) as client:
                    client.pending_calls_threshold = BATCH + 1
                    while self.busy or self.count < MESSAGES:
                        self._idle.set()
                        await self.free.wait()
                        self._idle.clear()
                        numbers = range(self.count, self.count + BATCH)
                        async with asyncio.timeout(5):
                            await asyncio.gather(
                                *(client.publish("orders", str(n), qos=1) for n in numbers)
                            )
                        self.count += BATCH
                        await asyncio.sleep(0.1)
            except (aiomqtt.MqttError, OSError):
                await asyncio.sleep(0.05)
            finally:
                self._idle.set()

    async def pause(self):
        """Hold back until what was acknowledged is on the broker's disk."""
        self.free.clear()
        await self._idle.wait()
        await asyncio.to_thread(self.server.save)

    def resume(self):
        """Go on."""
        self.free.set()


async def harm(kind, server, proxy, publishing):
    """Do it, for a moment."""
    if kind == "kill":
        await publishing.pause()
        await asyncio.to_thread(server.kill)
        publishing.resume()
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


async def test_nothing_is_lost_over_kills_pauses_and_cuts(ears, record_property):
    """The broker is killed, paused, and cut off in turn while messages flow: all are stored."""
    loop, resumed = asyncio.get_running_loop(), []
    with Mosquitto(strict=True) as server, Proxy(server.port) as proxy:
        config = {"url": f"mqtt://127.0.0.1:{proxy.port}", "topics": ["orders"]}
        publishing = Publishing(server)
        async with listening(mqtt, config, ears, wait=asyncio.sleep) as source:
            await source.up()
            running = asyncio.create_task(publishing.run())
            for kind in ("kill", "pause", "cut") * CYCLES:
                await ears.until_heard(len(ears.heard) + 1)
                await harm(kind, server, proxy, publishing)
                began, before = loop.time(), len(ears.heard)
                await ears.until_heard(before + 1)
                resumed.append(loop.time() - began)
            publishing.busy = False
            await running
            everything = set(range(publishing.count))
            await ears.until(lambda: set(ears.data) == everything, "all of them", 120)

    repeats = len(ears.data) - len(everything)
    record_property("messages", len(everything))
    record_property("repeats", repeats)
    record_property("faults", len(resumed))
    record_property("longest_to_resume_secs", round(max(resumed), 2))


async def test_a_broker_that_comes_late(ears):
    """A source whose broker is not there yet waits for it, and says why."""
    late = Mosquitto(strict=False)
    async with listening(mqtt, {"url": late.url, "topics": ["a"]}, ears) as source:
        await source.failed(f"mqtt 127.0.0.1:{late.port} refuses connections")
        with late:
            await source.up()


async def test_a_half_open_line_is_noticed(server, client, proxy, ears):
    """Nothing comes through and nothing says so: the keep-alive runs out within 45 s."""
    config = {"url": f"mqtt://127.0.0.1:{proxy.port}", "topics": ["a"]}
    async with listening(mqtt, config, ears) as source:
        await source.up()
        proxy.half_open()
        await client.publish("a", "1", qos=1)
        await source.failed("does not answer", 45)
        proxy.mend()
        await ears.until_heard(1)


async def test_a_broker_that_hangs_up_before_it_answers(server, proxy, ears):
    """The next attempt does not wait for an answer that cannot come."""
    proxy.cut()
    config = {"url": f"mqtt://127.0.0.1:{proxy.port}", "topics": ["a"]}
    async with listening(mqtt, config, ears) as source:
        await source.failed("broke the connection off", 4)
        proxy.mend()
        await source.up()


async def test_resets_and_slices_lose_nothing(server, client, proxy, ears):
    """RST in the middle, then packets of a few bytes."""
    config = {"url": f"mqtt://127.0.0.1:{proxy.port}", "topics": ["a"]}
    proxy.slice_bytes = 7
    async with listening(mqtt, config, ears) as source:
        await source.up()
        for turn in range(4):
            numbers = range(turn * 50, turn * 50 + 50)
            await asyncio.gather(*(client.publish("a", str(n), qos=1) for n in numbers))
            await ears.until_heard(turn * 50 + 10)
            proxy.reset()
        await ears.until(lambda: set(ears.data) == set(range(200)), "all of them")


@pytest.fixture
def guarded():
    """A broker with a user."""
    with Mosquitto(strict=False, users={"reactor": "right"}) as server:
        yield server


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mqtt://127.0.0.1:{port}", "Not authorized"),
        ("mqtt://reactor:wrong@127.0.0.1:{port}", "Not authorized"),
        ("mqtt://nowhere.invalid", "there is no such host"),
        ("mqtts://127.0.0.1:{port}", "127.0.0.1:{port}"),
    ],
)
@pytest.mark.parametrize("version", [5, "3.1.1"])
async def test_a_bad_address_is_told_in_words(guarded, ears, url, words, version):
    """Within ten seconds the state names the cause, and no password."""
    config = {"url": url.format(port=guarded.port), "topics": ["a"], "version": version}

    async with listening(mqtt, config, ears) as source:
        said = await source.failed(words.format(port=guarded.port))

    assert "wrong" not in said


async def test_a_user_may_log_in(guarded, ears):
    """User and password of the url."""
    url = f"mqtt://reactor:right@127.0.0.1:{guarded.port}"
    async with listening(mqtt, {"url": url, "topics": ["a"]}, ears) as source:
        await source.up()


@pytest.mark.parametrize(
    ("code", "lost", "words"),
    [
        (128, True, "mqtt broker:1883 broke the connection off"),
        (132, False, "try version: 3.1.1"),
        (135, False, "refuses the connection: Not authorized"),
        (141, True, "mqtt broker:1883 does not answer"),
        (142, False, "give each its own"),
    ],
)
def test_what_brokers_say_in_numbers(code, lost, words):
    """Reasons of MQTT 5 in words; only those that may pass by themselves are tried at once."""
    packet = PacketTypes.CONNACK if code == 132 else PacketTypes.DISCONNECT
    reason = ReasonCode(packet, identifier=code)

    failure = failed(aiomqtt.MqttCodeError(reason), Address("broker", 1883, None, None, False))

    assert words in str(failure)
    assert failure.lost == lost


async def test_tls(tmp_path, ears):
    """mqtts:// with the authority's file works; without it the certificate is refused."""
    made = Certificates(tmp_path)
    with Mosquitto(strict=False, certificates=made) as server:
        config: dict[str, Any] = {"url": f"mqtts://127.0.0.1:{server.port}", "topics": ["a"]}
        async with listening(mqtt, config, ears) as source:
            await source.failed("its certificate is refused")
        config["tls"] = {"ca": str(made.authority)}
        async with listening(mqtt, config, Ears()) as source:
            await source.up()
        config["tls"] = {"ca": str(tmp_path / "missing.pem")}
        async with listening(mqtt, config, Ears()) as source:
            await source.failed("missing.pem: No such file")
