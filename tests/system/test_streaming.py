"""The daemon beside Kafka and NATS: kills lose nothing, a wrong address stops nobody else."""

import asyncio

import nats
import pytest

from tests.brokers.nats import Nats
from tests.system.conftest import eventually

pytestmark = pytest.mark.broker

FROM_STREAM = """\
flow: parcels
when:
  nats: {{servers: ["{url}"], stream: PARCELS, durable: mine}}
do:
  - http: {{post: "{sink}/told", json: "${{{{ event.data }}}}"}}
    retry: {{max: 8, within: 5m, delay: 100ms}}
"""
WRONG = """\
flow: no-broker
when:
  kafka: {brokers: ["127.0.0.1:9"], topics: [a]}
do:
  - log: hi
---
flow: no-server
when:
  nats: {servers: ["nats://nowhere.invalid"], subjects: [a]}
do:
  - log: hi
---
flow: right
when:
  http: {path: /right, verify: none}
do:
  - log: hi
"""
CONNECTIONS = """\
connections:
  main: {kafka: {brokers: ["127.0.0.1:9"]}}
  home: {nats: {servers: ["nats://127.0.0.1:9"]}}
"""


def publish(url, *numbers):
    """Send numbers to the stream, which is made if it is not there."""

    async def send():
        client = await nats.connect(url)
        stream = client.jetstream()
        await stream.add_stream(name="PARCELS", subjects=["parcels"])
        for number in numbers:
            await stream.publish("parcels", str(number).encode())
        await client.close()

    asyncio.run(send())


def test_kills_of_the_daemon_lose_no_message(daemon, sink):
    """Killed while messages come in: after the restart all have run."""
    with Nats() as server:
        publish(server.url)
        daemon.flow("parcels", FROM_STREAM.format(url=server.url, sink=sink.url))
        daemon.start()
        for turn in range(3):
            publish(server.url, *range(turn * 100, turn * 100 + 100))
            sink.until("/told", turn * 100 + 20)
            daemon.kill()
            daemon.start()

        def all_told():
            return {int(body) for _, _, body in sink.heard} == set(range(300))

        eventually(all_told, "all messages have run", 60)
        daemon.at_rest()

    assert len(daemon.executions()) == 300


def test_a_wrong_address_stops_nobody_else(daemon):
    """The source's state and `doctor` name the cause; other flows and the daemon go on."""
    daemon.flow("wrong", WRONG)
    (daemon.folder / "reactor.yaml").write_text(CONNECTIONS)
    daemon.start("--config", "reactor.yaml")

    def told():
        details = " ".join(source["detail"] for source in daemon.api.get("sources")["items"])
        return "refuses connections" in details and "there is no such host" in details

    eventually(told, "both causes are told", 10)
    assert daemon.post("/right").status == 202
    found = {one["check"]: one for one in daemon.api.get("doctor")["items"]}

    for name in ("connection main", "connection home"):
        assert found[name]["state"] == "failed"
        assert "127.0.0.1:9 refuses connections" in found[name]["detail"]
