"""Events of brokers, stored and done, beside the client library consuming and doing nothing."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

import in_process
from measure import Row, Size, spread
from processes import Served, daemon, until

FLOW = """\
flow: orders
when:
  {source}
only_if: event.data.id != null
do:
  - log: order ${{{{ event.data.id }}}} of ${{{{ event.data.customer }}}}
"""
INSIDE = FLOW.format(source="event: {type: order}")
BATCH = 128
_UP = "reactor_source_up{"
_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def redis_rows(size: Size, folder: Path) -> list[Row]:
    """Entries of a Redis stream, read as a consumer group."""
    return _rows(_Redis, size, folder)


def mqtt_rows(size: Size, folder: Path) -> list[Row]:
    """Messages of MQTT with QoS 1."""
    return _rows(_Mqtt, size, folder)


def kafka_rows(size: Size, folder: Path) -> list[Row]:
    """Records of a Kafka topic with three partitions."""
    return _rows(_Kafka, size, folder)


def nats_rows(size: Size, folder: Path) -> list[Row]:
    """Messages of a JetStream stream."""
    return _rows(_Nats, size, folder)


class _Redis:
    """Fills a stream, and reads it with redis-py alone."""

    key = "redis"
    program = "redis-server"
    what = "Redis stream"
    fills_first = True

    def __init__(self, port: int) -> None:
        self.port = port
        self.source = f'redis: {{url: "redis://127.0.0.1:{port}", streams: [orders]}}'

    @staticmethod
    def command(program: str, port: int, folder: Path) -> Sequence[str]:
        """A server that stores nothing on disk."""
        return [program, "--port", str(port), "--dir", str(folder), "--save", ""]

    async def fill(self, count: int) -> None:
        """Add entries."""
        from redis.asyncio import Redis

        async with Redis(port=self.port) as client:
            for start in range(0, count, 1000):
                async with client.pipeline(transaction=False) as pipe:
                    for number in range(start, min(start + 1000, count)):
                        pipe.xadd("orders", _order(number))
                    await pipe.execute()

    async def consume(self, count: int) -> None:
        """Read and acknowledge so many."""
        from redis.asyncio import Redis

        async with Redis(port=self.port) as client:
            await client.xgroup_create("orders", "bare", "0", mkstream=True)
            got = 0
            while got < count:
                read: Any = await client.xreadgroup("bare", "one", {"orders": ">"}, BATCH, 1000)
                for _, entries in read:
                    got += len(entries)
                    await client.xack("orders", "bare", *(entry for entry, _ in entries))
            await client.delete("orders")


class _Mqtt:
    """Publishes messages, and hears them with aiomqtt alone."""

    key = "mqtt"
    program = "mosquitto"
    what = "MQTT, QoS 1"
    fills_first = False

    def __init__(self, port: int) -> None:
        self.port = port
        self.source = f'mqtt: {{url: "mqtt://127.0.0.1:{port}", topics: [orders]}}'

    @staticmethod
    def command(program: str, port: int, folder: Path) -> Sequence[str]:
        """A broker that stores nothing on disk."""
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0"]
        config = folder / "mosquitto.conf"
        config.write_text("\n".join([*lines, "user root\n"]))
        return [program, "-c", str(config)]

    async def fill(self, count: int) -> None:
        """Publish messages, a thousand on their way at a time."""
        import aiomqtt

        async with aiomqtt.Client("127.0.0.1", self.port, max_inflight_messages=1000) as client:
            client.pending_calls_threshold = count
            for start in range(0, count, 1000):
                numbers = range(start, min(start + 1000, count))
                await asyncio.gather(
                    *(client.publish("orders", json.dumps(_order(n)), qos=1) for n in numbers)
                )

    async def consume(self, count: int) -> None:
        """Hear so many; they are published meanwhile, as the daemon's are."""
        import aiomqtt

        async with aiomqtt.Client("127.0.0.1", self.port) as client:
            await client.subscribe("orders", qos=1)
            filling = asyncio.create_task(self.fill(count))
            messages = client.messages
            for _ in range(count):
                await anext(aiter(messages))
            await filling


