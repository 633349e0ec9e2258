"""A real Kafka, one for all tests of this folder, and what other programs do with it."""

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.structs import TopicPartition
from msgspec import json

from reactor.store.sqlite import SqliteStore
from tests.brokers import running
from tests.brokers.kafka import Kafka
from tests.brokers.running import Running, lasting

_names = (f"topic{number}" for number in itertools.count(1))


class Topic:
    """A topic of its own, with what a test does to it from outside."""

    def __init__(self, address: str, name: str, login: Mapping[str, Any] | None = None) -> None:
        self.address = address
        self.name = name
        # What aiokafka is told besides the address.
        self.login = dict(login or {})
        self.group = f"group-of-{name}"

    async def make(self, partitions: int = 1, **settings: str) -> None:
        """Create it."""
        new = NewTopic(self.name, partitions, 1, topic_configs=settings)
        async with self._admin() as admin:
            await admin.create_topics([new])

    async def remove(self) -> None:
        """Delete it with its records."""
        async with self._admin() as admin:
            await admin.delete_topics([self.name])

    async def grow(self, partitions: int) -> None:
        """Give it more partitions."""
        async with self._admin() as admin:
            await admin.create_partitions({self.name: NewPartitions(partitions)})

        async def known() -> bool:
            async with self.producer() as producer:
                return len(await producer.partitions_for(self.name)) == partitions

        await running.eventually(known, "all partitions are there")

    async def truncate(self, partition: int, before: int) -> None:
        """Delete its oldest records, as retention does."""
        from aiokafka.admin import RecordsToDelete

        async with self._admin() as admin:
            there = TopicPartition(self.name, partition)
            await admin.delete_records({there: RecordsToDelete(before_offset=before)})

    async def send(self, *values: Any, **options: Any) -> None:
        """Send values, JSON unless they are bytes or None."""
        async with self.producer() as producer:
            for value in values:
                raw = value if value is None or isinstance(value, bytes) else json.encode(value)
                await producer.send(self.name, raw, **options)
            await producer.flush()

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        """A producer of another program."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.address, enable_idempotence=True, **self.login
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def committed(self, partition: int = 0) -> int | None:
        """What the group has committed."""
        async with self._admin() as admin:
            found = await admin.list_consumer_group_offsets(self.group)
        there = found.get(TopicPartition(self.name, partition))
        return None if there is None else there.offset

    async def commit(self, offset: int, partition: int = 0) -> None:
        """What an operator does to reset a group that rests."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.address, group_id=self.group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self.name, partition)])
            await consumer.commit({TopicPartition(self.name, partition): offset})
        finally:
            await consumer.stop()

    async def records(self, count: int) -> list[Any]:
        """The first so many records, by partition."""
        consumer = AIOKafkaConsumer(
            self.name, bootstrap_servers=self.address, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()

    def config(self, **more: Any) -> dict[str, Any]:
        """What stands under a trigger's `kafka`."""
        given = {"brokers": [self.address], "topics": [self.name], "group": self.group}
        return {**given, **more}

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address, **self.login)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A broker for all tests that do it no harm."""
    with Kafka() as server:
        yield server


@pytest.fixture
async def topic(kafka: Kafka) -> Topic:
    """A topic with one partition."""
    made = Topic(kafka.address, next(_names))
    await made.make()
    return made


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    """A store that outlives a restart."""
    async with lasting() as made:
        yield made


def reading(config: Mapping[str, Any], **options: Any) -> AbstractAsyncContextManager[Running]:
    """A source that runs: see `tests.brokers.running`."""
    return running.reading("kafka", config, **options)
