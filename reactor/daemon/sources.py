"""Which sources run: one for each subscription that a flow listens to."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, json

from reactor.clock import Clock
from reactor.engine.router import Candidate, Router
from reactor.engine.supervisor import Supervisor
from reactor.errors import ReactorError, SourceFailed
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Connection, Emit, Routes, Shared
from reactor.plugin.decode import decode
from reactor.plugin.spec import Spec
from reactor.store import Store


class Wanted(Struct, frozen=True):
    """A subscription that should run, and what it was made from."""

    instance: str
    spec: Spec
    candidate: Candidate
    written: bytes
    flows: tuple[str, ...]


class SourceWorld(Struct, frozen=True, kw_only=True):
    """What sources are given of the daemon."""

    clock: Clock
    catalog: Catalog
    store: Store
    shared: Shared
    secret: Callable[[str], str]
    env: Mapping[str, str]
    connection: Callable[[str, str | None], Connection]
    routes: Callable[[str], Routes]
    emit: Callable[[str], Emit]
    allow_unauthenticated: bool
    listens_on_loopback: bool


class Context(Struct, frozen=True, kw_only=True):
    """What one running source may ask: `plugin.context.SourceContext`."""

    instance: str
    clock: Clock
    log: logging.Logger
    routes: Routes
    shared: Shared
    allow_unauthenticated: bool
    listens_on_loopback: bool
    store: Store
    say_up: Callable[[str], None]
    find_connection: Callable[[str, str | None], Connection]

    def up(self, detail: str = "") -> None:
        """Say that the source works."""
        self.say_up(detail)

    async def position(self) -> Any:
        """The last position stored with an event of this instance."""
        return await self.store.position(self.instance)

    def connection(self, kind: str, name: str | None) -> Connection:
        """A configured connection."""
        return self.find_connection(kind, name)


class Sources:
    """Keeps the running sources equal to what the router's flows ask for."""

    def __init__(self, world: SourceWorld, supervisor: Supervisor) -> None:
        self._world = world
        self._supervisor = supervisor
        self.running: dict[str, Wanted] = {}

    async def follow(self, router: Router) -> None:
        """Start what is new, restart what is written otherwise now, stop what nobody asks for.

        A source whose subscription and config are the same is not touched.
        """
        wanted = self._wanted(router)
        for instance, want in wanted.items():
            runs = self.running.get(instance)
            if runs is None:
                self._start(want)
            elif runs.written != want.written:
                await self._supervisor.stop(instance)
                self._start(want)
            self.running[instance] = want
        for instance in self.running.keys() - wanted.keys():
            del self.running[instance]
            await self._supervisor.stop(instance)

    async def restart(self, instance: str) -> None:
        """Stop and start one source, after its position was moved."""
        await self._supervisor.stop(instance)
        self._start(self.running[instance])

    def _wanted(self, router: Router) -> dict[str, Wanted]:
        found: dict[str, Wanted] = {}
        for instance, candidates in router.instances().items():
            first = candidates[0]
            spec = self._world.catalog.find("source", first.trigger.source)
            if spec is None or spec.run is None:
                continue  # the engine's own sources run by themselves
            flows = tuple(dict.fromkeys(candidate.flow.name for candidate in candidates))
            found[instance] = Wanted(instance, spec, first, _written(first), flows)
        return found

    def _start(self, want: Wanted) -> None:
        self._supervisor.start(want.instance, lambda: self._run(want))

    async def _run(self, want: Wanted) -> None:
        world = self._world
        try:
            config = self._config(want)
        except ReactorError as error:
            message = f"flow {want.flows[0]!r} trigger {want.candidate.trigger.id!r}: {error}"
            raise SourceFailed(message) from error
        context = Context(
            instance=want.instance,
            clock=world.clock,
            log=logging.getLogger(f"reactor.source.{want.spec.word}"),
            routes=world.routes(want.flows[0]),
            shared=world.shared,
            allow_unauthenticated=world.allow_unauthenticated,
            listens_on_loopback=world.listens_on_loopback,
            store=world.store,
            say_up=lambda detail: self._supervisor.up(want.instance, detail),
            find_connection=world.connection,
        )
        if want.spec.run is not None:
            await want.spec.run(config, world.emit(want.instance), context)

    def _config(self, want: Wanted) -> Any:
        template = want.candidate.trigger.config
        names = {path[1] for path in template.paths if path[0] == "secrets" and len(path) > 1}
        given = template.render(
            {
                "secrets": {name: self._world.secret(name) for name in names},
                "env": self._world.env,
                "vars": want.candidate.constants,
            }
        )
        spec = want.spec
        if spec.shorthand is not None and not isinstance(given, dict):
            given = {spec.shorthand: given}
        return decode(given, spec.config)


def _written(candidate: Candidate) -> bytes:
    """What stands under the source's key, to see whether it changed; constants it may use included."""
    when = candidate.flow.document.get("when")
    entries = when if isinstance(when, list) else [when]
    place = candidate.flow.triggers.index(candidate.trigger)
    entry = entries[place] if place < len(entries) else None
    config = entry.get(candidate.trigger.source) if isinstance(entry, dict) else None
    return json.encode([config, dict(candidate.constants)], order="sorted", enc_hook=str)
