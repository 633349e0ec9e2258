"""The engine's parts put together: made once, started, turned by a clock, stopped."""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from reactor.clock import Clock
from reactor.engine.aftermath import Say, log_line
from reactor.engine.alarms import Alarms
from reactor.engine.bell import Bell, Hear
from reactor.engine.desk import Desk
from reactor.engine.emitter import Emitter
from reactor.engine.intake import Intake, Limits
from reactor.engine.making import Maker
from reactor.engine.meter import Meter
from reactor.engine.perform import Performer
from reactor.engine.recovery import recover
from reactor.engine.router import Router, Surroundings
from reactor.engine.runner import Runner
from reactor.engine.state import SharedState
from reactor.engine.timers import Timers
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
        self._cancels: set[asyncio.Task[bool]] = set()
        self.desk = Desk(
            store=store,
            clock=outside.clock,
            meter=self.meter,
            current=self._current,
            compile_flow=outside.compile_flow,
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
        )
        self.desk.use(self.runner)
        self.runner.use(self.intake)

    async def start(self, flows: Iterable[Flow], *, paused: frozenset[str] = frozenset()) -> int:
        """Serve these flows and take up what was left open; how many executions that was."""
        self.shared.load(await self.store.state_values())
        found = list(flows)
        self.serve(found, paused=paused)
        return await recover(self.desk, self.store, found)

    def serve(self, flows: Iterable[Flow], *, paused: frozenset[str] = frozenset()) -> None:
        """Swap the flows; executions under way keep the version they began with."""
        found = list(flows)
        self.desk.know(found)
        versions = [Version(flow.version, flow.name, flow.document) for flow in found]
        self.store.submit(Write(versions=versions))
        self.intake.router = Router(found, paused=paused)
        self.desk.refit()
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

    def _current(self, name: str) -> Flow | None:
        return self.intake.router.flows.get(name)

    def _keep_unwanted(self, row: Unwanted) -> None:
        self.unwanted.append(row)
        self._fresh_unwanted.append(row)

    def _cancel(self, execution: int, error: Failure) -> None:
        running = self.runner.live.get(execution)
        if running is not None and (running.stopping is not None or running.machine.closing):
            return  # it ends already; a second cancel would skip its `finally`
        if not self.runner.cancel(execution, error):
            task = asyncio.get_running_loop().create_task(self.desk.cancel(execution, error))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)

    def _room(self) -> asyncio.Future[None]:
        """Resolved a moment later, when the store may have caught up."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.spans.after(ROOM_SECS, lambda: None if future.done() else future.set_result(None))
        return future
