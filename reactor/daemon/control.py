"""What the API asks of the running daemon: `web.admin.control.Control`."""

import asyncio
import os
from collections import Counter, deque
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from reactor import __version__
from reactor.clock import Clock, instant
from reactor.daemon.doctor import checks
from reactor.daemon.probing import probe_all
from reactor.daemon.served import Served
from reactor.daemon.sources import Sources
from reactor.daemon.views import approval_view, flow_views, problem_view, source_view
from reactor.daemon.why import decisions, told_of
from reactor.engine import again
from reactor.engine.approvals import Approvals
from reactor.engine.core import Engine
from reactor.engine.supervisor import Supervisor
from reactor.errors import NotFound, UsageError
from reactor.ids import id_text
from reactor.model.event import Event, Receipt
from reactor.model.execution import Failure
from reactor.model.flow import steps_of
from reactor.settings import Settings
from reactor.store import Query, StateValue, Write
from reactor.store.sqlite import SqliteStore
from reactor.web.admin import wire
from reactor.web.admin.approving import ApprovalView


class Running(Protocol):
    """The parts of the daemon that the API reaches."""

    settings: Settings
    clock: Clock
    started_ms: int
    listen: str | None
    ready: bool
    store: SqliteStore
    engine: Engine
    served: Served
    sources: Sources
    supervisor: Supervisor

    async def reload(self, *, every: bool = False) -> None:
        """Read the flows folder again."""
        ...

    async def pause(self, paused: frozenset[str]) -> None:
        """Pause exactly these flows."""
        ...


