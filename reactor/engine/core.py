"""The engine's parts put together: made once, started, turned by a clock, stopped."""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct

from reactor.clock import Clock
from reactor.engine.aftermath import Say, log_line
from reactor.engine.alarms import Alarms
from reactor.engine.bell import Bell, Hear
from reactor.engine.delayed import Delayed
from reactor.engine.desk import Desk
from reactor.engine.ears import ears_of
from reactor.engine.emitter import Emitter
from reactor.engine.gates.door import Door
from reactor.engine.gates.house import House
from reactor.engine.gates.overdue import keep_pace
from reactor.engine.gates.sweep import sweep
from reactor.engine.hearing import Hearing
from reactor.engine.intake import Intake, Limits
from reactor.engine.making import Maker
from reactor.engine.meter import Meter
from reactor.engine.perform import Performer
from reactor.engine.rates import FindRate, Rates, no_rate
from reactor.engine.recovery import recover
from reactor.engine.router import Router, Surroundings
from reactor.engine.runner import Runner
from reactor.engine.state import SharedState
from reactor.engine.timers import Timers
from reactor.engine.unwelcome import Unwelcome
from reactor.engine.versions import Versions
from reactor.errors import ReactorError
from reactor.ids import Ids
from reactor.model.event import Received
from reactor.model.execution import Failure
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Connection, Files, Network, Shared
from reactor.store import Store, Unwanted, Version, Write

ROOM_SECS = 0.05


class Outside(Struct, frozen=True, kw_only=True):
    """What the engine needs of the world around it; made in `daemon.py`, by hand in tests."""

    clock: Clock
    chance: Callable[[], float]
    catalog: Catalog
    compile_flow: Callable[[Version], Flow]
    env: Mapping[str, str]
    secret: Callable[[str], str]
    redact: Callable[[Any], Any]
    network: Network
    files: Files
    shared: Shared
    connection: Callable[[str, str | None], Connection]
    rate: FindRate = no_rate
    say: Say = log_line
    limits: Limits = Limits()
    keep_unwanted: int = 10_000


