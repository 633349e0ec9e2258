"""Reads subjects of core NATS: what nobody takes at the moment it comes is gone."""

import asyncio
from collections import deque
from collections.abc import Sequence

from nats.aio.msg import Msg

from reactor.connectors.nats.link import Link
from reactor.connectors.nats.messages import received
from reactor.plugin.cancelling import heed_cancellation
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form
from reactor.plugin.storing import store_held

# What waits for the next commit; the newest that does not fit is gone, as with any slow reader.
MOST_WAITING = 10_000
_MOST_AT_ONCE = 1000


class Subjects:
    """Takes messages as they come, and says how many it could not keep."""

    def __init__(self, link: Link, emit: Emit, context: SourceContext, form: Form) -> None:
        self._link = link
        self._emit = emit
        self._context = context
        self._form = form
        self._waiting: deque[Msg] = deque()
        self._news = asyncio.Event()
        self._gone = 0

    async def run(self, subjects: Sequence[str], queue: str) -> None:
        """Read until cancelled; `SourceFailed` when the server is lost."""
        for subject in subjects:
            await self._link.client.subscribe(subject, queue=queue, cb=self._take)
        await self._link.answer(self._link.client.flush())
        self._context.up(", ".join(subjects))
        ended = asyncio.create_task(self._link.ended.wait())
        ended.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    await self._store()
                self._link.check()
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def _take(self, message: Msg) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._lose()
            return
        self._waiting.append(message)
        self._news.set()

    async def _store(self) -> None:
        count = min(len(self._waiting), _MOST_AT_ONCE)
        batch = [received(self._waiting.popleft(), self._form) for _ in range(count)]
        await store_held(self._emit, batch, self._hold)

    async def _hold(self) -> None:
        heed_cancellation()
        self._link.check()

    def _lose(self) -> None:
        if not self._gone:
            message = "messages were lost: they came faster than they could be stored"
            self._context.log.warning(message)
        self._gone += 1
        if self._gone.bit_count() == 1:  # not for each of a million
            self._context.up(f"{self._gone} messages or more were lost: they came too fast")
