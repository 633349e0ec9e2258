"""How an event gets in: routed, recognised, admitted, and on disk before anyone is answered."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reactor.clock import Clock
from reactor.engine.bell import Bell
from reactor.engine.lanes import Admission, Lane
from reactor.engine.meter import Meter
from reactor.engine.router import Candidate, Decision, Router, Surroundings, view_of
from reactor.engine.runner import Runner, Running
from reactor.engine.words import Emission
from reactor.errors import Overloaded
from reactor.ids import Ids, id_text
from reactor.model.event import Event, Outcome, Receipt, Received, Started
from reactor.model.execution import Execution, Failure, State
from reactor.plugin.context import Accepted
from reactor.store import Dead, End, Identity, NewExecution, Store, Unwanted, Write

DEPTH = 32  # an event further from its first cause is a loop
_Name = tuple[str, str]


class Limits(Struct, frozen=True):
    """When intake refuses: what may wait for the next commit, and what the disk must have left."""

    rows: int = 50_000
    bytes: int = 64 << 20
    min_free: int = 256 << 20


class Plan(Struct):
    """One received event between routing and the commit."""

    instance: str
    received: Received
    id: int
    time_ms: int
    view: dict[str, Any]
    decisions: list[Decision]
    names: list[tuple[str, str]]
    found: dict[tuple[str, str], Identity] | None = None
    receipt: Receipt | None = None


class Intake:
    """Accepts events. `router` is swapped by a reload; `open` is False while the daemon drains."""

    def __init__(
        self,
        *,
        store: Store,
        runner: Runner,
        lane: Callable[[str], Lane],
        clock: Clock,
        ids: Ids,
        around: Surroundings,
        meter: Meter,
        bell: Bell,
        limits: Limits,
        cancel: Callable[[int, Failure], None],
        unwanted: Callable[[Unwanted], None],
    ) -> None:
        self.router = Router(())
        self.open = True
        self._store = store
        self._runner = runner
        self._lane = lane
        self._clock = clock
        self._ids = ids
        self._around = around
        self._meter = meter
        self._bell = bell
        self._limits = limits
        self._cancel = cancel
        self._unwanted = unwanted
        self._flight: dict[_Name, Identity] = {}
        self._warned_ms: dict[str, int] = {}
        self._log = logging.getLogger("reactor.intake")

    # ---- for sources

    def accept(
        self,
        instance: str,
        batch: Sequence[Received],
        done: Callable[[list[Receipt] | BaseException], None],
    ) -> None:
        """Store a batch in one commit; `done` is called once, after it, or with `Overloaded`.

        Events that no flow wants are answered without a commit.
        """
        refusal = self.refusal()
        if refusal is not None:
            self._meter.refused += len(batch)
            done(refusal)
            return
        write = Write()
        plans = [self.plan(instance, received) for received in batch]
        names = [name for plan in plans for name in plan.names]

        def woven(started: list[Running]) -> None:
            receipts = [plan.receipt or Receipt(None) for plan in plans]
            waits = any(plan.names and plan.receipt and plan.receipt.duplicate for plan in plans)
            if not (write.events or write.positions or write.ends or waits):
                done(receipts)
                return

            def committed() -> None:
                done(receipts)
                self.committed(write, started)

            self._store.submit(write, committed)

        def known(found: list[Identity | None]) -> None:
            rows = {name: row for name, row in zip(names, found, strict=True) if row is not None}
            for plan in plans:
                plan.found = rows
            self.weave(write, deque(plans), [], woven)

        if names:
            self._store.known(names, known)
        else:
            self.weave(write, deque(plans), [], woven)

    def refusal(self) -> Overloaded | None:
        """Why nothing may come in now, or None."""
        if not self.open:
            return Overloaded("the daemon is stopping", retry_after_secs=5)
        pressure = self._store.pressure()
        if pressure.rows > self._limits.rows or pressure.bytes > self._limits.bytes:
            return Overloaded("the disk cannot follow", retry_after_secs=1)
        if pressure.free_bytes is not None and pressure.free_bytes < self._limits.min_free:
            return Overloaded("the disk is nearly full", retry_after_secs=10)
        return None

    # ---- for the runner too: what a step emits goes in with the step's record

    def plan(self, instance: str, received: Received, *, id_: int | None = None) -> Plan:
        """Route one event; nothing is decided that depends on other events."""
        now_ms = self._clock.now_ms()
        event_id = self._ids.next() if id_ is None else id_
        time_ms = now_ms if received.time_ms is None else received.time_ms
        source = instance.partition(":")[0]
        view = view_of(received, source=source, event_id=id_text("evt", event_id), time_ms=time_ms)
        if received.undecodable is not None or received.depth > DEPTH:
            decisions: list[Decision] = []
        else:
            decisions = self.router.route(instance, view, self._around, now_ms)
        names = [] if received.identity is None else [(instance, received.identity)]
        names += [_dedup_name(one) for one in decisions if one.dedup is not None]
        return Plan(instance, received, event_id, time_ms, view, decisions, names)

    def start_by_hand(self, candidate: Candidate, received: Received) -> Plan:
        """A plan that starts one flow whatever its conditions say (`reactor start`)."""
        now_ms = self._clock.now_ms()
        event_id = self._ids.next()
        source = candidate.trigger.source
        view = view_of(received, source=source, event_id=id_text("evt", event_id), time_ms=now_ms)
        view["trigger"] = candidate.trigger.id
        decision = Decision(candidate, "started", view, received.key)
        names = (
            [] if received.identity is None else [(candidate.trigger.instance, received.identity)]
        )
        return Plan(candidate.trigger.instance, received, event_id, now_ms, view, [decision], names)

    def weave(
        self,
        write: Write,
        plans: deque[Plan],
        started: list[Running],
        then: Callable[[list[Running]], None],
    ) -> None:
        """Put what the plans lead to into one write, what their flows emit included; then go on.

        `then` is called at once unless the store must be asked about identities and answers later.
        """
        while plans:
            plan = plans.popleft()
            if plan.names and plan.found is None:
                self._ask(write, plan, plans, started, then)
                return
            self._settle(write, plan, plans, started)
        then(started)

    def listens(self, instance: str) -> bool:
        """Whether any flow hears this subscription."""
        return self.router.listens(instance)

    def submit(self, write: Write, emissions: list[Emission], done: Callable[[], None]) -> None:
        """Put what the emissions lead to into the write and submit it; `done` after the commit."""
        plans = deque(self.plan(one.instance, one.received, id_=one.id) for one in emissions)

        def woven(started: list[Running]) -> None:
            def committed() -> None:
                done()
                self.committed(write, started)

            self._store.submit(write, committed)

        self.weave(write, plans, [], woven)

    def committed(self, write: Write, started: list[Running]) -> None:
        """The write is on disk: what it started goes on."""
        for row in write.identities:
            self._flight.pop((row.scope, row.identity), None)
        for running in started:
            self._runner.committed(running)
        if self._runner.awaited:
            for new in write.executions:
                if new.execution.state is State.SKIPPED:
                    self._runner.answer(Outcome(new.execution.id, "skipped"))
            for end in write.ends:
                if end.state is State.SKIPPED:
                    self._runner.answer(Outcome(end.execution, "skipped"))

    def _ask(
        self,
        write: Write,
        plan: Plan,
        plans: deque[Plan],
        started: list[Running],
        then: Callable[[list[Running]], None],
    ) -> None:
        def known(found: list[Identity | None]) -> None:
            rows = zip(plan.names, found, strict=True)
            plan.found = {name: row for name, row in rows if row is not None}
            plans.appendleft(plan)
            self.weave(write, plans, started, then)

        self._store.known(plan.names, known)

    def _settle(self, write: Write, plan: Plan, plans: deque[Plan], started: list[Running]) -> None:
        received = plan.received
        first = self._first(plan, (plan.instance, received.identity or "")) if plan.names else None
        if first is not None and received.identity is not None:
            self._meter.duplicates += 1
            plan.receipt = self._again(received, first)
            return
        if received.undecodable is not None or received.depth > DEPTH:
            self._bury(write, plan)
            return
        now_ms = self._clock.now_ms()
        starts: list[Started] = []
        outcome: asyncio.Future[Outcome] | None = None
        for decision in plan.decisions:
            if decision.verdict == "error":
                self._report(decision, plan, now_ms)
            if decision.verdict != "started" or self._is_repeat(plan, decision):
                continue
            event_id = plan.id if decision.part is None else self._ids.next()
            if decision.part is not None:
                decision.view["id"] = id_text("evt", event_id)
                write.events.append(self._event(plan, event_id, decision.view["data"], now_ms))
            execution = self._admit(write, plan, decision, event_id, now_ms, plans, started)
            starts.append(Started(decision.candidate.flow.name, execution))
            self._remember(write, plan, decision, starts[-1], event_id, now_ms)
        if not starts:
            self._keep_unwanted(plan, now_ms)
            return
        self._meter.accepted += 1
        if self._bell.listeners:
            for one in starts:
                self._bell.ring("event", flow=one.flow, event=plan.id, execution=one.execution)
        write.events.append(self._event(plan, plan.id, received.data, now_ms))
        if received.position is not None:
            write.positions.append((plan.instance, received.position))
        if received.identity is not None:
            row = Identity(
                plan.instance, received.identity, plan.id, tuple(starts), received.digest, None
            )
            self._know(write, row)
        if received.wait and len(starts) == 1:
            outcome = self._runner.outcome(starts[0].execution)
        plan.receipt = Receipt(plan.id, tuple(starts), outcome=outcome)

    def _admit(
        self,
        write: Write,
        plan: Plan,
        decision: Decision,
        event_id: int,
        now_ms: int,
        plans: deque[Plan],
        started: list[Running],
    ) -> int:
        flow, key = decision.candidate.flow, decision.key
        lane = self._lane(flow.name)
        number = self._ids.next()
        verdict = lane.admit(number, key)
        row = Execution(
            id=number,
            root=number,
            flow=flow.name,
            version=flow.version,
            event=event_id,
            trigger=decision.candidate.trigger.id,
            key=key,
            state=State.QUEUED,
            created_ms=now_ms,
            epoch=self._store.epoch,
            depth=plan.received.depth,
        )
        if verdict.supersede is not None:
            end = End(verdict.supersede, State.SKIPPED, None, now_ms, (), reason="superseded")
            write.ends.append(end)
        if verdict.admission is Admission.START:
            running = self._runner.begin(row, flow, decision.view, now_ms)
            write.executions.append(self._runner.row(running, write))
            started.append(running)
            plans.extendleft(self.emitted(running))
        elif verdict.admission is Admission.QUEUE:
            write.executions.append(NewExecution(row, ()))
        else:
            skipped = replace(row, state=State.SKIPPED, reason="busy", finished_ms=now_ms)
            write.executions.append(NewExecution(skipped, ()))
        if verdict.cancel is not None:
            message = "a newer event took its place (run: mode: restart)"
            self._cancel(verdict.cancel, Failure(step=None, kind="cancelled", message=message))
        return number

    def emitted(self, running: Running) -> list[Plan]:
        """Plans for what an execution emitted since the last record, newest first."""
        emissions, running.stage.emissions = running.stage.emissions, []
        return [self.plan(one.instance, one.received, id_=one.id) for one in reversed(emissions)]

    # ---- identities

    def _first(self, plan: Plan, name: _Name) -> Identity | None:
        found = plan.found or {}
        return found.get(name) or self._flight.get(name)

    def _is_repeat(self, plan: Plan, decision: Decision) -> bool:
        if decision.dedup is None:
            return False
        first = self._first(plan, _dedup_name(decision))
        if first is None or (first.until_ms is not None and first.until_ms <= self._clock.now_ms()):
            return False
        self._meter.duplicates += 1
        return True

    def _remember(
        self,
        write: Write,
        plan: Plan,
        decision: Decision,
        started: Started,
        event_id: int,
        now_ms: int,
    ) -> None:
        dedup = decision.candidate.trigger.dedup
        if dedup is not None and decision.dedup is not None:
            scope, identity = _dedup_name(decision)
            until_ms = now_ms + round(dedup.within_secs * 1000)
            self._know(write, Identity(scope, identity, event_id, (started,), None, until_ms))

    def _know(self, write: Write, row: Identity) -> None:
        write.identities.append(row)
        self._flight[row.scope, row.identity] = row

    def _again(self, received: Received, first: Identity) -> Receipt:
        conflict = (
            received.digest is not None
            and first.digest is not None
            and received.digest != first.digest
        )
        outcome = None
        if received.wait and len(first.executions) == 1 and not conflict:
            outcome = self._runner.stored_outcome(first.executions[0].execution)
        return Receipt(
            first.event, first.executions, duplicate=True, conflict=conflict, outcome=outcome
        )

    # ---- rows

    def _event(self, plan: Plan, event_id: int, data: Any, now_ms: int) -> Event:
        received = plan.received
        source = plan.instance.partition(":")[0]
        return Event(
            event_id,
            source,
            plan.instance,
            now_ms,
            plan.time_ms,
            received.type,
            received.key,
            received.depth,
            data,
            received.fields,
        )

    def _bury(self, write: Write, plan: Plan) -> None:
        now_ms = self._clock.now_ms()
        received = plan.received
        write.events.append(self._event(plan, plan.id, received.data, now_ms))
        kind = "loop" if received.undecodable is None else "decode"
        reason = received.undecodable or f"the event is more than {DEPTH} events from its cause"
        write.dead.append(
            Dead(
                id=self._ids.next(),
                kind=kind,
                flow=None,
                event=plan.id,
                execution=None,
                reason=reason,
                created_ms=now_ms,
            )
        )
        if received.position is not None:
            write.positions.append((plan.instance, received.position))
        if received.identity is not None:
            self._know(write, Identity(plan.instance, received.identity, plan.id, (), None, None))
        self._meter.dead += 1
        plan.receipt = Receipt(plan.id)

    def _report(self, decision: Decision, plan: Plan, now_ms: int) -> None:
        """Count an error in a condition; say it at most once a minute for each flow."""
        flow = decision.candidate.flow.name
        self._meter.decided_wrong(flow, decision.candidate.trigger.id)
        if now_ms - self._warned_ms.get(flow, 0) >= 60_000:
            self._warned_ms[flow] = now_ms
            facts = {"flow": flow, "event_id": id_text("evt", plan.id), "error": decision.reason}
            self._log.warning("a condition could not be decided, nothing was started", extra=facts)

    def _keep_unwanted(self, plan: Plan, now_ms: int) -> None:
        self._meter.unwanted += 1
        event = self._event(plan, plan.id, plan.received.data, now_ms)
        stopped = {one.candidate.flow.name: one.reason or one.verdict for one in plan.decisions}
        self._unwanted(Unwanted(event, stopped))


class Emitter:
    """What a source is given: `plugin.context.Emit` for one subscription."""

    def __init__(
        self, intake: Intake, instance: str, room: Callable[[], "asyncio.Future[None]"]
    ) -> None:
        self._intake = intake
        self._instance = instance
        self._room = room

    async def __call__(self, received: Received) -> Receipt:
        """Store one event; waits while the daemon is overloaded, so that the source slows down."""
        return (await self.many([received]))[0]

    async def many(self, received: Sequence[Received]) -> list[Receipt]:
        """Store a batch in one commit; order is kept."""
        while self._intake.open and self._intake.refusal() is not None:
            await self._room()
        answer: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()

        def done(result: list[Receipt] | BaseException) -> None:
            if answer.done():
                return
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        self._intake.accept(self._instance, received, done)
        return await answer

    def nowait(self, received: Received, done: Accepted) -> None:
        """Store one event; `done` is called once, with the receipt or with `Overloaded`."""

        def first(result: list[Receipt] | BaseException) -> None:
            done(result if isinstance(result, BaseException) else result[0])

        self._intake.accept(self._instance, (received,), first)


def _dedup_name(decision: Decision) -> _Name:
    candidate = decision.candidate
    return f"dedup:{candidate.flow.name}:{candidate.trigger.id}", decision.dedup or ""
