"""Messages of pub/sub channels, and keyspace notifications: heard once or not at all."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from reactor.connectors.redis.connection import Line
from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form, read_payload

_MOST = 128
# What may wait here while events are stored; then we read no more, and Redis keeps what it likes.
_MOST_WAITING = 10_000
_SILENCE_SECS = 5.0
_KEYSPACE, _KEYEVENT = "__keyspace@", "__keyevent@"


async def follow_channels(
    line: Line,
    channels: Sequence[str],
    patterns: Sequence[str],
    form: Form,
    *,
    emit: Emit,
    context: SourceContext,
) -> None:
    """Emit every message that comes while the connection stands."""
    if any(name.startswith("__key") for name in [*channels, *patterns]):
        await _expect_notifications(line)
    if channels:
        await line.say("SUBSCRIBE", *channels)
    if patterns:
        await line.say("PSUBSCRIBE", *patterns)
    async with _heard(line) as waiting:
        confirmed = 0
        while True:
            replies = await waiting.take(_MOST)
            messages = [found for reply in replies if (found := _message(reply)) is not None]
            before, confirmed = confirmed, confirmed + sum(map(_is_confirmation, replies))
            if before < len(channels) + len(patterns) <= confirmed:
                context.up(f"listens to {', '.join([*channels, *patterns])}; at most once")
            if messages:
                await emit.many([_received(*message, form) for message in messages])


class _Waiting:
    """What was heard and is not stored yet, in order."""

    def __init__(self) -> None:
        self._replies: deque[Any] = deque()
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self.failure: BaseException | None = None

    async def put(self, reply: Any) -> None:
        """Keep a reply; waits while too many are there."""
        self._replies.append(reply)
        self._news.set()
        if len(self._replies) >= _MOST_WAITING:
            self._room.clear()
            await self._room.wait()

    async def take(self, most: int) -> list[Any]:
        """What there is, once there is something; raises what ended the hearing, after the rest."""
        while not self._replies:
            if self.failure is not None:
                raise self.failure
            self._news.clear()
            await self._news.wait()
        taken = [self._replies.popleft() for _ in range(min(most, len(self._replies)))]
        self._room.set()
        return taken

    def end(self, task: "asyncio.Task[None]") -> None:
        """The hearing has ended."""
        self.failure = None if task.cancelled() else task.exception()
        self._news.set()


@asynccontextmanager
async def _heard(line: Line) -> AsyncIterator[_Waiting]:
    """What the server says, while inside; silence is asked about, and is a failure if it stays."""
    waiting = _Waiting()
    hearing = asyncio.create_task(_hear(line, waiting))
    hearing.add_done_callback(waiting.end)
    try:
        yield waiting
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def _hear(line: Line, waiting: _Waiting) -> None:
    asked = False
    reading = asyncio.ensure_future(line.hear())
    try:
        while True:
            done, _ = await asyncio.wait([reading], timeout=_SILENCE_SECS)
            if done:
                asked = False
                await waiting.put(reading.result())
                reading = asyncio.ensure_future(line.hear())
            elif asked:
                raise SourceFailed(f"{line.address} does not answer", lost=True)
            else:
                asked = True
                await line.say("PING")
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _expect_notifications(line: Line) -> None:
    """Keyspace notifications are off unless somebody turned them on."""
    (reply,) = await line.ask_all([("CONFIG", "GET", "notify-keyspace-events")])
    if isinstance(reply, list) and len(reply) == 2 and not reply[1]:
        raise SourceFailed(
            f"{line.address} sends no keyspace notifications: "
            "CONFIG SET notify-keyspace-events KEA, or a part of it"
        )


def _is_confirmation(reply: Any) -> bool:
    return isinstance(reply, list) and reply[0] in (b"subscribe", b"psubscribe")


def _message(reply: Any) -> tuple[str, bytes] | None:
    """Channel and body, if the reply is a message."""
    if not isinstance(reply, list) or reply[0] not in (b"message", b"pmessage"):
        return None
    return reply[-2].decode("utf-8", "replace"), reply[-1]


def _received(channel: str, body: bytes, form: Form) -> Received:
    key = None
    if channel.startswith((_KEYSPACE, _KEYEVENT)):
        form = "text"  # an event's name or a key
        name = channel.partition(":")[2] if channel.startswith(_KEYSPACE) else body.decode("latin1")
        key = name
    payload = read_payload(form, body)
    return payload.received({"channel": channel}, key=key)
