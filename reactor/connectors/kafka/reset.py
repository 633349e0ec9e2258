"""Where `reactor sources reset ID --to …` sends a reader."""

from datetime import datetime
from typing import Protocol

import msgspec
from aiokafka.structs import TopicPartition
from msgspec import Struct

from reactor.clock import to_ms
from reactor.connectors.kafka.marks import Bounds
from reactor.errors import SourceFailed


class Times(Protocol):
    """What a reset asks of a consumer."""

    async def offsets_for_times(
        self, timestamps: dict[TopicPartition, int]
    ) -> dict[TopicPartition, tuple[int, int] | None]:
        """The first record that is not older, of each partition that has one."""
        ...


class Reset(Struct, frozen=True):
    """One of its fields says where: an end, one place in one partition, or a time."""

    end: str | None = None
    place: tuple[str, int, int] | None = None
    time_ms: int | None = None

    async def offset(self, times: Times, partition: TopicPartition, bounds: Bounds) -> int | None:
        """Where a partition is to begin; None where the reset is not about it."""
        if self.place is not None:
            topic, number, offset = self.place
            return offset if partition == TopicPartition(topic, number) else None
        if self.time_ms is not None:
            found = (await times.offsets_for_times({partition: self.time_ms})).get(partition)
            return bounds.end if found is None else found[0]
        return bounds.end if self.end == "latest" else bounds.first


def read_reset(text: str) -> Reset:
    """What the text after `--to` means; `SourceFailed` says what may stand there."""
    if text in ("earliest", "latest"):
        return Reset(end=text)
    topic, _, rest = text.partition(":")
    partition, _, offset = rest.partition(":")
    if topic and partition.isdecimal() and offset.isdecimal():
        return Reset(place=(topic, int(partition), int(offset)))
    try:
        return Reset(time_ms=to_ms(msgspec.convert(text, datetime)))
    except (msgspec.ValidationError, ValueError):
        message = (
            f"position {text!r}: write earliest, latest, TOPIC:PARTITION:OFFSET, "
            "or a time such as 2026-01-31T08:00:00Z"
        )
        raise SourceFailed(message, fatal=True) from None
