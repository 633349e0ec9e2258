"""How an event gets in: routed, recognised, admitted, and on disk before anyone is answered."""

from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from reactor.clock import Clock
from reactor.engine.bell import Bell
from reactor.engine.called import not_started, plan_call
from reactor.engine.course import REPLACED
from reactor.engine.delayed import Delayed
from reactor.engine.gates.house import House
from reactor.engine.hearing import Hearing
from reactor.engine.identities import Identities
from reactor.engine.lanes import Lane
from reactor.engine.meter import Meter
from reactor.engine.plan import Plan, Weft, dedup_name
from reactor.engine.router import Candidate, Decision, Router, Surroundings, by_hand, view_of
from reactor.engine.runner import Runner
from reactor.engine.starter import Starter
from reactor.engine.unwelcome import Unwelcome
from reactor.engine.words import Emission
from reactor.errors import Overloaded, StorageFailed
from reactor.ids import Ids, id_text
from reactor.model.event import Outcome, Receipt, Received, Started
from reactor.model.execution import Failure, State
from reactor.store import (
    Identity,
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
        hearing: Hearing,
        delayed: Delayed,
        house: Callable[["Intake", Unwelcome], House],
    ) -> None:
        self.router = Router(())
        self.open = True
        self._store = store
        self._runner = runner
        self._clock = clock
        self._ids = ids
        self._around = around
        self._meter = meter
        self._bell = bell
        self._limits = limits
        self._cancel = cancel
        self.hearing = hearing
        self._unwelcome = Unwelcome(ids, clock, meter, runner.outcomes, unwanted)
        self._delayed = delayed
        self._identities = Identities(store)
        self._unanswered: dict[int, Callable[[list[Receipt] | BaseException], None]] = {}
        self.starter = Starter(
            epoch=store.epoch,
            runner=runner,
            lane=lane,
            ids=ids,
            identities=self._identities,
            hearing=hearing,
            delayed=delayed,
            listening=lambda: self.router.listening,
            plans=self._plans,
        )
        self.house = house(self, self._unwelcome)

    # ---- for sources

    def accept(
        self,
        instance: str,
        batch: Sequence[Received],
        done: Callable[[list[Receipt] | BaseException], None],
        *,
        patient: bool = True,
    ) -> None:
        """Store a batch in one commit; `done` is called once, after it, or with `Overloaded`.

        Events that no flow wants are answered without a commit. Who is not `patient` hears
        `StorageFailed` when the disk is full: then it is stored once there is room, or never.
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
                if patient:
                    self._send(weft, lambda: done(receipts))
                    return
                number = plans[0].id
                self._unanswered[number] = done
                self._send(weft, lambda: self._answer(number, receipts))
            else:
                done(receipts)

        self.weave(weft, woven)

    def _answer(self, number: int, receipts: list[Receipt]) -> None:
        done = self._unanswered.pop(number, None)
        if done is not None:
            done(receipts)

    def stall(self) -> None:
        """The disk is full: those who will not wait hear that nobody knows yet."""
        unanswered, self._unanswered = self._unanswered, {}
        for done in unanswered.values():
            done(StorageFailed("the disk is full"))

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

    def tell(
        self, instance: str, received: Received, to: tuple[str, str], done: Callable[[], None]
    ) -> None:
        """Store an event for whoever waits under a name and key; `done` after the commit."""
        plan = self.plan(instance, received)
        weft = Weft(Write(), deque(), [])
        self.hearing.keep(weft, plan, *to)
        self._store_event(weft.write, plan, ())
        self._send(weft, done)

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
        if received.only is not None:
            decisions = [one for one in decisions if one.candidate.flow.name == received.only]
        names = [] if received.identity is None else [(instance, received.identity)]
        names += [dedup_name(one) for one in decisions if one.dedup is not None]
        plan = Plan(instance, received, event_id, now_ms, time_ms, view, decisions, names)
        if self.router.gated:
            plan.gated = any(one.candidate.open for one in decisions)
        return plan

    def weave(self, weft: Weft, then: Callable[[], None]) -> None:
        """Settle every plan into one write, those of what its flows emit included; then go on.

        `then` is called at once unless the store answers later about names.
        """
        plans = weft.plans
        while plans:
            if (plans[0].names or plans[0].gated) and plans[0].known is None:
                self._ask(weft, then)
                return
            self._settle(weft, plans.popleft())
        then()

    def _ask(self, weft: Weft, then: Callable[[], None]) -> None:
        waiting = [plan for plan in weft.plans if plan.known is None]

        def known(found: dict[tuple[str, str], Identity]) -> None:
            for plan in waiting:
                plan.known = found
            self.house.ask(waiting, lambda: self.weave(weft, then))

        self._identities.ask([name for plan in waiting for name in plan.names], known)

    def _settle(self, weft: Weft, plan: Plan) -> None:
        received = plan.received
        if received.identity is not None:
            name = (plan.instance, received.identity)
            first = self._identities.first(name, plan.known or {}, plan.now_ms)
            if first is not None:
                self._meter.duplicates += 1
                plan.receipt = self._unwelcome.again(received, first)
                return
        if received.undecodable is not None or received.depth > DEPTH:
            self._unwelcome.bury(
                weft.write, plan, f"the event is more than {DEPTH} events away from its first cause"
            )
            self._store_event(weft.write, plan, ())
            plan.receipt = Receipt(plan.id)
            return
        if plan.gated:
            found = self.house.settle(weft, plan)
            if found is None:
                return  # a throttle refuses it
            starts = found
        else:
            starts = [
                self._start(weft, plan, decision)
                for decision in plan.decisions
                if self.wants(plan, decision)
            ]
        heard: tuple[str, ...] = ()
        if plan.instance in self.router.ears:
            heard = self.hearing.hear(self.router.ears[plan.instance], weft, plan)
        if plan.call is not None and not starts:
            self._refuse_call(weft, plan)
            return
        if not (starts or heard or plan.changed):
            self._unwelcome.keep(plan)
            if plan.repeats is not None:
                plan.receipt = Receipt(plan.repeats.event, plan.repeats.executions, duplicate=True)
            return
        self._store_event(weft.write, plan, tuple(starts))
        wait = received.wait and len(starts) == 1
        outcome = self._runner.outcomes.of(starts[0].execution) if wait else None
        heard = () if starts else heard
        held = tuple(dict.fromkeys([*plan.held, *heard])) if plan.held or heard else ()
        plan.receipt = Receipt(plan.id, tuple(starts), held, outcome=outcome)

    def _refuse_call(self, weft: Weft, plan: Plan) -> None:
        flow = None if plan.call is None else self.router.flows.get(plan.call.flow)
        row = not_started(plan, flow, self._store.epoch)
        if row is not None:
            weft.write.executions.append(row)
            self._store_event(weft.write, plan, ())

    def wants(self, plan: Plan, decision: Decision) -> bool:
        """Whether a trigger wants an event, which is no repeat under its `dedup`."""
        if decision.verdict != "started":
            if decision.verdict == "error":
                self._unwelcome.report(decision, plan.id)
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
        return self.starter.start(weft, plan, decision, event_id)

    # ---- for gates

    def carry_out(self, weft: Weft) -> None:
        """Weave in what the executions emit, and submit."""
        self.weave(weft, lambda: self._send(weft, lambda: None))

    def _plans(self, emissions: list[Emission]) -> list[Plan]:
        return [
            self.plan(one.instance, one.received, id_=one.id)
            if one.call is None
            else plan_call(
                one, self.router.flows, self.router.calls, self._around, self._clock.now_ms()
            )
            for one in emissions
        ]

    # ---- the commit

    def _send(self, weft: Weft, done: Callable[[], None]) -> None:
        def committed() -> None:
            done()
            self._committed(weft)

        self._store.submit(weft.write, committed)
        for flow, number in weft.deferred:
            self._delayed.begin(flow, number)
        for number in weft.replaced:  # after the write, which may hold the start of it
            self._cancel(number, REPLACED)

    def _committed(self, weft: Weft) -> None:
        write = weft.write
        if write.identities:
            self._identities.committed(write.identities)
        if write.gates or weft.remembered:
            self.house.committed(weft)
        for begun in weft.started:
            self._runner.committed(begun)
        if weft.stirred:
            self.hearing.woken(weft.stirred)
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