class _Kafka:
    """Fills a topic, and reads it with aiokafka alone."""

    key = "kafka"
    program = "java"
    what = "Kafka, three partitions"
    fills_first = True

    def __init__(self, port: int) -> None:
        self.port = port
        self.topic = "bare"
        self.source = f'kafka: {{brokers: ["127.0.0.1:{port}"], topics: [orders], group: ours}}'

    @staticmethod
    def command(_: str, port: int, folder: Path) -> Sequence[str]:
        """A broker that leaves it to the kernel when to write; its jars are those of the tests."""
        sys.path.insert(0, str(Path(__file__).parents[2]))
        from tests.brokers.kafka import Kafka

        broker = Kafka(strict=False)
        shutil.rmtree(broker.folder)
        broker.folder, broker.port = folder, port
        broker.settings = {"auto.create.topics.enable": "true", "num.partitions": "3"}
        broker.prepare()
        return broker.command()

    async def fill(self, count: int) -> None:
        """Send records; the topic comes with the first."""
        from aiokafka import AIOKafkaProducer

        async with AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{self.port}") as producer:
            for number in range(count):
                value = json.dumps(_order(number)).encode()
                await producer.send(self.topic, value, partition=number % 3)
            await producer.flush()

    async def consume(self, count: int) -> None:
        """Read so many, and commit each batch."""
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

        address = f"127.0.0.1:{self.port}"
        consumer = AIOKafkaConsumer(
            self.topic,
            bootstrap_servers=address,
            group_id="bare",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        async with consumer:
            got = 0
            while got < count:
                found = await consumer.getmany(timeout_ms=1000, max_records=1000)
                got += sum(map(len, found.values()))
                await consumer.commit()
        self.topic = "orders"  # the daemon begins with a topic that is there and empty
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            await producer.partitions_for(self.topic)


class _Nats:
    """Fills a stream, and reads it with nats-py alone."""

    key = "nats"
    program = "nats-server"
    what = "NATS JetStream"
    fills_first = True

    def __init__(self, port: int) -> None:
        self.port = port
        url = f"nats://127.0.0.1:{port}"
        self.source = f'nats: {{servers: ["{url}"], stream: orders, durable: ours}}'

    @staticmethod
    def command(program: str, port: int, folder: Path) -> Sequence[str]:
        """A server with JetStream."""
        return [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "stream")]

    async def fill(self, count: int) -> None:
        """Publish messages, a thousand on their way at a time."""
        import nats

        client = await nats.connect(f"nats://127.0.0.1:{self.port}")
        stream = client.jetstream()
        await stream.add_stream(name="orders", subjects=["orders"])
        for start in range(0, count, 1000):
            numbers = range(start, min(start + 1000, count))
            await asyncio.gather(
                *(stream.publish("orders", json.dumps(_order(n)).encode()) for n in numbers)
            )
        await client.close()

    async def consume(self, count: int) -> None:
        """Read and acknowledge so many."""
        import nats

        client = await nats.connect(f"nats://127.0.0.1:{self.port}")
        reader = await client.jetstream().pull_subscribe("orders", durable="bare")
        got = 0
        while got < count:
            for message in await reader.fetch(500, timeout=5):
                await message.ack()
                got += 1
        await client.flush()
        # The daemon begins with a stream that is there and empty.
        await client.jetstream().purge_stream("orders")
        await client.close()


_Kind = type[_Redis] | type[_Mqtt] | type[_Kafka] | type[_Nats]
_Broker = _Redis | _Mqtt | _Kafka | _Nats


def _order(number: int) -> dict[Any, Any]:
    return {"id": number, "customer": f"customer {number % 100}", "total": number % 500}


def _rows(kind: _Kind, size: Size, folder: Path) -> list[Row]:
    key, program = kind.key, kind.program
    found = shutil.which(program) or shutil.which(program, path=_PATH)
    if found is None:
        print(f"{key}: no {program} here", file=sys.stderr)
        return []
    count = size.flows_in_process
    ours, bare, inside = [], [], []
    for number in range(min(3, size.rounds)):
        part = folder / f"{key}-{number}"
        part.mkdir()
        port = _free_port()
        with _served(kind.command(found, port, part), port, part):
            broker = kind(port)
            bare.append(count / uvloop.run(_bare(broker, count)))
            flows = {"orders.yaml": FLOW.format(source=broker.source)}
            with daemon(part, flows) as served:
                ours.append(count / _done(served, broker.fill, count))
        secs, _ = uvloop.run(in_process.run_flows(part / "inside", count, INSIDE, "orders"))
        inside.append(count / secs)
    measured, beside, engine = spread(ours), spread(bare), spread(inside)
    least = min(0.4 * beside.median, 0.8 * engine.median)
    return [
        Row(
            key=key,
            what=f"{kind.what}: stored, one condition, one step, acknowledged",
            unit="/s",
            measured=measured,
            reference="its client library consuming and doing nothing",
            beside=beside,
            figure=measured.median / least,
            aim="≥ 0.4 of it, or ≥ 0.8 of the same flow in process",
            passed=measured.median >= least,
            facts={"events_a_round": count, "in_process_a_sec": round(engine.median)},
        )
    ]


async def _bare(broker: _Broker, count: int) -> float:
    """Seconds that the library alone takes for so many."""
    if broker.fills_first:
        await broker.fill(count)
    began = time.perf_counter()
    await broker.consume(count)
    return time.perf_counter() - began


def _done(served: Served, fill: Callable[[int], Awaitable[None]], count: int) -> float:
    """Seconds from the first event sent until all executions have ended."""

    async def filled() -> None:
        await fill(count)

    until(lambda: any(v for k, v in served.metrics().items() if k.startswith(_UP)), "it is up")
    began = time.perf_counter()
    uvloop.run(filled())
    name = 'reactor_executions_total{flow="orders",state="ok"}'
    until(lambda: served.metrics().get(name, 0) >= count, "all is done")
    return time.perf_counter() - began


@contextmanager
def _served(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    """A broker as a process of its own, once it listens."""
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: _listens(port), "the broker listens")
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port
