"""Sends records: one idempotent producer for each cluster, made anew when it has broken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
    UnknownTopicOrPartitionError,
)

from reactor.connectors.kafka.asking import ask
from reactor.connectors.kafka.cluster import METADATA_MS, Cluster, options
from reactor.errors import ActionFailed, SourceFailed
from reactor.units import format_size

_START_SECS = 8.0
_STOP_SECS = 1.0
_REQUEST_MS = 10_000
_LONGEST = 16 << 20
# After these a producer sends nothing any more.
_BROKEN = (InvalidProducerEpoch, OutOfOrderSequenceNumber, ProducerFenced, UnknownProducerId)


class Outgoing:
    """What steps send to one cluster, many at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._producer: Any = None
        self._opening = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def opened(cls, cluster: Cluster) -> AsyncIterator[Self]:
        """Connect; `SourceFailed` says why that is not possible."""
        outgoing = cls(cluster)
        await outgoing._open()
        try:
            yield outgoing
        finally:
            await outgoing._close()

    async def send(
        self, topic: str, partition: int | None, records: Sequence[dict[str, Any]]
    ) -> list[tuple[int, int]]:
        """Partition and offset of each record once it is safe; `ActionFailed` if one is not."""
        try:
            producer = await self._open()
            await _check(producer, topic, partition)
            waiting = [await producer.send(topic, partition=partition, **one) for one in records]
            sent = await asyncio.gather(*waiting)
        except SourceFailed as error:
            raise ActionFailed(str(error), kind="kafka", transient=True) from error
        except KafkaError as error:
            if isinstance(error, _BROKEN):
                await self._close()
            raise _failed(error, topic) from error
        return [(one.partition, one.offset) for one in sent]

    async def _open(self) -> Any:
        async with self._opening:
            if self._producer is None:
                await ask(self._cluster)
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._cluster.brokers,
                    client_id="reactor",
                    metadata_max_age_ms=METADATA_MS,
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=_REQUEST_MS,
                    max_request_size=_LONGEST,
                    **options(self._cluster),
                )
                try:
                    async with asyncio.timeout(_START_SECS):
                        await producer.start()
                except (KafkaError, TimeoutError) as error:
                    await _end(producer)
                    raise SourceFailed(f"no broker answers in {_START_SECS:g} s") from error
                self._producer = producer
            return self._producer

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _end(producer)


async def _check(producer: Any, topic: str, partition: int | None) -> None:
    found = await producer.partitions_for(topic)
    if partition is not None and partition not in found:
        message = f"topic {topic!r} has no partition {partition}: it has {len(found)}, from 0"
        raise ActionFailed(message, kind="kafka")


async def _end(producer: Any) -> None:
    """Close a producer; a broker that does not answer must not hold us up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECS):
            await producer.stop()
            return
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECS):
            await producer._sender.close()  # noqa: SLF001 -- it was cut off before it came to this
            await producer.client.close()


def _failed(error: KafkaError, topic: str) -> ActionFailed:
    if isinstance(error, UnknownTopicOrPartitionError):
        return ActionFailed(f"there is no topic {topic!r}: create it", kind="kafka")
    if isinstance(error, MessageSizeTooLargeError):
        message = f"a record is longer than topic {topic!r} takes (here at most "
        message += f"{format_size(_LONGEST)}, there max.message.bytes)"
        return ActionFailed(message, kind="kafka")
    is_transient = bool(error.retriable) or isinstance(error, (KafkaTimeoutError, *_BROKEN))
    said = str(error) or type(error).__name__
    return ActionFailed(f"topic {topic!r}: {said}", kind="kafka", transient=is_transient)