class Engine:
    """Takes events, runs flows. Nothing here knows HTTP, YAML or SQLite.

    `turn` does what is due; whoever owns the clock calls it at `next_turn` and whenever `changed`
    fires.
    """

    def __init__(
        self, store: Store, outside: Outside, *, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.store = store
        self.outside = outside
        self.clock = outside.clock
        self.meter = Meter()
        self.bell = Bell()
        self.shared = SharedState()
        self.ids = Ids(outside.clock, after=store.last_id)
        self.spans = Timers(outside.clock.monotonic_secs, changed)
        self.moments = Timers(outside.clock.now_ms, changed)
        self.unwanted: deque[Unwanted] = deque(maxlen=outside.keep_unwanted)
        self._fresh_unwanted: deque[Unwanted] = deque(maxlen=outside.keep_unwanted)
        self.older: list[Flow] = []
        self._cancels: set[asyncio.Task[bool]] = set()
        self.versions = Versions(store, outside.compile_flow)
        self.desk = Desk(
            store=store,
            clock=outside.clock,
            meter=self.meter,
            current=self._current,
            versions=self.versions,
            around=self.around,
        )
        performer = Performer(
            catalog=outside.catalog,
            clock=outside.clock,
            spans=self.spans,
            network=outside.network,
            files=outside.files,
            shared=outside.shared,
            connection=outside.connection,
            redact=outside.redact,
        )
        self.runner = Runner(
            store=store,
            clock=outside.clock,
            ids=self.ids,
            shared=self.shared,
            lane=self.desk.lane,
            performer=performer,
            spans=self.spans,
            rates=Rates(outside.clock, outside.rate),
            alarms=Alarms(outside.clock, self.moments, self.desk.lane),
            meter=self.meter,
            bell=self.bell,
            say=outside.say,
            maker=Maker(
                ids=self.ids,
                shared=self.shared,
                env=outside.env,
                secret=outside.secret,
                chance=outside.chance,
            ),
        )
        self.hearing = Hearing(
            store=store,
            clock=outside.clock,
            live=self.runner.live,
            lane=self.desk.lane,
            go_on=self.runner.go_on,
            cancel=self.runner.cancel,
            own=self.desk.own,
            settled=self.desk.settled,
        )
        delayed = Delayed(
            store=store,
            clock=outside.clock,
            moments=self.moments,
            lane=self.desk.lane,
            begin=self.desk.begin,
            cancel=self._cancel,
            outcomes=self.runner.outcomes,
        )
        self.intake = Intake(
            store=store,
            runner=self.runner,
            lane=self.desk.lane,
            clock=outside.clock,
            ids=self.ids,
            around=self.around,
            meter=self.meter,
            bell=self.bell,
            limits=outside.limits,
            cancel=self._cancel,
            unwanted=self._keep_unwanted,
            hearing=self.hearing,
            delayed=delayed,
            house=self._house,
        )
        self.desk.use(self.runner, self.intake.house.wakes, delayed)
        self.runner.use(self.intake, self.hearing)

    async def start(self, flows: Iterable[Flow], *, paused: frozenset[str] = frozenset()) -> int:
        """Serve these flows and take up what was left open; how many executions that was."""
        self.shared.load(await self.store.state_values())
        found = list(flows)
        self.older = await self._pinned()
        self.serve(found, paused=paused)
        await self.hearing.listen(self.intake.router.listening)
        await keep_pace(self.store, self.intake.house, self.clock)
        return await recover(self.desk, self.store, found)

    def serve(self, flows: Iterable[Flow], *, paused: frozenset[str] = frozenset()) -> None:
        """Swap the flows; executions under way keep the version they began with."""
        found = list(flows)
        self.versions.know(found)
        versions = [Version(flow.version, flow.name, flow.document) for flow in found]
        self.store.submit(Write(versions=versions))
        before = self.intake.router
        self._keep_older(before.flows.values(), found)
        self.intake.router = Router(found, paused=paused, older=self.older)
        if self.intake.router.listening - before.listening:
            self.desk.own(self.hearing.listen(self.intake.router.listening))
        self.desk.refit()
        self.intake.house.wakes.expect()
        self.desk.own(sweep(self.store, self.intake.house, self.desk.settled))
        gc.freeze()  # what serves now stays: the collector need not walk it

    def emitter(self, instance: str) -> Emitter:
        """What the source of a subscription emits with."""
        return Emitter(self.intake, instance, self._room)

    def listen(self, hear: Hear) -> Callable[[], None]:
        """Hear what happens from now on; call what comes back to end it."""
        self.bell.listeners.append(hear)
        return lambda: self.bell.listeners.remove(hear)

    def emit_startup(self) -> None:
        """Tell flows with the source `startup` that the daemon serves."""
        if self.intake.listens("startup"):
            moment = self.clock.now_ms()
            received = Received(data=None, identity=f"{self.store.epoch}", time_ms=moment)
            self.intake.accept("startup", [received], lambda _: None)

    @property
    def around(self) -> Surroundings:
        """What conditions may read beside the event."""
        return Surroundings(self.outside.env, self.shared.committed)

    @property
    def calm(self) -> bool:
        """Whether nothing of ours is under way that needs no time: no commit, no loading."""
        busy = self.runner.outcomes.busy or self.desk.busy or bool(self._cancels)
        return not busy and self.store.pressure().rows == 0

    @property
    def attempts(self) -> int:
        """How many attempts at outside steps are under way."""
        return self.runner.attempts

    def turn(self) -> None:
        """Do everything that is due now."""
        self.shared.expire(self.clock.now_ms())
        self.spans.turn()
        self.moments.turn()

    def next_turn_secs(self) -> float | None:
        """Seconds until something in memory is due, or None."""
        times = []
        if (span := self.spans.next()) is not None:
            times.append(span - self.clock.monotonic_secs())
        if (moment := self.moments.next()) is not None:
            times.append((moment - self.clock.now_ms()) / 1000)
        if (expiry := self.shared.next_expiry()) is not None:
            times.append((expiry - self.clock.now_ms()) / 1000)
        return max(0.0, min(times)) if times else None

    def flush_unwanted(self) -> None:
        """Write down what no flow wanted since the last call (once a second is enough)."""
        if self._fresh_unwanted:
            rows, self._fresh_unwanted = (
                list(self._fresh_unwanted),
                deque(maxlen=self.unwanted.maxlen),
            )
            self.store.submit(Write(unwanted=rows))

    async def stop(self, *, limit_secs: float) -> None:
        """Take nothing more; what runs may end within the limit, the rest runs next time."""
        self.intake.open = False
        await self.runner.drain(limit_secs)
        await self.desk.close()
        self.flush_unwanted()

    async def _pinned(self) -> list[Flow]:
        """The older flow versions of open executions that wait for events."""
        found = []
        for hash_ in await self.store.ears.pinned():
            with suppress(ReactorError):  # one that does not compile any more is told when it runs
                found.append(await self.versions.find(hash_))
        return found

    def _keep_older(self, before: Iterable[Flow], now: Iterable[Flow]) -> None:
        current = {flow.version for flow in now}
        known = {flow.version: flow for flow in [*self.older, *before]}
        self.older = [
            flow for flow in known.values() if flow.version not in current and ears_of([flow])
        ]
        if self.older:
            self.desk.own(self._forget_older())

    async def _forget_older(self) -> None:
        await self.desk.settled()
        pinned = set(await self.store.ears.pinned())
        self.older = [flow for flow in self.older if flow.version in pinned]

    def _house(self, door: Door, unwelcome: Unwelcome) -> House:
        return House(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            moments=self.moments,
            shared=self.shared,
            env=self.outside.env,
            meter=self.meter,
            door=door,
            report=unwelcome.report,
        )

    def _current(self, name: str) -> Flow | None:
        return self.intake.router.flows.get(name)

    def _keep_unwanted(self, row: Unwanted) -> None:
        self.unwanted.append(row)
        self._fresh_unwanted.append(row)

    def _cancel(self, execution: int, error: Failure) -> None:
        if not self.runner.cancel(execution, error):
            task = asyncio.get_running_loop().create_task(self.desk.cancel(execution, error))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)

    def _room(self) -> asyncio.Future[None]:
        """Resolved a moment later, when the store may have caught up."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.spans.after(ROOM_SECS, lambda: None if future.done() else future.set_result(None))
        return future
