"""Pulls messages of a durable: a batch at a time, with heartbeats, acknowledged for sure."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error

from reactor.connectors.nats.link import Link
from reactor.errors import SourceFailed

_MOST_AT_ONCE = 500
_PULL_SECS = 30.0
_BEAT_SECS = 5.0
_SILENCE_SECS = 15.0
_ACK_SECS = 5.0
_BYE_SECS = 0.3
_STATUS = "Status"


class Pull:
    """Asks the server for messages, a batch at a time, and notices when it has gone silent."""

    def __init__(self, link: Link, stream: str, durable: str) -> None:
        self._link = link
        self._client = link.client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = link.client.new_inbox()
        self._heard: deque[Msg] = deque()
        self._news = asyncio.Event()
        self._taken: Sequence[Msg] = ()
        self._is_stored = False
        self._left = 0
        self._error: str | None = None
        self._heard_by: Subscription | None = None
        self._ended: asyncio.Task[Any] | None = None

    async def begin(self) -> None:
        """Listen."""
        self._heard_by = await self._client.subscribe(
            self._inbox, cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._ended = asyncio.create_task(self._link.ended.wait())
        self._ended.add_done_callback(lambda _: self._news.set())

    async def take(self) -> list[Msg]:
        """What has come, in the order of the stream; empty after a while without any."""
        if not self._heard:
            # First of all: what has happened since is news, what happened before is seen here.
            self._news.clear()
            self._check()
            if self._left <= 0:
                await self._ask()
            try:
                async with asyncio.timeout(_SILENCE_SECS):
                    await self._news.wait()
            except TimeoutError:
                message = f"the server does not answer: silent for {_SILENCE_SECS:g} s"
                raise SourceFailed(message, lost=True) from None
        self._check()
        found = list(self._heard)
        self._heard.clear()
        self._taken, self._is_stored = found, False
        return found

    def stored(self) -> None:
        """What was taken is stored: even if we end now, the server is to know that."""
        self._is_stored = True

    async def acknowledge(self) -> None:
        """Acknowledge, and wait until the server has taken it in: it does so in our order."""
        *before, last = self._taken
        await self._answer(before, b"+ACK")
        await self._link.answer(self._client.request(last.reply, b"+ACK", timeout=_ACK_SECS))
        self._taken = ()

    async def end(self) -> None:
        """Give back what was not stored: it comes again at once, not when its time is over."""
        if self._ended is not None:
            self._ended.cancel()
            await asyncio.gather(self._ended, return_exceptions=True)
        with suppress(TimeoutError, Error, OSError):
            async with asyncio.timeout(_BYE_SECS):
                if self._is_stored:
                    await self._answer(self._taken, b"+ACK")
                # The server sends no more, and what it had sent already is heard before this ends:
                # given back any earlier it would only come here again.
                if self._heard_by is not None:
                    await self._heard_by.drain()  # type: ignore[no-untyped-call]
                if not self._is_stored:
                    await self._answer(self._taken, b"-NAK")
                await self._answer(self._heard, b"-NAK")
                await self._client.flush()

    def _check(self) -> None:
        self._link.check()
        if self._error is not None and not self._heard:
            raise SourceFailed(self._error, lost=True)

    async def _answer(self, messages: Iterable[Msg], word: bytes) -> None:
        for message in messages:
            await self._client.publish(message.reply, word)

    async def _ask(self) -> None:
        request = {
            "batch": _MOST_AT_ONCE,
            "expires": round(_PULL_SECS * 1e9),
            "idle_heartbeat": round(_BEAT_SECS * 1e9),
        }
        self._left = _MOST_AT_ONCE
        await self._client.publish(self._subject, msgspec.json.encode(request), self._inbox)

    async def _hear(self, message: Msg) -> None:
        status = message.headers.get(_STATUS) if message.headers and not message.data else None
        if status is None:
            self._left -= 1
            self._heard.append(message)
        elif status == "408":  # the time of our request is over
            self._left = 0
        elif status != "100":  # a heartbeat
            text = (message.headers or {}).get("Description", "")
            self._error = f"the server ends the durable's request: {status} {text}"
        self._news.set()
