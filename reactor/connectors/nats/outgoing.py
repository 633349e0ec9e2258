"""Sends messages: one connection for each NATS, made anew when it was lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from nats.errors import BadSubjectError, Error, MaxPayloadError, NoRespondersError
from nats.js.errors import APIError, NoStreamResponseError

from reactor.connectors.nats.link import Link, connect
from reactor.connectors.nats.servers import Servers
from reactor.errors import ActionFailed, SourceFailed

_STORE_SECS = 10.0
_FLUSH_SECS = 10
# The step's own timeout comes first.
_ANSWER_SECS = 86_400.0


class Outgoing:
    """What steps send to one NATS, many at a time."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._link: Link | None = None
        self._opening = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def opened(cls, servers: Servers) -> AsyncIterator[Self]:
        """Connect; `SourceFailed` says why that is not possible."""
        outgoing = cls(servers)
        await outgoing._open()
        try:
            yield outgoing
        finally:
            if outgoing._link is not None:
                await outgoing._link.close()

    async def publish(
        self, subject: str, body: bytes, headers: Mapping[str, str], *, stream: str | None
    ) -> dict[str, Any]:
        """Send a message; where it went."""
        try:
            link = await self._open()
            if stream is None:
                await link.client.publish(subject, body, headers=dict(headers) or None)
                await link.answer(link.client.flush(_FLUSH_SECS))
                return {"stream": None, "sequence": None, "duplicate": False}
            jetstream = link.client.jetstream()
            found = await link.answer(
                jetstream.publish(
                    subject, body, timeout=_STORE_SECS, stream=stream, headers=dict(headers)
                )
            )
        except (Error, OSError, SourceFailed, TimeoutError) as error:
            raise _failed(error, subject, stream) from error
        return {"stream": found.stream, "sequence": found.seq, "duplicate": bool(found.duplicate)}

    async def request(
        self, subject: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[bytes, dict[str, str]]:
        """Send a message and wait for its answer."""
        try:
            link = await self._open()
            given = dict(headers) or None
            asked = link.client.request(subject, body, timeout=_ANSWER_SECS, headers=given)
            found = await link.answer(asked)
        except (Error, OSError, SourceFailed, TimeoutError) as error:
            raise _failed(error, subject, None) from error
        return found.data, dict(found.headers or {})

    async def _open(self) -> Link:
        async with self._opening:
            if self._link is None or not self._link.is_open:
                if self._link is not None:
                    await self._link.close()
                self._link = None
                self._link = await connect(self._servers)
            return self._link


def _failed(error: BaseException, subject: str, stream: str | None) -> ActionFailed:
    if isinstance(error, NoStreamResponseError):
        return ActionFailed(
            f"no stream takes subject {subject!r}: add it to the subjects of {stream!r}",
            kind="nats",
        )
    if isinstance(error, NoRespondersError):
        return ActionFailed(f"nobody answers on {subject!r}", kind="no_responders", transient=True)
    if isinstance(error, APIError):
        return ActionFailed(f"stream {stream!r}: {error.description}", kind="nats")
    if isinstance(error, MaxPayloadError):
        return ActionFailed("the message is longer than the server takes", kind="nats")
    if isinstance(error, BadSubjectError):
        return ActionFailed(f"{subject!r} is no subject to publish on", kind="nats")
    said = str(error) or type(error).__name__
    return ActionFailed(f"subject {subject!r}: {said}", kind="nats", transient=True)
