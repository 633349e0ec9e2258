"""The daemon beside real brokers: killed, joined by another, told a wrong address."""

import json
import os
from contextlib import closing
from random import Random

import pytest
from redis import Redis as Client

from tests.brokers.mosquitto import Mosquitto
from tests.brokers.redis import Redis
from tests.system.conftest import Daemon, eventually

FULL = os.environ.get("REACTOR_CHAOS") == "full"
JOINS = 50 if FULL else 4

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FROM_STREAM = """\
flow: orders
when:
  redis: {{url: "redis://127.0.0.1:{port}", streams: [orders], group: shop}}
do:
  - redis.push: {{url: "redis://127.0.0.1:{port}", list: done, text: "${{{{ event.data.n }}}}"}}
    retry: {{max: 8, within: 5m, delay: 100ms}}
"""
FROM_TOPIC = """\
flow: rooms
when:
  mqtt: {{url: "mqtt://127.0.0.1:{mqtt}", topics: ["home/+"]}}
do:
  - redis.push: {{url: "redis://127.0.0.1:{redis}", list: done, json: "${{{{ event.data }}}}"}}
    retry: {{max: 8, within: 5m, delay: 100ms}}
---
flow: echo
when:
  redis: {{url: "redis://127.0.0.1:{redis}", list: wishes}}
do:
  - mqtt.publish:
      url: mqtt://127.0.0.1:{mqtt}
      topic: home/${{{{ event.data.room }}}}
      json: ${{{{ event.data.n }}}}
    retry: {{max: 8, within: 5m, delay: 100ms}}
"""
WRONG = """\
flow: wrong
when:
  redis: {{url: "redis://:s3cret@127.0.0.1:{port}", streams: [orders]}}
do:
  - log: hi
---
flow: nowhere
when:
  mqtt: {{url: "mqtt://nowhere.invalid", topics: [a]}}
do:
  - log: hi
---
flow: right
when:
  http: {{path: /right, verify: none}}
do:
  - log: hi
"""
CONNECTIONS = """\
connections:
  main: {{redis: {{url: "redis://127.0.0.1:{port}"}}}}
  home: {{mqtt: {{url: "mqtt://127.0.0.1:9"}}}}
"""


@pytest.fixture
def redis():
    """A Redis that loses nothing."""
    with Redis(strict=True) as server:
        yield server


@pytest.fixture
def client(redis):
    """A client of it."""
    with closing(Client(port=redis.port)) as made:
        yield made


def add(client, first, count):
    """Add numbered entries to the stream."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(first, first + count):
            pipe.xadd("orders", {"n": number})
        pipe.execute()


def done(client):
    """The numbers that flows have pushed."""
    return [int(number) for number in client.lrange("done", 0, -1)]


def some_done(client, least):
    """Wait until flows have pushed so many."""
    eventually(lambda: len(set(done(client))) >= least, "some are done")


def test_kills_of_the_daemon_lose_no_entry(daemon, redis, client):
    """Killed with -9 in the middle of a stream: every entry runs its flow, few run twice."""
    daemon.flow("orders", FROM_STREAM.format(port=redis.port))
    chance = Random(7)
    for turn in range(4):
        daemon.start()
        add(client, turn * 300, 300)
        wanted = turn * 300 + chance.randrange(50, 250)
        some_done(client, wanted)
        daemon.kill()
    daemon.start()
    eventually(lambda: set(done(client)) == set(range(1200)), "all are done")

    daemon.at_rest()
    assert len(done(client)) <= 1200 + 4 * 16
    assert not list(daemon.api.pages("dead", limit=None))


def test_daemons_join_and_leave_a_group(daemon, redis, client, tmp_path):
    """Two daemons share a stream while one of them comes and goes: each entry runs once."""
    (tmp_path / "second").mkdir()
    second = Daemon(tmp_path / "second")
    try:
        for one in (daemon, second):
            one.flow("orders", FROM_STREAM.format(port=redis.port))
        daemon.start()
        for turn in range(JOINS):
            second.start()
            add(client, turn * 300, 300)
            wanted = turn * 300 + 150
            some_done(client, wanted)
            assert second.stop() == 0
        second.start()
        eventually(lambda: set(done(client)) == set(range(JOINS * 300)), "all are done")
        assert second.stop() == 0
    finally:
        second.end()

    assert len(done(client)) == JOINS * 300


def test_kills_of_the_daemon_lose_no_message(daemon, redis, client):
    """A list → MQTT → Redis over kills: every wish comes through both brokers."""
    with Mosquitto(strict=False) as broker:
        daemon.flow("rooms", FROM_TOPIC.format(mqtt=broker.port, redis=redis.port))
        for turn in range(3):
            daemon.start()
            wishes = [json.dumps({"room": "attic", "n": turn * 100 + n}) for n in range(100)]
            client.rpush("wishes", *wishes)
            wanted = turn * 100 + 30
            some_done(client, wanted)
            daemon.kill()
        daemon.start()
        eventually(lambda: set(done(client)) == set(range(300)), "all are done")


def test_a_wrong_address_stops_nobody_else(daemon):
    """The source's state and `doctor` name the cause; other flows and the daemon go on."""
    with Redis(strict=False, settings={"requirepass": "right"}) as server:
        daemon.flow("wrong", WRONG.format(port=server.port))
        (daemon.folder / "reactor.yaml").write_text(CONNECTIONS.format(port=server.port))
        daemon.start("--config", "reactor.yaml")

        def told():
            details = [source["detail"] for source in daemon.api.get("sources")["items"]]
            return any("refuses the login" in one for one in details) and any(
                "there is no such host" in one for one in details
            )

        eventually(told, "both causes are told", 10)
        assert daemon.post("/right").status == 202
        found = {one["check"]: one for one in daemon.api.get("doctor")["items"]}
        metrics = daemon.api.get("metrics")

    assert found["connection main"]["state"] == "failed"
    assert "refuses the login" in found["connection main"]["detail"]
    assert "refuses connections" in found["connection home"]["detail"]
    assert 'reactor_source_up{source="mqtt:' in metrics
    assert "reactor_source_restarts{" in metrics
    assert "s3cret" not in daemon.log.read_text()
