"""How an event gets in: routed, recognised, admitted, and on disk before anyone is answered."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reactor.clock import Clock
from reactor.engine.bell import Bell
from reactor.engine.identities import Identities
from reactor.engine.lanes import Admission, Lane
from reactor.engine.meter import Meter
from reactor.engine.plan import Plan, Weft, dedup_name
from reactor.engine.router import Candidate, Decision, Router, Surroundings, by_hand, view_of
from reactor.engine.runner import Runner
from reactor.engine.words import Emission
from reactor.errors import Overloaded
from reactor.ids import Ids, id_text
from reactor.logs import Limiter
from reactor.model.event import Outcome, Receipt, Received, Started
from reactor.model.execution import Execution, Failure, State
from reactor.store import (
    Dead,
    End,
    Identity,
    NewExecution,
    Store,
    Unwanted,
    Write,
    place_name,
)

DEPTH = 32  # an event further from its first cause is a loop


class Limits(Struct, frozen=True):
    """When intake refuses: what may wait for the next commit, what the disk must have left."""

    rows: int = 50_000
    bytes: int = 64 << 20
    min_free: int = 256 << 20


class Intake:
    """Accepts events. A reload swaps `router`; `open` is False while the daemon drains.

    Everything is decided here, on the event loop, in order of acceptance; the store keeps rows in
    the same order. So one event sees what the ones before it did, committed or not.
    """

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
        self._identities = Identities(store)
        self._warnings = Limiter(clock)
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
        plans = [self.plan(instance, received) for received in batch]
        weft = Weft(Write(), deque(plans), [])

        def woven() -> None:
            receipts = [plan.receipt or Receipt(None, unwanted=plan.id) for plan in plans]
            write = weft.write
            if write.events or write.positions or any(receipt.duplicate for receipt in receipts):
                self._send(weft, lambda: done(receipts))
            else:
                done(receipts)

        self.weave(weft, woven)

    def refusal(self) -> Overloaded | None:
        """Why nothing may come in now, or None."""
        if not self.open:
            return Overloaded("the daemon is stopping", retry_after_secs=5)
        pressure, limits = self._store.pressure(), self._limits
        if pressure.rows > limits.rows or pressure.bytes > limits.bytes:
            return Overloaded("the disk cannot follow", retry_after_secs=1)
        if pressure.free_bytes is not None and pressure.free_bytes < limits.min_free:
            return Overloaded("the disk is nearly full", retry_after_secs=10)
        return None

    def start_by_hand(
        self, candidate: Candidate, received: Received, done: Callable[[Receipt], None]
    ) -> None:
        """Start one flow whatever its conditions say (`reactor start`); see `by_hand`."""
        now_ms, event_id = self._clock.now_ms(), self._ids.next()
        trigger = candidate.trigger
        number = id_text("evt", event_id)
        view = view_of(received, source=trigger.source, event_id=number, time_ms=now_ms)
        decisions = [by_hand(candidate, view, self._around, now_ms)]
        plan = Plan(trigger.instance, received, event_id, now_ms, now_ms, view, decisions, [])
        weft = Weft(Write(), deque([plan]), [])
        self.weave(
            weft,
            lambda: self._send(weft, lambda: done(plan.receipt or Receipt(None, unwanted=plan.id))),
        )

    # ---- for the runner: what a step emits goes in with the step's record

    def listens(self, instance: str) -> bool:
        """Whether any flow hears this subscription."""
        return self.router.listens(instance)

    def submit(self, write: Write, emissions: list[Emission], done: Callable[[], None]) -> None:
        """Put what the emissions lead to into the write and submit it; `done` after the commit."""
        weft = Weft(write, deque(self._plans(emissions)), [])
        self.weave(weft, lambda: self._send(weft, done))

    # ---- the way in

    def plan(self, instance: str, received: Received, *, id_: int | None = None) -> Plan:
        """Route one event; nothing is decided that depends on other events."""
        now_ms = self._clock.now_ms()
        event_id = self._ids.next(now_ms) if id_ is None else id_
        time_ms = now_ms if received.time_ms is None else received.time_ms
        source = instance.partition(":")[0]
        view = view_of(received, source=source, event_id=id_text("evt", event_id), time_ms=time_ms)
        decisions: list[Decision] = []
        if received.undecodable is None and received.depth <= DEPTH:
            decisions = self.router.route(instance, view, self._around, now_ms)
        names = [] if received.identity is None else [(instance, received.identity)]
        names += [dedup_name(one) for one in decisions if one.dedup is not None]
        return Plan(instance, received, event_id, now_ms, time_ms, view, decisions, names)

    def weave(self, weft: Weft, then: Callable[[], None]) -> None:
        """Settle every plan into one write, those of what its flows emit included; then go on.

        `then` is called at once unless the store answers later about names.
        """
        plans = weft.plans
        while plans:
            if plans[0].names and plans[0].known is None:
                self._ask(weft, then)
                return
            self._settle(weft, plans.popleft())
        then()

    def _ask(self, weft: Weft, then: Callable[[], None]) -> None:
        waiting = [plan for plan in weft.plans if plan.known is None]

        def known(found: dict[tuple[str, str], Identity]) -> None:
            for plan in waiting:
                plan.known = found
            self.weave(weft, then)

        self._identities.ask([name for plan in waiting for name in plan.names], known)

    def _settle(self, weft: Weft, plan: Plan) -> None:
        received = plan.received
        if received.identity is not None:
            name = (plan.instance, received.identity)
            first = self._identities.first(name, plan.known or {}, plan.now_ms)
            if first is not None:
                self._meter.duplicates += 1
                plan.receipt = self._again(received, first)
                return
        if received.undecodable is not None or received.depth > DEPTH:
            self._bury(weft.write, plan)
            return
        starts = [
            self._start(weft, plan, decision)
            for decision in plan.decisions
            if self._wants(plan, decision)
        ]
        if not starts:
            self._keep_unwanted(plan)
            if plan.repeats is not None:
                plan.receipt = Receipt(plan.repeats.event, plan.repeats.executions, duplicate=True)
            return
        self._store_event(weft.write, plan, tuple(starts))
        wait = received.wait and len(starts) == 1
        outcome = self._runner.outcomes.of(starts[0].execution) if wait else None
        plan.receipt = Receipt(plan.id, tuple(starts), outcome=outcome)

    def _wants(self, plan: Plan, decision: Decision) -> bool:
        if decision.verdict != "started":
            if decision.verdict == "error":
                self._report(decision, plan)
            return False
        if decision.dedup is None:
            return True
        name = dedup_name(decision)
        plan.repeats = self._identities.first(name, plan.known or {}, plan.now_ms)
        if plan.repeats is None:
            return True
        self._meter.duplicates += 1
        return False

    def _start(self, weft: Weft, plan: Plan, decision: Decision) -> Started:
        event_id = plan.id
        if decision.part is not None:
            event_id = self._ids.next(plan.now_ms)
            decision.view["id"] = id_text("evt", event_id)
            weft.write.events.append(plan.event(event_id, decision.view["data"]))
        trigger = decision.candidate.trigger
        started = Started(decision.candidate.flow.name, self._admit(weft, plan, decision, event_id))
        if trigger.dedup is not None and decision.dedup is not None:
            until_ms = plan.now_ms + round(trigger.dedup.within_secs * 1000)
            row = Identity(*dedup_name(decision), event_id, (started,), None, until_ms)
            self._identities.record(weft.write, row)
        return started

    def _admit(self, weft: Weft, plan: Plan, decision: Decision, event_id: int) -> int:
        candidate, key, write, now_ms = decision.candidate, decision.key, weft.write, plan.now_ms
        flow = candidate.flow
        lane = self._lane(flow.name)
        number = self._ids.next(now_ms)
        verdict = lane.admit(number, key)
        starts = verdict.admission is Admission.START
        over = starts and candidate.straight is not None  # as far as can be foreseen
        row = Execution(
            id=number,
            root=number,
            flow=flow.name,
            version=flow.version,
            event=event_id,
            trigger=candidate.trigger.id,
            key=key,
            state=State.OK if over else State.QUEUED,
            created_ms=now_ms,
            started_ms=now_ms if starts else None,
            finished_ms=now_ms if over else None,
            epoch=self._store.epoch,
            depth=plan.received.depth,
        )
        if verdict.supersede is not None:
            end = End(verdict.supersede, State.SKIPPED, None, plan.now_ms, (), reason="superseded")
            write.ends.append(end)
        if starts:
            begun = self._runner.begin(row, candidate, decision.names, write)
            weft.started.append(begun)
            if begun.stage.emissions:
                emissions, begun.stage.emissions = begun.stage.emissions, []
                weft.plans.extendleft(reversed(self._plans(emissions)))
        elif verdict.admission is Admission.QUEUE:
            write.executions.append(NewExecution(row, ()))
        else:
            skipped = replace(row, state=State.SKIPPED, reason="busy", finished_ms=plan.now_ms)
            write.executions.append(NewExecution(skipped, ()))
        if verdict.cancel is not None:
            weft.replaced.append(verdict.cancel)
        return number

    def _plans(self, emissions: list[Emission]) -> list[Plan]:
        return [self.plan(one.instance, one.received, id_=one.id) for one in emissions]

    # ---- the commit

    def _send(self, weft: Weft, done: Callable[[], None]) -> None:
        def committed() -> None:
            done()
            self._committed(weft)

        self._store.submit(weft.write, committed)
        for number in weft.replaced:  # after the write, which may hold the start of it
            message = "a newer event took its place (run: mode: restart)"
            self._cancel(number, Failure(step=None, kind="cancelled", message=message))

    def _committed(self, weft: Weft) -> None:
        write = weft.write
        if write.identities:
            self._identities.committed(write.identities)
        for begun in weft.started:
            self._runner.committed(begun)
        outcomes = self._runner.outcomes
        if outcomes.awaited:
            for new in write.executions:
                if new.execution.state is State.SKIPPED:
                    outcomes.answer(Outcome(new.execution.id, "skipped"))
            for end in write.ends:
                if end.state is State.SKIPPED:
                    outcomes.answer(Outcome(end.execution, "skipped"))

    # ---- rows and receipts

    def _store_event(self, write: Write, plan: Plan, starts: tuple[Started, ...]) -> None:
        received = plan.received
        write.events.append(plan.event(plan.id, received.data))
        if received.position is not None:
            write.positions.append((plan.instance, received.position))
        for name, place in received.places.items():
            write.positions.append((place_name(plan.instance, name), place))
        if received.identity is not None:
            secs = received.known_secs
            until_ms = None if secs is None else plan.now_ms + round(secs * 1000)
            row = Identity(
                plan.instance, received.identity, plan.id, starts, received.digest, until_ms
            )
            self._identities.record(write, row)
        self._meter.accepted += 1
        if self._bell.listeners:
            for one in starts:
                self._bell.ring("event", flow=one.flow, event=plan.id, execution=one.execution)

    def _again(self, received: Received, first: Identity) -> Receipt:
        given, had = received.digest, first.digest
        conflict = given is not None and had is not None and given != had
        outcome: asyncio.Future[Outcome] | None = None
        if received.wait and len(first.executions) == 1 and not conflict:
            outcome = self._runner.outcomes.stored(first.executions[0].execution)
        return Receipt(
            first.event, first.executions, duplicate=True, conflict=conflict, outcome=outcome
        )

    def _bury(self, write: Write, plan: Plan) -> None:
        """An event that no flow can take is kept for a person."""
        loop = f"the event is more than {DEPTH} events away from its first cause"
        write.dead.append(
            Dead(
                id=self._ids.next(),
                kind="loop" if plan.received.undecodable is None else "decode",
                flow=None,
                event=plan.id,
                execution=None,
                reason=plan.received.undecodable or loop,
                created_ms=plan.now_ms,
            )
        )
        self._meter.dead += 1
        self._store_event(write, plan, ())
        plan.receipt = Receipt(plan.id)

    def _keep_unwanted(self, plan: Plan) -> None:
        self._meter.unwanted += 1
        stopped = {  # what was to start and did not is a repeat under `dedup`
            one.candidate.flow.name: one.reason
            or ("duplicate" if one.verdict == "started" else one.verdict)
            for one in plan.decisions
        }
        self._unwanted(Unwanted(plan.event(plan.id, plan.received.data), stopped))

    def _report(self, decision: Decision, plan: Plan) -> None:
        """Count an error in a condition; say it at most once a minute for each flow."""
        flow = decision.candidate.flow.name
        self._meter.decided_wrong(flow, decision.candidate.trigger.id)
        said = "a condition could not be decided, nothing started"
        facts = {"flow": flow, "event_id": id_text("evt", plan.id), "error": decision.reason}
        self._warnings.warning(self._log, flow, said, **facts)
