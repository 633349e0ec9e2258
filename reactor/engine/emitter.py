"""What a source emits with: `plugin.context.Emit` for one subscription."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from reactor.engine.intake import Intake
from reactor.failpoints import reach
from reactor.model.event import Receipt, Received
from reactor.plugin.context import Accepted


class Emitter:
    """Hands events of one subscription to intake; `room` waits a moment while the store is full."""

    def __init__(self, intake: Intake, instance: str, room: Callable[[], Awaitable[None]]) -> None:
        self._intake = intake
        self._instance = instance
        self._room = room

    async def __call__(self, received: Received) -> Receipt:
        """Store one event; waits while the daemon is overloaded or stops: the source slows down."""
        return (await self.many([received]))[0]

    async def many(self, received: Sequence[Received]) -> list[Receipt]:
        """Store a batch in one commit; order is kept."""
        while self._intake.refusal() is not None:
            await self._room()
        answer: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()

        def done(result: list[Receipt] | BaseException) -> None:
            if answer.done():
                return  # the source was cancelled; what it emitted is stored all the same
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        self._intake.accept(self._instance, received, done)
        reach("an event is submitted")
        return await answer

    def nowait(self, received: Received, done: Accepted) -> None:
        """Store one event; `done` is called once, with the receipt or with `Overloaded`."""

        def first(result: list[Receipt] | BaseException) -> None:
            done(result if isinstance(result, BaseException) else result[0])

        self._intake.accept(self._instance, (received,), first, patient=False)
        reach("an event is submitted")