class DaemonControl:
    """Answers the API from the parts of the daemon."""

    def __init__(self, daemon: Running) -> None:
        self._daemon = daemon
        self._engine = daemon.engine
        self._approvals = Approvals(daemon.engine)

    async def status(self) -> wire.Ready:
        """Who serves, since when and where."""
        daemon = self._daemon
        return wire.Ready(
            version=__version__,
            pid=os.getpid(),
            started=instant(daemon.started_ms),
            listen=daemon.listen,
            flows=len(self._engine.intake.router.flows),
            draining=not self._engine.intake.open,
        )

    # ---- flows

    async def flows(self) -> list[wire.FlowView]:
        """All flows; of a broken file the file."""
        counts = await self._daemon.store.open_counts()
        served = self._daemon.served
        errors = self._engine.meter.errors_of
        return list(flow_views(served.book.pages, served.paused, counts, errors))

    async def start(
        self, flow: str, *, trigger: str | None, data: Any, inputs: Mapping[str, Any]
    ) -> Receipt:
        """Start a flow by hand."""
        return await again.start(self._engine, flow, trigger=trigger, data=data, inputs=inputs)

    async def pause(self, flow: str) -> None:
        """Let a flow take no more events."""
        self._known(flow)
        await self._daemon.pause(self._daemon.served.paused | {flow})

    async def resume(self, flow: str) -> None:
        """Let a paused flow take events again."""
        self._known(flow)
        await self._daemon.pause(self._daemon.served.paused - {flow})

    def _known(self, flow: str) -> None:
        if flow not in self._engine.intake.router.flows:
            raise NotFound(f"no flow is called {flow!r}: `reactor flows` lists them")

    # ---- events and executions

    async def emit(self, type_: str, data: Any, *, key: str | None, id_: str | None) -> Receipt:
        """Accept an event of source `event`."""
        return await again.emit(self._engine, type_, data, key=key, id_=id_)

    async def why(self, event: int) -> list[wire.Decision]:
        """Each flow's decision about an event."""
        engine, history = self._engine, self._daemon.store.history
        await engine.desk.settled()
        found = await self._event(event)
        told = told_of(
            await history.judged(event), await self._stopped(event), engine.intake.router
        )
        runs = await history.executions(Query(event=event, limit=1000))
        return list(decisions(found, engine.intake.router, engine.around, runs, told))

    async def replay(self, event: int, flow: str) -> Receipt:
        """Offer a stored event anew to one flow."""
        return await again.replay(self._engine, await self._event(event), flow)

    async def _event(self, number: int) -> Event:
        """An event that is stored, or that no flow wanted lately."""
        for row in reversed(self._engine.unwanted):
            if row.event.id == number:
                return row.event
        stored = await self._daemon.store.history.event(number)
        if stored is None:
            name = id_text("evt", number)
            raise NotFound(f"there is no event {name}, or it was dropped since (keep)")
        return stored

    async def _stopped(self, number: int) -> Mapping[str, str]:
        """What stopped each flow that did not want an event, as it was told then."""
        for row in reversed(self._engine.unwanted):
            if row.event.id == number:
                return row.stopped
        kept = await self._daemon.store.history.unwanted(number)
        return {} if kept is None else kept.stopped

    async def steps(self, version: str) -> Mapping[str, str]:
        """The ids of a flow version's steps by path."""
        try:
            flow = await self._engine.versions.find(version)
        except Exception:  # noqa: BLE001 - an old version may not compile any more
            return {}
        return {step.path: step.id for step in steps_of(flow)}

    async def cancel(self, execution: int) -> None:
        """Stop an open execution and go to its `finally`."""
        error = Failure(step=None, kind="cancelled", message="cancelled by hand")
        if not await self._engine.desk.cancel(execution, error):
            raise UsageError(f"{id_text('exe', execution)} has ended or never was")

    async def approvals(self) -> list[ApprovalView]:
        """The steps that wait for a person."""
        return [approval_view(question) for question in await self._approvals.open()]

    async def answer(
        self,
        execution: int,
        step: str | None,
        *,
        approved: bool,
        by: str,
        form: Mapping[str, Any],
        message: str | None,
    ) -> str:
        """Approve or deny a step that waits for a person."""
        question = await self._approvals.answer(
            execution, step, approved=approved, by=by, form=form, message=message
        )
        return question.step

    async def retry(
        self,
        execution: int,
        *,
        start: Literal["start", "failed"],
        version: Literal["original", "current"],
    ) -> int:
        """Run an execution again."""
        return await again.retry(self._engine, execution, start=start, version=version)

    async def drop_dead(self, id_: int) -> None:
        """Hide a dead letter."""
        letter = await self._daemon.store.history.dead_letter(id_)
        if letter is None:
            raise NotFound("there is no such dead letter: `reactor dead ls` lists them")
        await again.drop(self._engine, letter.execution, id_)

    async def retry_dead(self, id_: int) -> Receipt:
        """Run a dead letter again and hide it."""
        history = self._daemon.store.history
        letter = await history.dead_letter(id_)
        if letter is None:
            raise NotFound("there is no such dead letter: `reactor dead ls` lists them")
        if letter.execution is not None:
            number = await again.retry(self._engine, letter.execution)
            return again.receipt_of(letter.event, letter.flow or "", number)
        event = await history.event(letter.event)
        if event is None:
            raise NotFound("its event was dropped since (keep)")
        receipt = await again.emit_again(self._engine, event)
        await again.drop(self._engine, None, id_)
        return receipt

    # ---- sources

    async def sources(self) -> list[wire.SourceView]:
        """All sources by id."""
        daemon = self._daemon
        states = {state.instance: state for state in daemon.supervisor.states()}
        return [
            source_view(want, states.get(instance), await daemon.store.position(instance))
            for instance, want in sorted(daemon.sources.running.items())
        ]

    async def reset_source(self, id_: str, to: str) -> wire.SourceView:
        """Move a source to a position; it is restarted there."""
        if id_ not in self._daemon.sources.running:
            raise NotFound(f"there is no source {id_!r}: `reactor sources` lists them")
        position = await self._daemon.store.position(id_)
        if position is None:
            raise UsageError(f"source {id_} keeps no position, there is nothing to reset")
        await self._daemon.store.set_position(id_, None if to == "earliest" else to)
        self._daemon.sources.restart(id_)
        return next(view for view in await self.sources() if view.id == id_)

    # ---- state

    async def state_values(self, name: str | None) -> list[wire.StateView]:
        """Values of `state`."""
        await self._engine.desk.settled()
        return [
            wire.StateView(
                name=value.name,
                key=value.key,
                value=value.value,
                until=None if value.until_ms is None else instant(value.until_ms),
            )
            for value in await self._daemon.store.state_values()
            if name is None or value.name == name
        ]

    async def set_state(self, name: str, key: str, value: Any, ttl_secs: float | None) -> None:
        """Store a value of `state`."""
        now_ms = self._daemon.clock.now_ms()
        until_ms = None if ttl_secs is None else now_ms + round(ttl_secs * 1000)
        row = StateValue(name, key, value, until_ms)
        self._engine.shared.decide(row)
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def committed() -> None:
            self._engine.shared.commit([row])
            if not stored.done():
                stored.set_result(None)

        self._daemon.store.submit(Write(states=[row]), committed)
        await stored

    # ---- the daemon

    async def backup(self, target: Path) -> int:
        """Write a consistent copy of the store; its size."""
        if await asyncio.to_thread(target.exists):
            raise UsageError(f"{target} is there already: name a new file")
        if not await asyncio.to_thread(target.parent.is_dir):
            raise UsageError(f"there is no folder {target.parent}")
        await self._daemon.store.backup(target)
        return (await asyncio.to_thread(target.stat)).st_size

    async def reload(self) -> wire.Reloaded:
        """Read the flows folder again."""
        await self._daemon.reload(every=True)
        problems = [problem_view(problem) for problem in self._daemon.served.book.problems]
        return wire.Reloaded(flows=len(self._engine.intake.router.flows), problems=problems)

    async def doctor(self) -> list[wire.Check]:
        """Look at what usually goes wrong."""
        daemon = self._daemon
        sizes = await daemon.store.history.sizes()
        counts = await daemon.store.open_counts()
        outside = self._engine.outside
        wanted = [(name, one.kind) for name, one in daemon.settings.connections.items()]
        return [
            *checks(
                settings=daemon.settings,
                pressure=daemon.store.pressure(),
                sizes=sizes,
                counts=counts,
                sources=daemon.supervisor.states(),
                pages=daemon.served.book.pages,
                repaired=self._engine.meter.repaired,
            ),
            *await probe_all(wanted, outside.connection, outside.catalog),
        ]

    async def metrics(self) -> str:
        """All metrics in the text form of Prometheus."""
        meter = self._engine.meter
        counts = await self._daemon.store.open_counts()
        by_state: dict[str, float] = {}
        for found in counts.values():
            for state, count in found.items():
                by_state[state.word] = by_state.get(state.word, 0) + count
        pressure = self._daemon.store.pressure()
        uptime = (self._daemon.clock.now_ms() - self._daemon.started_ms) / 1000
        states = self._daemon.supervisor.states()
        sources = Counter(source.state for source in states)
        meter.read("open_executions", lambda: by_state)
        meter.read("store_queue", lambda: pressure.rows)
        meter.read("store_bytes", lambda: pressure.store_bytes)
        meter.read("sources", lambda: {str(state): count for state, count in sources.items()})
        meter.read("source_up", lambda: {one.instance: one.state == "up" for one in states})
        meter.read("source_restarts", lambda: {one.instance: one.restarts for one in states})
        lags = {one.instance: one.lag for one in states if one.lag is not None}
        meter.read("source_lag", lambda: lags)
        meter.read("uptime_seconds", lambda: uptime)
        return meter.render()

    async def subscribe(self) -> AsyncGenerator[wire.Happening]:
        """What happens from now on; a reader that is too slow misses some, told by a `gap`."""
        waiting: deque[wire.Happening] = deque(maxlen=1000)
        news = asyncio.Event()

        def hear(kind: str, facts: Mapping[str, str | None]) -> None:
            moment = instant(self._daemon.clock.now_ms())
            if len(waiting) == waiting.maxlen:
                waiting.clear()
                waiting.append(wire.Happening(time=moment, kind="gap"))
            waiting.append(wire.Happening(time=moment, kind=kind, **facts))  # type: ignore[arg-type]
            news.set()

        leave = self._engine.listen(hear)
        try:
            while True:
                while waiting:
                    yield waiting.popleft()
                news.clear()
                await news.wait()
        finally:
            leave()
