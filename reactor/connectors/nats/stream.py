"""Reads a JetStream stream by durable consumers: stored, then acknowledged."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from reactor.clock import instant, to_ms
from reactor.connectors.nats.link import Link
from reactor.connectors.nats.messages import delivery, received
from reactor.connectors.nats.pull import Pull
from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.cancelling import heed_cancellation
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form
from reactor.plugin.storing import store_held

KNOWN_SECS = 7 * 86_400.0
ACK_WAIT_SECS = 10.0
_ASK_SECS = 5.0
_LOOK_SECS = 5.0
# Each reader may hold a batch, and each connection that was lost a moment ago too: the thousand
# that servers take by themselves would soon stop the stream until ACK_WAIT_SECS are over.
_MOST_UNACKNOWLEDGED = 20_000
_MORE_THAN_ALLOWED = 10_121
_THEIR_FAULT = 500
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class Place(Struct, frozen=True, array_like=True):
    """Of a durable: the stream it reads, by its birth, and the sequence below which all is done."""

    born: str
    floor: int


class Stream(Struct, frozen=True, kw_only=True):
    """What to read."""

    name: str
    subjects: Sequence[str]
    durable: str
    start: Literal["earliest", "latest"]
    form: Form


class Durables:
    """Makes the durable consumers of a source, and reads each."""

    def __init__(self, link: Link, emit: Emit, context: SourceContext, stream: Stream) -> None:
        self._link = link
        self._emit = emit
        self._context = context
        self._stream = stream
        self._jetstream = link.client.jetstream(timeout=_ASK_SECS)
        self._lags: dict[str, int] = {}

    async def run(self) -> None:
        """Read until cancelled; `SourceFailed` when the server is lost."""
        try:
            await self._run()
        except (Error, TimeoutError) as error:
            raise self._failed(error) from error

    async def _run(self) -> None:
        stream = self._stream
        born = await self._born()
        turn, reset = await self._recall()
        places = await self._context.places()
        durables = _names(stream)
        for name, subject in durables.items():
            place = places.get(name)
            known = None if place is None else msgspec.convert(place, Place)
            if known is not None and known.born != born:
                message = "source_gap: the stream was made anew, it is read from its beginning"
                self._context.log.warning(message, extra={"stream": stream.name})
                known = Place(born, 0)
            await self._prepare(name, subject, known, reset)
        new = {name: Place(born, 0) for name in durables if name not in places}
        await self._context.keep(new, position={"since": instant(self._context.clock.now_ms())})
        # Not a TaskGroup: in Python 3.11 a child's failure leaves its parent marked as cancelled.
        mark = f"{born}:{turn}"
        readers = [asyncio.create_task(self._read(name, mark, born)) for name in durables]
        try:
            done, _ = await asyncio.wait(readers, return_when=asyncio.FIRST_EXCEPTION)
            for reader in done:
                reader.result()
        finally:
            # Once each: a second word would disturb one that is giving back what it holds.
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    def _failed(self, error: Error | TimeoutError) -> SourceFailed:
        stream = self._stream.name
        if isinstance(error, ServiceUnavailableError | NoRespondersError):
            return SourceFailed("the server has no JetStream, or not for this user", lost=True)
        if isinstance(error, APIError):
            is_theirs = (error.code or 0) >= _THEIR_FAULT
            return SourceFailed(f"stream {stream!r}: {error.description}", lost=is_theirs)
        if isinstance(error, TimeoutError):
            return SourceFailed(f"stream {stream!r}: the server does not answer", lost=True)
        reason = self._link.reason or error
        return SourceFailed(f"stream {stream!r}: {reason}", lost=True)

    async def _born(self) -> str:
        """When the stream was made: sequences of another one mean other messages."""
        try:
            info = await self._link.answer(self._jetstream.stream_info(self._stream.name))
        except NotFoundError:
            there = ", ".join(sorted(one.config.name or "" for one in await self._streams()))
            message = f"there is no stream {self._stream.name!r}: there is {there or 'none'}"
            raise SourceFailed(message) from None
        return "" if info.created is None else str(to_ms(info.created))

    async def _streams(self) -> list[Any]:
        try:
            return list(await self._link.answer(self._jetstream.streams_info()))
        except (Error, APIError):
            return []

    async def _recall(self) -> tuple[int, dict[str, Any] | None]:
        """Which turn this is, and where a reset sends us."""
        position = await self._context.position()
        places = await self._context.places()
        turn = int(places.get("turn") or 0)
        if isinstance(position, dict) or (position is None and not places):
            return turn, None
        reset = _reset("earliest" if position is None else str(position))
        await self._context.keep({"turn": turn + 1})
        return turn + 1, reset

    # ---- a durable

    async def _prepare(
        self, name: str, subject: str | None, known: Place | None, reset: dict[str, Any] | None
    ) -> None:
        """Have the durable on the server, made anew where it was lost or is to begin elsewhere."""
        stream = self._stream.name
        with suppress(NotFoundError):
            info = await self._link.answer(self._jetstream.consumer_info(stream, name))
            if reset is None:
                self._agree(info, subject)
                return
            await self._link.answer(self._jetstream.delete_consumer(stream, name))
        policy: dict[str, Any] = {"deliver_policy": DeliverPolicy.ALL}
        if reset is not None:
            policy = reset
        elif known is not None and known.floor:
            policy = {
                "deliver_policy": DeliverPolicy.BY_START_SEQUENCE,
                "opt_start_seq": known.floor + 1,
            }
        elif known is None and self._stream.start == "latest":
            policy = {"deliver_policy": DeliverPolicy.NEW}
        config = ConsumerConfig(
            durable_name=name,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECS,
            max_ack_pending=_MOST_UNACKNOWLEDGED,
            filter_subject=subject,
            **policy,
        )
        try:
            await self._link.answer(self._jetstream.add_consumer(stream, config))
        except APIError as error:
            if error.err_code != _MORE_THAN_ALLOWED:
                raise
            modest = config.evolve(max_ack_pending=None)
            await self._link.answer(self._jetstream.add_consumer(stream, modest))

    def _agree(self, info: ConsumerInfo, subject: str | None) -> None:
        config = info.config
        if config.deliver_subject is not None:
            raise SourceFailed(
                f"durable {info.name!r} pushes: name one that is pulled, or a new one"
            )
        if (config.filter_subject or None) != subject:
            message = f"durable {info.name!r} reads {config.filter_subject or 'all subjects'}, "
            raise SourceFailed(message + f"not {subject or 'all'}: name another durable")
        if config.ack_policy not in (AckPolicy.EXPLICIT, "explicit"):
            raise SourceFailed(f"durable {info.name!r} is not acknowledged explicitly")

    async def _read(self, name: str, mark: str, born: str) -> None:
        pull = Pull(self._link, self._stream.name, name)
        clock = self._context.clock
        try:
            await pull.begin()
            looked_at, floor = clock.monotonic_secs(), await self._look(name, born, 0)
            while True:
                heed_cancellation()
                messages = await pull.take()
                if messages:
                    await self._store(pull, messages, mark)
                    await pull.acknowledge()
                now = clock.monotonic_secs()
                if now - looked_at >= _LOOK_SECS:
                    looked_at = now
                    floor = await self._look(name, born, floor)
        finally:
            await pull.end()

    async def _store(self, pull: Pull, messages: Sequence[Msg], mark: str) -> None:
        """Store a batch, however long that takes: the server is told that we are at it."""
        batch = [self._received(message, mark) for message in messages]

        async def held() -> None:
            heed_cancellation()
            self._link.check()
            self._context.up("held back: nothing can be stored at the moment")
            for message in messages:
                await message.in_progress()

        await store_held(self._emit, batch, held, every_secs=ACK_WAIT_SECS / 4, stored=pull.stored)

    def _received(self, message: Msg, mark: str) -> Received:
        found = delivery(message.reply)
        sequence = None if found is None else found.sequence
        return received(
            message,
            self._stream.form,
            found=found,
            identity=f"{self._stream.name}:{mark}:{sequence}",
            known_secs=KNOWN_SECS,
        )

    async def _look(self, name: str, born: str, floor: int) -> int:
        """Say how far behind we are, and keep how far all is done."""
        info = await self._link.answer(self._jetstream.consumer_info(self._stream.name, name))
        self._lags[name] = (info.num_pending or 0) + (info.num_ack_pending or 0)
        lag = sum(self._lags.values())
        self._context.lag(lag)
        self._context.up(f"stream {self._stream.name}, {lag} messages behind")
        done = 0 if info.ack_floor is None else info.ack_floor.stream_seq
        if done > floor:
            await self._context.keep({name: Place(born, done)})
            return done
        return floor


def _names(stream: Stream) -> dict[str, str | None]:
    """Name and subject of each durable; the servers of Debian take one subject for each."""
    if len(stream.subjects) <= 1:
        return {stream.durable: stream.subjects[0] if stream.subjects else None}
    found: dict[str, str | None] = {}
    for subject in stream.subjects:
        word = _UNSAFE.sub("-", subject).strip("-")
        tail = hashlib.sha256(subject.encode()).hexdigest()[:6]
        found[f"{stream.durable}-{word}-{tail}" if word else f"{stream.durable}-{tail}"] = subject
    return found


def _reset(text: str) -> dict[str, Any]:
    """The policy of a durable that begins where `reactor sources reset --to` says."""
    if text == "earliest":
        return {"deliver_policy": DeliverPolicy.ALL}
    if text == "latest":
        return {"deliver_policy": DeliverPolicy.NEW}
    if text.isdecimal() and int(text):
        return {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": int(text)}
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        message = f"position {text!r}: write earliest, latest, a sequence, or a time such as "
        message += "2026-01-31T08:00:00Z"
        raise SourceFailed(message, fatal=True) from None
    return {"deliver_policy": DeliverPolicy.BY_START_TIME, "opt_start_time": moment}
