"""Sessions that are used again: those of one database, at most so many at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from reactor.connectors.sql.database import Database, Kind, Session
from reactor.connectors.sql.dsn import Settings, database, place
from reactor.plugin.context import ActionContext


class Pool:
    """Opens sessions when they are needed; one that met an error is closed, not used again."""

    def __init__(self, source: Database, most: int) -> None:
        self._source = source
        self._room = asyncio.Semaphore(most)
        self._idle: list[Session] = []
        self.made: set[str] = set()

    @property
    def kind(self) -> Kind:
        """Which SQL its database speaks."""
        return self._source.kind

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session for one piece of work."""
        async with self._room:
            session = await self._next()
            try:
                yield session
            except BaseException:
                await session.close()
                raise
            self._idle.append(session)

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop().close()

    async def _next(self) -> Session:
        while self._idle:
            session = self._idle.pop()
            if not session.dropped():
                return session
            await session.close()
        return await self._source.connect()


async def pool_of(found: Settings, context: ActionContext) -> Pool:
    """The daemon's pool for a database."""

    @asynccontextmanager
    async def open_pool() -> AsyncIterator[Pool]:
        pool = Pool(database(found.dsn, context.files.base), found.max)
        try:
            yield pool
        finally:
            await pool.close()

    return await context.shared(f"sql:{place(found.dsn)}:{found.max}", open_pool)
