"""The flows that serve: read from the folder, told about, swapped, paused."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from reactor.daemon.book import Book, Turned
from reactor.daemon.sources import Sources
from reactor.engine.core import Engine
from reactor.failpoints import reach
from reactor.problem import render_text
from reactor.store import Write
from reactor.store.sqlite import SqliteStore

_LOG = logging.getLogger("reactor.daemon")


class Served:
    """Keeps engine and sources on what the book says; one change at a time.

    `prepare` is awaited before flows that were read begin to serve.
    """

    def __init__(
        self,
        book: Book,
        engine: Engine,
        store: SqliteStore,
        paused: frozenset[str],
        *,
        prepare: Callable[[], Awaitable[None]],
    ) -> None:
        self._prepare = prepare
        self.book = book
        self.paused = paused
        self._engine = engine
        self._store = store
        self._turning = asyncio.Lock()

    async def begin(self) -> int:
        """Read the folder and serve it; how many executions the last run left open."""
        self._take_in(await asyncio.to_thread(self.book.read))
        await self._prepare()
        return await self._engine.start(
            self.book.flows, paused=self.paused, after_failure=self._store.after_failure
        )

    async def reload(self, sources: Sources, *, every: bool = False) -> None:
        """Read the flows folder again and serve what it says; unchanged flows are not touched."""
        async with self._turning:
            turned = await asyncio.to_thread(self.book.read, every=every)
            self._take_in(turned)
            reach("flows are read")
            if turned.anything:
                await self._prepare()
                await self._swap(sources)

    async def pause(self, sources: Sources, paused: frozenset[str]) -> None:
        """Pause exactly these flows; kept over restarts, on disk when it returns."""
        self.paused = paused
        self._store.submit(Write(meta=[("paused", sorted(paused))]))
        async with self._turning:
            await self._swap(sources)
        await self._engine.desk.settled()

    async def _swap(self, sources: Sources) -> None:
        self._engine.serve(self.book.flows, paused=self.paused)
        reach("flows are swapped")
        await sources.follow(self._engine.intake.router)

    def _take_in(self, turned: Turned) -> None:
        """Keep what the folder says now, and say what is new."""
        if turned.rows:
            self._store.submit(Write(files=list(turned.rows)))
        for page in turned.pages:
            for problem in page.said:
                level = logging.ERROR if problem.severity == "error" else logging.WARNING
                if problem.severity != "note":
                    _LOG.log(level, "%s", render_text(problem))
            if page.state == "stale":
                facts = {"file": page.path}
                _LOG.error("the last good version of a flow file keeps running", extra=facts)
        if turned.anything:
            changes = {
                "added": list(turned.added),
                "changed": list(turned.changed),
                "removed": list(turned.removed),
            }
            _LOG.info("flows loaded", extra=changes)
