"""Answers for whoever waits for an execution: its reply, or how it ended."""

import asyncio
from collections.abc import Callable

from reactor.model.event import Outcome
from reactor.store import Open, Store


class Outcomes:
    """Futures of outcomes; `lives` says whether an execution is under way."""

    def __init__(self, store: Store, lives: Callable[[int], bool]) -> None:
        self._store = store
        self._lives = lives
        self._waiting: dict[int, list[asyncio.Future[Outcome]]] = {}
        self._lookups: set[asyncio.Task[None]] = set()

    @property
    def awaited(self) -> bool:
        """Whether anyone waits."""
        return bool(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether answers are being looked up."""
        return bool(self._lookups)

    def of(self, execution: int) -> asyncio.Future[Outcome]:
        """Resolved when the execution replies or ends."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(execution, []).append(future)
        return future

    def stored(self, execution: int) -> asyncio.Future[Outcome] | None:
        """The outcome of an execution that may have ended before; None while it runs."""
        if self._lives(execution):
            return None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        task = loop.create_task(self._look(execution, future))
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)
        return future

    def answer(self, outcome: Outcome) -> None:
        """Tell everyone who waits for this execution."""
        for future in self._waiting.pop(outcome.execution, ()):
            if not future.done():
                future.set_result(outcome)

    async def _look(self, execution: int, future: asyncio.Future[Outcome]) -> None:
        found = await self._store.load([execution])
        if not future.done() and found:
            future.set_result(outcome_of(found[0]))


def outcome_of(opened: Open) -> Outcome:
    """What a stored execution answered or how it ended; its state word while it is open."""
    row = opened.execution
    given = {entry.kind: entry.value for entry in opened.journal if entry.path == ""}
    reply = given.get("reply")
    return Outcome(
        row.id,
        row.state.word if reply is None else "replied",
        reply=reply,
        output=given.get("output"),
        error_kind=None if row.error is None else row.error.kind,
    )
