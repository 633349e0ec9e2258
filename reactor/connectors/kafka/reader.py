"""Reads partitions: stores records, then commits them, through every change of the group."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import ConsumerRecord, TopicPartition
from msgspec.structs import replace

from reactor.clock import instant
from reactor.connectors.kafka.asking import Answer
from reactor.connectors.kafka.marks import Begin, Bounds, Mark, Start, begin
from reactor.connectors.kafka.records import received
from reactor.connectors.kafka.reset import Reset, read_reset
from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.cancelling import heed_cancellation
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form
from reactor.plugin.storing import store_held

SILENCE_SECS = 30.0
_POLL_MS = 250
_MOST_RECORDS = 1000
_COMMIT_EVERY_SECS = 0.2
_COMMIT_SECS = 5.0
_LAST_SECS = 1.0
_PLACE_SECS = 8.0
# Brokers that live answer a fetch twice a second, also where nothing is new.
_QUIET_SECS = 2.0
_SAY_EVERY_SECS = 1.0
_TOLD_SILENCE_SECS = 5.0


class _Moved(Exception):
    """Partitions come and go while a batch waits for room."""


class Reader(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """One member of a group.

    A partition is ours from the moment that its beginning is decided and sought. What comes of
    others is thrown away: it comes again once they are ours. While partitions come and go nothing
    is taken.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        emit: Emit,
        context: SourceContext,
        *,
        answer: Answer,
        form: Form,
        start: Start,
    ) -> None:
        self._consumer = consumer
        self._emit = emit
        self._context = context
        self._cluster = answer.cluster
        self._form = form
        self._start = start
        self._marks: dict[TopicPartition, Mark] = {}
        self._ours: set[TopicPartition] = set()
        self._unkept: set[TopicPartition] = set()
        self._known = False
        self._assigned = False
        self._moving = False
        self._changes = 0
        self._reset: Reset | None = None
        self._storing = asyncio.Lock()
        self._failure: Exception | None = None
        self._held = False
        self._committed_at = self._said_at = self._alive_at = self._now()
        self._beat = 0

    async def run(self, topics: Sequence[str], pattern: str | None) -> None:
        """Read until cancelled; `SourceFailed` when the cluster has been silent for long."""
        await self._recall()
        self._consumer.subscribe(list(topics), pattern, self)
        self._alive_at = self._now()
        try:
            while True:
                heed_cancellation()
                await self._turn()
        finally:
            if not self._is_quiet():
                with suppress(SourceFailed):
                    await self._commit(limit_secs=_LAST_SECS)
            await self._keep()

    async def _recall(self) -> None:
        position = await self._context.position()
        await self._read_marks()
        self._known = position is not None or bool(self._marks)
        if isinstance(position, str):
            self._reset = read_reset(position)
        elif position is None and self._marks:
            self._reset = read_reset("earliest")

    async def _read_marks(self) -> None:
        """Take what is stored for true, also of a batch whose end we did not wait for."""
        for name, place in (await self._context.places()).items():
            topic, _, partition = name.rpartition(":")
            self._marks[TopicPartition(topic, int(partition))] = msgspec.convert(place, Mark)

    # ---- one turn

    async def _turn(self) -> None:
        records: Mapping[TopicPartition, Sequence[ConsumerRecord]] = {}
        lost: list[TopicPartition] = []
        changes = self._changes
        try:
            records = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
        except OffsetOutOfRangeError as error:
            lost = [partition for partition in error.args[0] if partition in self._ours]
        except NoOffsetForPartitionError:
            pass  # it is not ours yet: its beginning is about to be sought
        if self._failure is not None:
            raise self._failure
        if self._moving or changes != self._changes:
            # Some of it may have been fetched before we sought: fetch it again.
            for partition in records.keys() & self._ours:
                self._consumer.seek(partition, self._marks[partition].offset)
            return
        if lost:
            await self._place(lost)
        if records:
            await self._take(records)
        self._watch(is_alive=bool(records))
        is_due = self._now() - self._committed_at >= _COMMIT_EVERY_SECS or not records
        # A commit that nobody answers would only stand beside the last one.
        if is_due and not self._is_quiet():
            await self._commit(limit_secs=_COMMIT_SECS)
        if not records:
            await self._keep()

    async def _take(self, records: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        async with self._storing:
            batch: list[Received] = []
            marks: dict[TopicPartition, Mark] = {}
            for partition in records.keys() & self._ours:
                mark, name = self._marks[partition], _name(partition)
                for record in records[partition]:
                    if record.offset >= mark.offset:
                        mark = Mark(mark.cluster, record.offset + 1, mark.left)
                        batch.append(received(record, self._form, {name: mark}))
                marks[partition] = mark
            try:
                await store_held(
                    self._emit, batch, self._hold, stored=lambda: self._marks.update(marks)
                )
            except _Moved:
                pass  # they begin anew where the store says
            finally:
                self._let_go()

    async def _hold(self) -> None:
        """Stay a member that fetches nothing while nothing can be stored."""
        if not self._held:
            self._held = True
            self._consumer.pause(*self._ours)
            self._say()
        await self._consumer.getmany(timeout_ms=_POLL_MS)
        if self._moving:
            raise _Moved
        self._alive_at = self._now()

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._consumer.resume(*(self._ours & self._consumer.assignment()))

    # ---- what is stored is committed

    async def _commit(self, *, limit_secs: float) -> None:
        """Commit what is stored. A refusal means that the partitions are lost."""
        self._committed_at = self._now()
        ours = self._ours
        ends = {
            partition: mark.offset
            for partition in ours
            if (mark := self._marks[partition]).offset != mark.left
        }
        if not ends:
            return
        try:
            async with asyncio.timeout(limit_secs):
                await self._consumer.commit(ends)
        except (CommitFailedError, IllegalStateError):
            if self._ours is ours:  # no newer ones have come meanwhile
                self._ours = set()
        except TimeoutError:
            pass  # the next turn tries again
        except KafkaError as error:
            raise SourceFailed(f"offsets cannot be committed: {error}") from error
        else:
            for partition, offset in ends.items():
                self._marks[partition] = replace(self._marks[partition], left=offset)
            self._unkept |= ends.keys()

    async def _keep(self, position: Any = None) -> None:
        """Store what was committed: with less than that an operator has reset the group."""
        places = {_name(partition): self._marks[partition] for partition in self._unkept}
        if places or position is not None:
            self._unkept = set()
            await self._context.keep(places, position=position)

    # ---- partitions come and go; aiokafka calls these, and swallows what they raise

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Give everything back: what is stored is committed before another one reads on."""
        self._moving = True
        try:
            async with self._storing:
                await self._commit(limit_secs=_COMMIT_SECS)
        except Exception as error:  # noqa: BLE001 -- raised by the next turn
            self._failure = error
        self._ours = set()
        self._moving = False

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over, each partition from where it was left."""
        self._moving = True
        try:
            async with self._storing, asyncio.timeout(_PLACE_SECS):
                await self._place(list(assigned))
        except TimeoutError:
            self._failure = SourceFailed("the brokers do not say where to begin", lost=True)
        except Exception as error:  # noqa: BLE001 -- raised by the next turn
            self._failure = error
        self._assigned = True
        self._moving = False
        self._changes += 1
        self._alive_at = self._now()
        self._say()

    async def _place(self, partitions: list[TopicPartition]) -> None:
        """Decide where partitions begin, seek, and leave that committed and stored."""
        consumer = self._consumer
        await self._read_marks()
        firsts = await consumer.beginning_offsets(partitions) if partitions else {}
        ends = await consumer.end_offsets(partitions) if partitions else {}
        marks: dict[TopicPartition, Mark] = {}
        for partition in partitions:
            committed = await consumer.committed(partition)
            bounds = Bounds(firsts[partition], ends[partition])
            found = await self._begin(partition, committed, bounds)
            if found.gap is not None:
                facts = {"topic": partition.topic, "partition": partition.partition}
                self._context.log.warning("source_gap: %s", found.gap, extra=facts)
            marks[partition] = Mark(self._cluster, found.offset, committed)
        # In one go: what is fetched after a seek counts only where the partition is ours.
        for partition, mark in marks.items():
            consumer.seek(partition, mark.offset)
        self._marks |= marks
        self._ours |= marks.keys()
        await self._commit(limit_secs=_COMMIT_SECS)
        if partitions:
            # Also what was committed already is left so by us from now on.
            self._unkept |= set(partitions)
            first = self._reset is not None or not self._known
            self._known, self._reset = True, None
            since = {"since": instant(self._context.clock.now_ms())}
            await self._keep(since if first else None)

    async def _begin(
        self, partition: TopicPartition, committed: int | None, bounds: Bounds
    ) -> Begin:
        mark = self._marks.get(partition)
        if self._reset is not None:
            offset = await self._reset.offset(self._consumer, partition, bounds)
            if offset is not None:
                return Begin(offset)
        # A partition that comes later is read whole: it is new, or its records were never wanted.
        otherwise = "earliest" if self._known else self._start
        return begin(mark, committed, bounds, cluster=self._cluster, otherwise=otherwise)

    # ---- whether it goes on

    def _watch(self, *, is_alive: bool) -> None:
        """Notice that no broker answers any more: aiokafka itself tries for ever, in silence."""
        consumer, now = self._consumer, self._now()
        read = self._ours & consumer.assignment()
        beat = max((consumer.last_poll_timestamp(one) or 0 for one in read), default=0)
        if is_alive or beat != self._beat or (self._assigned and not consumer.assignment()):
            self._beat, self._alive_at = beat, now
        if now - self._alive_at > SILENCE_SECS:
            raise SourceFailed(f"no broker has answered for {SILENCE_SECS:g} s", lost=True)
        if now - self._said_at >= _SAY_EVERY_SECS:
            self._say()

    def _is_quiet(self) -> bool:
        return self._now() - self._alive_at > _QUIET_SECS

    def _say(self) -> None:
        if not self._assigned or self._failure is not None:
            return
        now = self._said_at = self._now()
        lag = self._lag()
        self._context.lag(lag)
        words = [f"{len(self._ours)} partitions", f"{lag} records behind"]
        if self._held:
            words.append("held back: nothing can be stored at the moment")
        elif now - self._alive_at > _TOLD_SILENCE_SECS:
            words.append(f"no broker answers since {now - self._alive_at:.0f} s")
        self._context.up(", ".join(words))

    def _lag(self) -> int:
        consumer = self._consumer
        behind = 0
        for partition in self._ours & consumer.assignment():
            end = consumer.highwater(partition)
            behind += max(0, (end or 0) - self._marks[partition].offset)
        return behind

    def _now(self) -> float:
        return self._context.clock.monotonic_secs()


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}:{partition.partition}"
