"""A whole reactor in memory with a hand-turned clock, for our tests and plugin authors."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from reactor.daemon.sources import Sources, SourceWorld
from reactor.engine.core import Engine, Outside
from reactor.engine.intake import Limits
from reactor.engine.supervisor import Supervisor
from reactor.errors import InvalidFlow, NotFound, StorageFailed
from reactor.loading.load import Loading, load_document, load_text
from reactor.model.event import Receipt, Received
from reactor.model.execution import Execution, State
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Answer, Connection, Files, Network, Route
from reactor.plugin.spec import Spec
from reactor.problem import render_text
from reactor.secrets import Redactor
from reactor.store import Query, Version
from reactor.store.sqlite import SqliteStore, open_memory
from reactor.units import parse_duration

BEGIN_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
MOST_TURNS = 100_000


class HandClock:
    """A clock that stands still until it is turned."""

    def __init__(self, now_ms: int = BEGIN_MS) -> None:
        self._now_ms = now_ms
        self._passed_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._now_ms

    def monotonic_secs(self) -> float:
        """Seconds that only grow."""
        return self._passed_ms / 1000

    def turn(self, ms: int) -> None:
        """Let time pass."""
        self._now_ms += ms
        self._passed_ms += ms

    def jump(self, ms: int) -> None:
        """Set the wall clock, as an administrator would; no time passes."""
        self._now_ms += ms


class World:
    """Flows, an engine and a store, all in this process, as an async context manager.

    `actions` are the Specs of actions and sources beside the built-in ones. Nothing passes by
    itself but what needs no time; `advance` lets it pass. Sources that need nothing but time run,
    what others would bring is handed over with `offer`. A store given by hand outlives the world:
    that is a restart. `held` says how many attempts hang until time passes, or until the test lets
    them go.
    """

    def __init__(
        self,
        *flows: str,
        specs: Iterable[Spec] = (),
        store: SqliteStore | None = None,
        clock: HandClock | None = None,
        secrets: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        chance: Callable[[], float] = lambda: 0.5,
        limits: Limits | None = None,
        held: Callable[[], int] = lambda: 0,
    ) -> None:
        self.clock = clock or HandClock()
        self.catalog = Catalog(specs)
        self.loading = Loading(catalog=self.catalog, env=frozenset(env or {}))
        self._texts = flows
        self._given = store
        self._secrets = dict(secrets or {})
        self._redactor = Redactor()
        for name, value in self._secrets.items():
            self._redactor.learn(name, value)
        self._env = dict(env or {})
        self._chance = chance
        self._limits = limits or Limits()
        self._held = held
        self._failure: StorageFailed | None = None
        self._sleepers = _Sleepers(self.clock)
        self._supervisor: Supervisor
        self._sources: Sources
        self.store: SqliteStore
        self.engine: Engine

    async def __aenter__(self) -> Self:
        self.store = self._given or await open_memory(on_failure=self._failed, clock=self.clock)
        outside = Outside(
            clock=self.clock,
            chance=self._chance,
            catalog=self.catalog,
            compile_flow=self._compile,
            env=self._env,
            secret=self._secret,
            redact=self._redactor.redact,
            network=Network(),
            files=Files(base="."),
            shared=_Opened(),
            connection=_no_connection,
            limits=self._limits,
        )
        self.engine = Engine(self.store, outside)
        self._supervisor = Supervisor(
            clock=self.clock, chance=self._chance, wait=self._sleepers.nap, redact=str
        )
        self._sources = Sources(
            self._source_world(), self._supervisor, only=lambda spec: not spec.outside
        )
        await self.engine.start(self.load(*self._texts))
        await self._sources.follow(self.engine.intake.router)
        await self.settle()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._supervisor.close()
        await self.engine.stop(limit_secs=0)
        if self._given is None:
            await self.store.close(clean=True)

    def load(self, *texts: str) -> list[Flow]:
        """The flows of these texts; InvalidFlow shows every problem."""
        flows: list[Flow] = []
        for number, text in enumerate(texts):
            loaded = load_text(text, f"flow{number}.yaml", self.loading)
            errors = [problem for problem in loaded.problems if problem.severity == "error"]
            if errors:
                raise InvalidFlow("\n".join(render_text(problem) for problem in errors))
            flows += loaded.flows
        return flows

    async def reload(self, *texts: str) -> None:
        """Serve these flows from now on."""
        self.engine.serve(self.load(*texts))
        await self._sources.follow(self.engine.intake.router)
        await self.settle()

    async def emit(
        self, type: str, data: Any = None, *, identity: str | None = None, key: str | None = None
    ) -> Receipt:
        """Emit an event as `reactor emit` does; what needs no time has happened afterwards."""
        received = Received(data=data, type=type, identity=identity, key=key)
        return (await self.offer("event", received))[0]

    async def offer(self, instance: str, *received: Received) -> list[Receipt]:
        """What a source of this subscription would hand over, as one batch."""
        receipts = await self.engine.emitter(instance).many(received)
        await self.settle()
        return receipts

    async def settle(self) -> None:
        """Return when nothing more happens without time."""
        for _ in range(MOST_TURNS):
            await _turn_of_the_loop()
            if self._failure is not None:
                raise self._failure
            if self._at_rest():
                self.engine.turn()
                await _turn_of_the_loop()
                if self._at_rest():
                    return
        raise TimeoutError("the world does not come to rest: a loop of events?")

    async def advance(self, span: str) -> None:
        """Let time pass, stopping wherever something is due."""
        end_ms = self.clock.now_ms() + round(parse_duration(span) * 1000)
        await self._due()
        while (next_ms := await self._next_ms(end_ms)) is not None:
            self.clock.turn(next_ms - self.clock.now_ms())
            await self._due()
        self.clock.turn(end_ms - self.clock.now_ms())
        await self._due()

    async def executions(self, flow: str | None = None) -> list[Execution]:
        """All executions, in the order in which they were accepted."""
        found = await self.store.history.executions(Query(flow=flow, limit=100_000))
        return list(reversed(found))

    async def states(self, flow: str | None = None) -> list[str]:
        """The states of all executions, in the order in which they were accepted."""
        return [execution.state.word for execution in await self.executions(flow)]

    async def _next_ms(self, end_ms: int) -> int | None:
        """When something is due next; what was due and waits for a slot is not due again."""
        now_ms = self.clock.now_ms()
        times = [due_ms for due_ms, _ in await self.store.due(end_ms, limit=MOST_TURNS)]
        frozen = self.engine.intake.router.frozen
        gates = await self.store.gates.due(end_ms, frozen=frozen, limit=MOST_TURNS)
        times += [due_ms for due_ms, _ in gates]
        if (secs := self.engine.next_turn_secs()) is not None:
            times.append(now_ms + max(1, round(secs * 1000)))
        times += self._sleepers.times()
        return min((time for time in times if now_ms < time <= end_ms), default=None)

    async def _due(self) -> None:
        self._sleepers.wake()
        await self.engine.desk.reconcile()
        self.engine.turn()
        await self.settle()

    def _at_rest(self) -> bool:
        running = sum(state.state != "stopped" for state in self._supervisor.states())
        return (
            self.engine.calm
            and self.engine.attempts == self._held()
            and len(self._sleepers.times()) == running
        )

    def _source_world(self) -> SourceWorld:
        outside = self.engine.outside
        return SourceWorld(
            clock=self.clock,
            catalog=self.catalog,
            store=self.store,
            shared=outside.shared,
            secret=self._secret,
            env=self._env,
            connection=_no_connection,
            routes=lambda _word: _NoRoutes(),
            files=outside.files,
            emit=self.engine.emitter,
            wait_until=self._sleepers.wait_until,
            chance=self._chance,
            allow_unauthenticated=True,
            listens_on_loopback=True,
        )

    def _compile(self, version: Version) -> Flow:
        return load_document(version.document, self.loading)

    def _secret(self, name: str) -> str:
        try:
            return self._secrets[name]
        except KeyError:
            raise NotFound(f"there is no secret {name!r}") from None

    def _failed(self, error: StorageFailed) -> None:
        self._failure = error


class _Opened:
    """Things opened once, for the life of the world."""

    def __init__(self) -> None:
        self._things: dict[str, Any] = {}

    async def __call__(
        self, key: str, open_: Callable[[], AbstractAsyncContextManager[Any]]
    ) -> Any:
        if key not in self._things:
            self._things[key] = await open_().__aenter__()
        return self._things[key]


class _Sleepers:
    """Sources that wait for the clock to be turned."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._asleep: dict[asyncio.Future[None], tuple[int, int]] = {}

    async def wait_until(self, ms: int) -> None:
        """Return when the clock shows this time, or was set back meanwhile."""
        now_ms = self._clock.now_ms()
        if ms <= now_ms:
            return
        asleep: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep[asleep] = (now_ms, ms)
        try:
            await asleep
        finally:
            self._asleep.pop(asleep, None)

    async def nap(self, secs: float) -> None:
        """Return when so much time has passed."""
        await self.wait_until(self._clock.now_ms() + round(secs * 1000))

    def times(self) -> list[int]:
        """When each of them wants to wake."""
        return [until_ms for _, until_ms in self._asleep.values()]

    def wake(self) -> None:
        """Wake those whose time has come, or whose clock was set back."""
        now_ms = self._clock.now_ms()
        for asleep, (since_ms, until_ms) in list(self._asleep.items()):
            if not since_ms <= now_ms < until_ms:
                del self._asleep[asleep]
                asleep.set_result(None)


class _NoRoutes:
    """The paths of a webhook listener that is not there."""

    def add(self, route: Route, answer: Answer) -> AbstractAsyncContextManager[None]:
        """Refuse."""
        raise NotFound(f"there is no webhook listener in this world for {route.path}")


def _no_connection(kind: str, name: str | None) -> Connection:
    raise NotFound(f"there is no {kind} connection {name or ''} in this world")


async def _turn_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    turned = loop.create_future()
    loop.call_soon(lambda: None if turned.done() else turned.set_result(None))
    await turned


def outcomes(executions: Sequence[Execution]) -> dict[State, int]:
    """How many executions are in each state."""
    counts: dict[State, int] = {}
    for execution in executions:
        counts[execution.state] = counts.get(execution.state, 0) + 1
    return counts
