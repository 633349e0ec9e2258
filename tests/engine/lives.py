"""One reactor over several lives: its World may crash or restart, its store and clock go on."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from reactor.engine.core import Engine
from reactor.errors import StorageFailed
from reactor.model.execution import Execution
from reactor.model.flow import steps_of
from reactor.store import Open
from reactor.store.sqlite import SqliteStore, open_sqlite
from reactor.testing import HandClock, World
from tests.engine.probe import Probe


class Lives:
    """Flows over a state folder, as an async context manager.

    A crash is what the disk holds at that moment, opened anew: the old World never learns of it.
    `options` are those of World.
    """

    def __init__(
        self, folder: Path, *flows: str, probe: Probe | None = None, **options: Any
    ) -> None:
        self.probe = probe or Probe()
        self.flows = flows
        self.clock = HandClock()
        self.world: World
        self._folder = folder
        self._life = 0
        self._options = options

    @property
    def engine(self) -> Engine:
        """The engine that lives now."""
        return self.world.engine

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close(self.world, clean=True)

    async def crash(self, *, away_ms: int = 0) -> None:
        """The process is gone; the next one, later, finds what was on disk."""
        here, there = self._state(self._life), self._state(self._life + 1)
        shutil.copytree(here, there, ignore=shutil.ignore_patterns("lock", "ballast"))
        old = self.world
        self.probe.forget()
        await self._close(old, clean=False)
        self.clock.jump(away_ms)
        self._life += 1
        await self._open()

    async def restart(self) -> None:
        """Stop in good order, and start again."""
        await self._close(self.world, clean=True)
        await self._open()

    async def story(self) -> list[Open]:
        """All executions with their journals, in order of acceptance."""
        rows: list[Execution] = await self.world.executions()
        return await self.world.store.load([row.id for row in rows])

    async def steps(self, opened: Open) -> dict[str, dict[str, Any]]:
        """What the journal says of each finished step, by its id, with `@round` in a loop."""
        flow = await self.engine.versions.find(opened.execution.version)
        ids = {step.path: step.id for step in steps_of(flow)}
        found = {}
        for entry in opened.journal:
            if entry.kind == "done":
                path, *rounds = entry.path.split("@")
                found["@".join([ids[path.partition("~")[0]], *rounds])] = entry.value
        return found

    def stored(self) -> bytes:
        """Every byte on disk."""
        return b"".join(
            path.read_bytes() for path in sorted(self._folder.rglob("*")) if path.is_file()
        )

    def _state(self, life: int) -> Path:
        return self._folder / f"life{life}"

    async def _open(self) -> None:
        store = await open_sqlite(
            self._state(self._life), on_failure=_refuse, clock=self.clock, threads=False
        )
        self.world = World(
            *self.flows,
            specs=[self.probe.spec],
            store=store,
            clock=self.clock,
            held=lambda: self.probe.held,
            **self._options,
        )
        await self.world.__aenter__()

    async def _close(self, world: World, *, clean: bool) -> None:
        store: SqliteStore = world.store
        await world.__aexit__()
        with suppress(StorageFailed):
            await store.close(clean=clean)


def _refuse(error: Exception) -> None:
    raise AssertionError(error)
