"""One source against a real broker, its events in a whole engine in memory."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from msgspec import json

from reactor.clock import SystemClock
from reactor.daemon.sources import Context
from reactor.engine.intake import Limits
from reactor.errors import NotFound, StorageFailed
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Connection
from reactor.plugin.decode import decode
from reactor.store import Query
from reactor.store.sqlite import SqliteStore, open_memory
from reactor.testing import HandClock, World

_PATIENCE_SECS = 15.0
_LOOK_SECS = 0.01
_FLOW = """\
flow: taken
when:
  {word}: {config}
do:
  - log: ${{{{ event.data | json }}}}
"""


async def eventually(found: Any, what: str, secs: float = _PATIENCE_SECS) -> Any:
    """The first true answer, of a function or a coroutine; fails with `what` after the deadline."""
    deadline = asyncio.get_running_loop().time() + secs
    while True:
        answer = found()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < deadline, f"{what}: not within {secs} s"
        await asyncio.sleep(_LOOK_SECS)


class Running:
    """`async with Running(world, "kafka", {…}) as source:` runs it until the block ends.

    The world's first flow listens to it. `said` is what it told of itself, `failure` why it ended.
    """

    def __init__(
        self,
        world: World,
        word: str,
        written: Mapping[str, Any],
        *,
        connections: Mapping[str, Connection] | None = None,
    ) -> None:
        spec = Catalog().find("source", word)
        assert spec is not None
        assert spec.run is not None
        self.world = world
        self.instance = next(name for name in world.engine.intake.router.instances())
        self.said: list[str] = []
        self.lags: list[float] = []
        self.failure: BaseException | None = None
        self._spec = spec
        self._config = decode(dict(written), spec.config)
        self._connections = dict(connections or {})
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Run it."""
        self._task = asyncio.create_task(self._run())

    async def up(self) -> None:
        """Wait until it says that it works."""
        await eventually(lambda: self.said or self.failure, "the source is up")
        assert self.failure is None, self.failure

    async def failed(self) -> str:
        """Wait until it fails; why."""
        await eventually(lambda: self.failure, "the source fails")
        return str(self.failure)

    async def cancel(self) -> None:
        """End it as a reload would."""
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def data(self, count: int) -> list[Any]:
        """The data of all events that started an execution, once there are so many."""

        async def enough() -> Any:
            assert self.failure is None, self.failure
            rows = await self.world.executions()
            return rows if len(rows) >= count else None

        rows = await eventually(enough, f"{count} events are stored")
        return [(await self.event(row.event)).data for row in rows]

    async def event(self, id: int) -> Any:
        """A stored event."""
        return await self.world.store.history.event(id)

    def fill(self) -> None:
        """From now on nothing can be stored, as when the disk is full."""
        self.world.engine.intake.open = False

    async def empty(self) -> None:
        """There is room again."""
        self.world.engine.intake.open = True
        await self.world.advance("10s")

    async def letter(self) -> tuple[str, Any]:
        """The only dead letter, once it is there: its kind, and the data of its event."""

        async def there() -> Any:
            return await self.world.store.history.dead(Query())

        (letter,) = await eventually(there, "a dead letter is written")
        return letter.kind, (await self.event(letter.event)).data

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.cancel()

    async def _run(self) -> None:
        world = self.world
        given: dict[str, Any] = {"routes": None, "files": None, "shared": None, "network": None}
        context = Context(
            instance=self.instance,
            clock=SystemClock(),
            log=logging.getLogger("reactor.source.test"),
            allow_unauthenticated=False,
            listens_on_loopback=True,
            store=world.store,
            say_up=self.said.append,
            say_lag=self.lags.append,
            reach=_reach,
            draw=lambda: 0.5,
            find_connection=self._connection,
            **given,
        )
        run = self._spec.run
        assert run is not None
        try:
            await run(self._config, world.engine.emitter(self.instance), context)
        except Exception as error:  # noqa: BLE001 -- the test looks at it
            self.failure = error

    def _connection(self, kind: str, name: str | None) -> Connection:
        for found in self._connections.values():
            if found.kind == kind and name in (None, found.name):
                return found
        raise NotFound(f"there is no {kind} connection {name!r}")


@asynccontextmanager
async def reading(
    word: str,
    config: Mapping[str, Any],
    *,
    store: SqliteStore | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[Running]:
    """A source that runs in a world of its own, or in one that goes on from a store."""
    text = _FLOW.format(word=word, config=json.encode(config).decode())
    # A world that goes on begins later than the last one: ids come of the time.
    clock = HandClock(SystemClock().now_ms())
    async with (
        World(text, store=store, limits=limits, clock=clock) as world,
        Running(world, word, config) as source,
    ):
        yield source


@asynccontextmanager
async def lasting() -> AsyncIterator[SqliteStore]:
    """A store that outlives the worlds it is given to: each one after the first is a restart."""

    def failed(error: StorageFailed) -> None:
        raise error

    made = await open_memory(on_failure=failed, clock=SystemClock())
    yield made
    await made.close(clean=True)


async def _reach(ms: int) -> None:
    await asyncio.sleep(max(0.0, ms / 1000 - SystemClock().now_ms() / 1000))
