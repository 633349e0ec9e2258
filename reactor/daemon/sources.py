"""Which sources run: one for each subscription that a flow listens to."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct, json

from reactor.clock import Clock
from reactor.engine.router import Candidate, Router
from reactor.engine.supervisor import Supervisor
from reactor.errors import NotFound, ReactorError, SourceFailed
from reactor.loading.step_ids import written_step
from reactor.model.flow import WaitStep, steps_of
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Connection, Emit, Files, Network, Routes, Shared
from reactor.plugin.decode import decode
from reactor.plugin.spec import Spec
from reactor.store import Store, Write, place_name

# A machine that slept, or whose clock was set, is noticed after this time.
LONGEST_NAP_SECS = 30.0


class Wanted(Struct, frozen=True):
    """A subscription that should run, and what it is made from: the text, the secrets it names."""

    instance: str
    spec: Spec
    candidate: Candidate
    written: bytes
    secrets: tuple[str, ...]
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
    files: Files
    network: Network
    emit: Callable[[str], Emit]
    wait_until: Callable[[int], Awaitable[None]]
    chance: Callable[[], float]
    allow_unauthenticated: bool
    listens_on_loopback: bool


class Context(Struct, frozen=True, kw_only=True):
    """What one running source may ask: `plugin.context.SourceContext`."""

    instance: str
    clock: Clock
    log: logging.Logger
    routes: Routes
    files: Files
    network: Network
    shared: Shared
    allow_unauthenticated: bool
    listens_on_loopback: bool
    store: Store
    say_up: Callable[[str], None]
    say_lag: Callable[[float], None]
    reach: Callable[[int], Awaitable[None]]
    draw: Callable[[], float]
    find_connection: Callable[[str, str | None], Connection]

    def up(self, detail: str = "") -> None:
        """Say that the source works."""
        self.say_up(detail)

    def lag(self, events: float) -> None:
        """Say how many events wait at the peer."""
        self.say_lag(events)

    async def position(self) -> Any:
        """The last position stored with an event of this instance."""
        return await self.store.position(self.instance)

    async def places(self) -> dict[str, Any]:
        """The positions by name of this instance."""
        return await self.store.places(self.instance)

    async def keep(self, places: Mapping[str, Any], *, position: Any = None) -> None:
        """Store positions without an event, in one commit."""
        rows = [(place_name(self.instance, name), place) for name, place in places.items()]
        if position is not None:
            rows.append((self.instance, position))
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.store.submit(
            Write(positions=rows), lambda: None if stored.done() else stored.set_result(None)
        )
        await stored

    async def set_position(self, value: Any) -> None:
        """Store a position that comes with no event."""
        await self.store.set_position(self.instance, value)

    async def wait_until(self, ms: int) -> None:
        """Return when the clock shows this time, or was set back meanwhile."""
        await self.reach(ms)

    def chance(self) -> float:
        """A number from [0, 1), drawn anew."""
        return self.draw()

    def connection(self, kind: str, name: str | None) -> Connection:
        """A configured connection."""
        return self.find_connection(kind, name)


class Sources:
    """Keeps the running sources equal to what the router's flows ask for; `only` chooses words."""

    def __init__(
        self,
        world: SourceWorld,
        supervisor: Supervisor,
        *,
        only: Callable[[Spec], bool] | None = None,
    ) -> None:
        self._world = world
        self._only = only
        self._supervisor = supervisor
        self._used: dict[str, dict[str, str | None]] = {}
        self.running: dict[str, Wanted] = {}

    async def follow(self, router: Router) -> None:
        """Start what is new, restart what is written otherwise now, stop what nobody asks for.

        A source whose subscription and config are the same is not touched. What is new is on its
        way before the event loop turns again: no request finds the old route gone and the new one
        not there yet.
        """
        wanted = self._wanted(router)
        gone = self.running.keys() - wanted.keys()
        for instance, want in wanted.items():
            runs = self.running.get(instance)
            self.running[instance] = want
            if runs is None or runs.written != want.written:
                self.restart(instance)
        for instance in gone:
            del self.running[instance]
            self._used.pop(instance, None)
        await self._supervisor.stop(*gone)

    def restart(self, instance: str) -> None:
        """Start one source anew, after its position was moved or its secrets changed."""
        want = self.running[instance]
        self._used[instance] = self._secrets(want)
        self._supervisor.restart(instance, lambda: self._run(want))

    def renew(self) -> None:
        """Restart sources whose secrets have other values now than when they started."""
        for instance, want in self.running.items():
            if want.secrets and self._used.get(instance) != self._secrets(want):
                self.restart(instance)

    def _secrets(self, want: Wanted) -> dict[str, str | None]:
        values: dict[str, str | None] = {}
        for name in want.secrets:
            try:
                values[name] = self._world.secret(name)
            except NotFound:  # said when the source starts
                values[name] = None
        return values

    def _wanted(self, router: Router) -> dict[str, Wanted]:
        found: dict[str, Wanted] = {}
        for instance, candidates in router.instances().items():
            first = candidates[0]
            spec = self._world.catalog.find("source", first.trigger.source)
            if spec is None or spec.run is None:
                continue  # the engine's own sources run by themselves
            if self._only is not None and not self._only(spec):
                continue
            flows = tuple(dict.fromkeys(candidate.flow.name for candidate in candidates))
            secrets = _names(first, "secrets")
            found[instance] = Wanted(instance, spec, first, _written(first), secrets, flows)
        return found

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
            routes=world.routes(want.spec.word),
            files=world.files,
            network=world.network,
            shared=world.shared,
            allow_unauthenticated=world.allow_unauthenticated,
            listens_on_loopback=world.listens_on_loopback,
            store=world.store,
            say_up=lambda detail: self._supervisor.up(want.instance, detail),
            say_lag=lambda events: self._supervisor.lag(want.instance, events),
            reach=world.wait_until,
            draw=world.chance,
            find_connection=world.connection,
        )
        if want.spec.run is not None:
            await want.spec.run(config, world.emit(want.instance), context)

    def _config(self, want: Wanted) -> Any:
        template = want.candidate.trigger.config
        given = template.render(
            {
                "secrets": {name: self._world.secret(name) for name in want.secrets},
                "env": self._world.env,
                "vars": want.candidate.constants,
            }
        )
        spec = want.spec
        if spec.shorthand is not None and not isinstance(given, dict):
            given = {spec.shorthand: given}
        return decode(given, spec.config)


