"""Where gates stand: their rows go into the commit of the event, their due times into the next."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from reactor.clock import Clock, to_ms
from reactor.engine.gates.chain import Chain, Passed, names_in, throttle_name
from reactor.engine.gates.door import Door, Way
from reactor.engine.gates.memory import remembered
from reactor.engine.gates.moves import Asked, Item
from reactor.engine.gates.pace import next_start
from reactor.engine.gates.rows import Found, Rows
from reactor.engine.gates.views import with_facts
from reactor.engine.gates.wakes import Wakes
from reactor.engine.meter import Meter
from reactor.engine.plan import Plan, Weft
from reactor.engine.router import (
    Candidate,
    Decision,
    Router,
    Surroundings,
    complete,
    names_of,
)
from reactor.engine.state import SharedState
from reactor.engine.timers import Timers
from reactor.errors import EvaluationError
from reactor.expr.values import to_key
from reactor.ids import Ids, id_text
from reactor.model.event import Receipt, Started
from reactor.model.gates import Gates, Window
from reactor.store import Dead, Store
from reactor.store.codec import encode
from reactor.store.gated import GateName, Judged


class House:
    """Decides for gates, in order of acceptance. All methods belong to the event loop's thread."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        moments: Timers,
        shared: SharedState,
        env: Mapping[str, str],
        meter: Meter,
        door: Door,
        report: Callable[[Decision, int], None],
    ) -> None:
        self.rows = Rows(store)
        self.wakes = Wakes(
            store=store, rows=self.rows, clock=clock, ids=ids, moments=moments, door=door
        )
        self._clock = clock
        self._ids = ids
        self._shared = shared
        self._around = Surroundings(env, shared.latest)
        self._meter = meter
        self._door = door
        self._report = report

    # ---- an event comes in

    def ask(self, plans: Sequence[Plan], then: Callable[[], None]) -> None:
        """Have the rows at hand that these events may change."""
        gated = [plan for plan in plans if plan.gated]
        names = {
            name: None for plan in gated for one in plan.decisions for name in self._names(one)
        }

        def found(rows: Found) -> None:
            for plan in gated:
                plan.rows = rows
            then()

        self.rows.ask(list(names), found)

    def settle(self, weft: Weft, plan: Plan) -> list[Started] | None:
        """Take an event through the gates of all triggers that want it; what it starts now.

        None: a throttle refuses it, nothing may be stored.
        """
        wanted = [one for one in plan.decisions if self._door.wants(plan, one)]
        refused_secs = self._refused(plan, wanted)
        if refused_secs is not None:
            self._meter.refused += 1
            plan.receipt = Receipt(None, refused_secs=refused_secs)
            return None
        fine = [one for one in wanted if self._remember(weft, plan, one)]
        starts: list[Started] = []
        for decision in fine:
            if decision.part is not None and not self._door.wants(plan, decision):
                continue  # another part of the same event has its id
            if decision.candidate.trigger.gates is not None:
                starts += self._through(weft, plan, decision)
                continue
            done = complete(decision, self._around, plan.now_ms)
            if done.verdict == "started":
                event = self._part(weft, plan, done)
                starts.append(
                    self._door.starter.start(weft, plan, done, event, _behind(weft, Way()))
                )
            else:
                self._stopped(plan, decision, done)
        return starts

    def _through(self, weft: Weft, plan: Plan, decision: Decision) -> list[Started]:
        candidate, view, now_ms = decision.candidate, decision.view, plan.now_ms
        trigger, event, key = candidate.trigger, plan.id, view["key"] or ""
        if decision.part is not None:
            event = self._ids.next()
            view["id"] = id_text("evt", event)
        names = names_of(candidate, view, self._around, now_ms)
        try:
            item = self._item(decision, event, plan, names)
            chain = Chain(self.rows, plan.rows, weft.write, candidate, key)
            passed = chain.hear(item, Asked(names, now_ms, self._ids.next, trigger.branch))
        except EvaluationError as error:
            failed = replace(decision, verdict="error", reason=str(error))
            self._stopped(plan, decision, failed)
            return []
        starts = self._let_through(weft, plan, decision, event, passed)
        if passed.changed or starts:
            plan.changed = True
            if decision.part is not None:
                weft.write.events.append(plan.event(event, view["data"]))
            if not starts or (passed.says and event in passed.kept):
                self._hold(weft, plan, decision, event, passed)
            self._door.starter.recognise(weft, plan, decision, event, tuple(starts))
        elif passed.says:
            self._stopped(plan, decision, replace(decision, verdict="stopped", reason=passed.says))
        self.wakes.moved(passed)
        return starts

    def _part(self, weft: Weft, plan: Plan, decision: Decision) -> int:
        if decision.part is None:
            return plan.id
        event = self._ids.next()
        decision.view["id"] = id_text("evt", event)
        weft.write.events.append(plan.event(event, decision.view["data"]))
        return event

    def _let_through(
        self, weft: Weft, plan: Plan, decision: Decision, event: int, passed: Passed
    ) -> list[Started]:
        starts: list[Started] = []
        candidate, releases = decision.candidate, self.wakes.releases
        for item in passed.items:
            if item.event != event or item.group is not None:
                key = decision.view["key"] or ""
                starts.append(
                    releases.release(
                        weft, candidate, key, item, found=plan.rows, now_ms=plan.now_ms
                    )
                )
                continue
            view = with_facts(decision.view, item.facts)
            names = {**decision.names, "event": view}
            fit = replace(decision, view=view, names=names)
            done = complete(fit, self._around, plan.now_ms)
            if done.verdict != "started":
                self._stopped(plan, decision, done)
                passed.says, passed.kept = done.reason or "", set()
                continue
            way = releases.way(weft.write, candidate, item, plan.rows, plan.now_ms)
            way = _behind(weft, way)
            starts.append(self._door.starter.start(weft, plan, done, event, way))
        return starts

    def _hold(self, weft: Weft, plan: Plan, decision: Decision, event: int, passed: Passed) -> None:
        flow, trigger = decision.candidate.flow.name, decision.candidate.trigger.id
        word = "late" if passed.late else "held" if event in passed.kept else "stopped"
        if word == "late":
            self._meter.late += 1
        if word == "held":
            plan.held.append(flow)
        weft.write.judged.append(Judged(event, flow, trigger, word, passed.says))

    def _item(self, decision: Decision, event: int, plan: Plan, names: Mapping[str, Any]) -> Item:
        gates = decision.candidate.trigger.gates or Gates()
        time_ms, size = plan.time_ms, 0
        for _, config in gates.chain:
            if isinstance(config, Window) and config.time is not None:
                time_ms = _moment(config.time.evaluate(names), config.time.text)
            if getattr(config, "max_bytes", None) is not None:
                size = len(encode(decision.view["data"]))
        return Item(
            event=event,
            lane=decision.key,
            size=size,
            time_ms=time_ms,
            depth=plan.received.depth,
            pace=_pace(decision.candidate, names),
        )

    def _names(self, decision: Decision) -> list[GateName]:
        candidate, gates = decision.candidate, decision.candidate.trigger.gates
        if gates is None or decision.verdict != "started":
            return []
        found = names_in(candidate, decision.view["key"] or "")
        if gates.throttle is not None:
            names = names_of(candidate, decision.view, self._around, self._clock.now_ms())
            found.append(throttle_name(candidate, _pace(candidate, names)))
        return found

    # ---- remember, refuse, throttle

    def _remember(self, weft: Weft, plan: Plan, decision: Decision) -> bool:
        gates = decision.candidate.trigger.gates
        if gates is None or not gates.remember:
            return True
        names = names_of(decision.candidate, decision.view, self._around, plan.now_ms)
        try:
            values = remembered(gates.remember, names, self._shared, plan.now_ms)
        except EvaluationError as error:
            failed = replace(decision, verdict="error", reason=str(error))
            self._stopped(plan, decision, failed)
            return False
        for value in values:
            decided = self._shared.decide(value)
            weft.write.states += decided
            weft.remembered += decided
            plan.changed = True
        return True

    def _refused(self, plan: Plan, wanted: Sequence[Decision]) -> float | None:
        waits = []
        for decision in wanted:
            candidate, gates = decision.candidate, decision.candidate.trigger.gates
            throttle = None if gates is None else gates.throttle
            if throttle is None or throttle.over != "refuse":
                continue
            if complete(decision, self._around, plan.now_ms).verdict == "started":
                names = names_of(candidate, decision.view, self._around, plan.now_ms)
                name = throttle_name(candidate, _pace(candidate, names))
                mark = self.rows.get(name, plan.rows)
                waits.append(next_start(throttle, mark, plan.now_ms) - plan.now_ms)
        return max(waits) / 1000 if any(waits) else None

    # ---- kept up

    @property
    def router(self) -> Router:
        """The flows at this moment."""
        return self._door.router

    def carry_out(self, weft: Weft) -> None:
        """Submit what was decided."""
        self._door.carry_out(weft)

    def bury(self, weft: Weft, flow: str, events: Sequence[int], reason: str) -> None:
        """Events that will start nothing any more are kept for a person."""
        now_ms = self._clock.now_ms()
        for event in events:
            self._meter.dead += 1
            letter = Dead(
                id=self._ids.next(),
                kind="removed",
                flow=flow,
                event=event,
                execution=None,
                reason=reason,
                created_ms=now_ms,
            )
            weft.write.dead.append(letter)

    def committed(self, weft: Weft) -> None:
        """What was decided is on disk."""
        self.rows.committed(weft.write.gates)
        if weft.remembered:
            self._shared.commit(weft.remembered)

    def _stopped(self, plan: Plan, before: Decision, after: Decision) -> None:
        plan.decisions = [after if one is before else one for one in plan.decisions]
        if after.verdict == "error":
            self._report(after, plan.id)


def _behind(weft: Weft, way: Way) -> Way:
    """After `remember` an execution begins when it is on disk: its steps see it too."""
    return replace(way, deferred=True) if weft.remembered else way


def _pace(candidate: Candidate, names: Mapping[str, Any]) -> str:
    """The key of a throttle: its own, else the trigger's."""
    gates = candidate.trigger.gates
    throttle = None if gates is None else gates.throttle
    if throttle is None:
        return ""
    if throttle.key is None:
        return names["event"]["key"] or ""
    try:
        return to_key(throttle.key.evaluate(names)) or ""
    except EvaluationError:
        return ""  # what has no key of its own shares one


def _moment(value: Any, text: str) -> int:
    """The time of an event: an instant, or text in RFC 3339."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise EvaluationError(f"window.time: {text} is no time such as 2026-01-31T08:00:00Z")
    return to_ms(value if value.tzinfo else value.replace(tzinfo=UTC))
