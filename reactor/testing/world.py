"""The World: flows, an engine and a store in memory, and a clock that is turned by hand."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from reactor.daemon.outside import Opened
from reactor.daemon.sources import Sources, SourceWorld
from reactor.engine.aftermath import Say, log_line
from reactor.engine.core import Engine, Outside
from reactor.engine.intake import Limits
from reactor.engine.rates import Rate
from reactor.engine.supervisor import Supervisor
from reactor.errors import InvalidFlow, NotFound, StorageFailed
from reactor.loading.load import Loading, load_document, load_text
from reactor.model.event import Receipt, Received
from reactor.model.execution import Entry, Execution, State
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Answer, Connection, Files, Network, Route
from reactor.plugin.spec import Spec
from reactor.problem import render_text
from reactor.secrets import Redactor
from reactor.store import Open, Query, Version
from reactor.store.sqlite import SqliteStore, open_memory
from reactor.testing.handclock import HandClock, Sleepers
from reactor.units import parse_duration, parse_rate

MOST_TURNS = 100_000
MOST_PAUSES = 10_000


class World:
    """Flows, an engine and a store, all in this process, as an async context manager.

    `flows` are texts or flows that were loaded already. `specs` are actions and sources beside
    the built-in ones; `acting` performs other actions than those that flows were checked against.
    Nothing passes by itself but what needs no time; `advance` lets it pass. Sources that need
    nothing but time run unless `ticking` is False; what others would bring is handed over with
    `offer`. A store given by hand outlives the world: that is a restart. `held` says how many
    attempts hang until time passes, or until the test lets them go. `secrets` may be a function
    that knows every name. `rates` limits actions by their word, as a connection's `rate` does.
    """

    def __init__(
        self,
        *flows: str | Flow,
        specs: Iterable[Spec] = (),
        loading: Loading | None = None,
        acting: Catalog | None = None,
        ticking: bool = True,
        store: SqliteStore | None = None,
        clock: HandClock | None = None,
        secrets: Mapping[str, str] | Callable[[str], str] | None = None,
        env: Mapping[str, str] | None = None,
        chance: Callable[[], float] = lambda: 0.5,
        limits: Limits | None = None,
        held: Callable[[], int] = lambda: 0,
        say: Say = log_line,
        rates: Mapping[str, str] | None = None,
    ) -> None:
        self.clock = clock or HandClock()
        self.catalog = Catalog(specs) if loading is None else loading.catalog
        self.loading = loading or Loading(catalog=self.catalog, env=frozenset(env or {}))
        self._acting = acting or self.catalog
        self._ticking = ticking
        self._flows = flows
        self._given = store
        self._find_secret = secrets if callable(secrets) else _secrets(dict(secrets or {}))
        self._redactor = Redactor()
        if secrets and not callable(secrets):
            for name, value in secrets.items():
                self._redactor.learn(name, value)
        self._say = say
        self._env = dict(env or {})
        self._chance = chance
        self._limits = limits or Limits()
        self._held = held
        self._rates = {word: Rate(word, *parse_rate(rate)) for word, rate in (rates or {}).items()}
        self._failure: StorageFailed | None = None
        self._sleepers = Sleepers(self.clock)
        self._opened = Opened()
        self._supervisor: Supervisor
        self._sources: Sources
        self.store: SqliteStore
        self.engine: Engine

    async def __aenter__(self) -> Self:
        self.store = self._given or await open_memory(on_failure=self._failed, clock=self.clock)
        outside = Outside(
            clock=self.clock,
            chance=self._chance,
            catalog=self._acting,
            compile_flow=self._compile,
            env=self._env,
            secret=self._find_secret,
            redact=self._redactor.redact,
            network=Network(),
            files=Files(base="."),
            shared=self._opened,
            connection=_no_connection,
            rate=lambda word, _config: self._rates.get(word),
            limits=self._limits,
            say=self._say,
        )
        self.engine = Engine(self.store, outside)
        self._supervisor = Supervisor(
            clock=self.clock, chance=self._chance, wait=self._sleepers.nap, redact=str
        )
        self._sources = Sources(
            self._source_world(),
            self._supervisor,
            only=lambda spec: self._ticking and not spec.outside,
        )
        after_failure = self.store.after_failure
        await self.engine.start(self.load(*self._flows), after_failure=after_failure)
        await self._sources.follow(self.engine.intake.router)
        await self.settle()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._supervisor.close()
        await self.engine.stop(limit_secs=0)
        await self._opened.close()
        if self._given is None:
            await self.store.close(clean=True)

    def load(self, *texts: str | Flow) -> list[Flow]:
        """The flows of these texts; InvalidFlow shows every problem."""
        flows: list[Flow] = []
        for number, text in enumerate(texts):
            if isinstance(text, Flow):
                flows.append(text)
                continue
            loaded = load_text(text, f"flow{number}.yaml", self.loading)
            errors = [problem for problem in loaded.problems if problem.severity == "error"]
            if errors:
                raise InvalidFlow("\n".join(render_text(problem) for problem in errors))
            flows += loaded.flows
        return flows

    async def reload(self, *texts: str | Flow) -> None:
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
        await self.advance_to(self.clock.now_ms() + round(parse_duration(span) * 1000))

    async def advance_to(self, end_ms: int) -> None:
        """Let time pass until the clock shows this."""
        await self._due()
        while (next_ms := await self.next_due(end_ms)) is not None:
            self.clock.turn(next_ms - self.clock.now_ms())
            await self._due()
        self.clock.turn(end_ms - self.clock.now_ms())
        await self._due()

    async def pass_pauses(self, *, most: int = MOST_PAUSES) -> None:
        """Let the time pass that retries and the pauses of loops take, and no more.

        Raises TimeoutError where that never ends.
        """
        for _ in range(most):
            due_ms = await self._next_pause()
            if due_ms is None:
                return
            await self.advance_to(due_ms)
        raise TimeoutError(f"it is still at it after {most} retries or rounds")

    async def story(self) -> list[Open]:
        """All executions with their journals, in the order in which they were accepted."""
        return await self.store.load([row.id for row in await self.executions()])

    async def executions(self, flow: str | None = None) -> list[Execution]:
        """All executions, in the order in which they were accepted."""
        found = await self.store.history.executions(Query(flow=flow, limit=100_000))
        return list(reversed(found))

    async def states(self, flow: str | None = None) -> list[str]:
        """The states of all executions, in the order in which they were accepted."""
        return [execution.state.word for execution in await self.executions(flow)]

    async def next_due(self, end_ms: int) -> int | None:
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

    async def _next_pause(self) -> int | None:
        waiting = await self.store.open_executions([State.WAITING], after=0, limit=MOST_TURNS)
        now_ms = self.clock.now_ms()
        times = [due_ms for opened in waiting for due_ms in _pauses(opened.journal)]
        return min((due_ms for due_ms in times if due_ms > now_ms), default=None)

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
            secret=self._find_secret,
            env=self._env,
            connection=_no_connection,
            routes=lambda _word: _NoRoutes(),
            files=outside.files,
            network=outside.network,
            emit=self.engine.emitter,
            wait_until=self._sleepers.wait_until,
            chance=self._chance,
            allow_unauthenticated=True,
            listens_on_loopback=True,
        )

    def _compile(self, version: Version) -> Flow:
        return load_document(version.document, self.loading)

    def _failed(self, error: StorageFailed) -> None:
        self._failure = error


def _secrets(known: Mapping[str, str]) -> Callable[[str], str]:
    def find(name: str) -> str:
        try:
            return known[name]
        except KeyError:
            raise NotFound(f"there is no secret {name!r}") from None

    return find


class _NoRoutes:
    """The paths of a webhook listener that is not there."""

    def add(self, route: Route, answer: Answer) -> AbstractAsyncContextManager[None]:
        """Refuse."""
        raise NotFound(f"there is no webhook listener in this world for {route.path}")


def _no_connection(kind: str, name: str | None) -> Connection:
    raise NotFound(f"there is no {kind} connection {name or ''} in this world")


def _pauses(journal: Iterable[Entry]) -> Iterable[int]:
    """When the open retries and loops of an execution go on."""
    due: dict[str, int] = {}
    for entry in journal:
        if entry.kind == "done":
            due = {path: ms for path, ms in due.items() if not _inside(path, entry.path)}
        elif entry.kind == "attempt" or (entry.kind == "chose" and _goes_on(entry.value)):
            due[entry.path] = entry.value["due"]
    return due.values()


def _goes_on(decided: Any) -> bool:
    """Whether this was decided after a round of a loop that has another one."""
    return isinstance(decided, dict) and decided.get("until") is False


def _inside(path: str, of: str) -> bool:
    """Whether something in the journal belongs to a step or to what is inside it."""
    return path == of or (path.startswith(of) and path[len(of)] in ".@~")


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