async def wait_until(clock: Clock, ms: int, nap: Callable[[float], Awaitable[None]]) -> None:
    """Return when a clock shows a time, or was set back; naps are short, to notice such things."""
    now_ms = before_ms = clock.now_ms()
    while before_ms <= now_ms < ms:
        await nap(min((ms - now_ms) / 1000, LONGEST_NAP_SECS))
        before_ms, now_ms = now_ms, clock.now_ms()


def _written(candidate: Candidate) -> bytes:
    """What stands under the source's key and the constants it uses: to see whether it changed."""
    entry = _written_trigger(candidate)
    config = entry.get(candidate.trigger.source) if isinstance(entry, dict) else None
    used = [candidate.constants.get(name) for name in _names(candidate, "vars")]
    return json.encode([config, used], order="sorted", enc_hook=str)


def _written_trigger(candidate: Candidate) -> Any:
    flow, trigger = candidate.flow, candidate.trigger
    if trigger.branch is not None or trigger in flow.triggers:
        when = flow.document.get("when")
        entries = when if isinstance(when, list) else [when]
        place = [each.id for each in flow.triggers].index(trigger.id)
        entry = entries[place] if place < len(entries) else None
        if trigger.branch is not None and isinstance(entry, dict):
            return entry["join"]["of"][trigger.branch]
        return entry
    waits = (step for step in steps_of(flow) if isinstance(step, WaitStep))
    path = next(step.path for step in waits if step.when is candidate.trigger)
    return written_step(flow.document, path)["wait"]["when"]


def _names(candidate: Candidate, of: str) -> tuple[str, ...]:
    """Which `secrets` or `vars` the config of a trigger names."""
    paths = candidate.trigger.config.paths
    return tuple(sorted({path[1] for path in paths if path[0] == of and len(path) > 1}))
