"""How an execution begins: admitted by its lane, and put into the write of its event."""

from collections.abc import Callable, Collection

from msgspec.structs import replace

from reactor.engine.delayed import Delayed
from reactor.engine.gates.door import Way
from reactor.engine.hearing import Hearing
from reactor.engine.identities import Identities
from reactor.engine.lanes import QUEUE, Admission, Lane
from reactor.engine.plan import Plan, Weft, dedup_name
from reactor.engine.router import Decision
from reactor.engine.runner import Runner
from reactor.engine.words import Calling, Emission
from reactor.ids import Ids
from reactor.model.event import Started
from reactor.model.execution import Execution, State
from reactor.store import End, Identity, NewExecution


class Starter:
    """Starts, queues or skips what events start; `plans` makes plans of what executions emit.

    `listening` are the flows whose executions may wait for events.
    """

    def __init__(
        self,
        *,
        epoch: int,
        runner: Runner,
        lane: Callable[[str], Lane],
        ids: Ids,
        identities: Identities,
        hearing: Hearing,
        delayed: Delayed,
        listening: Callable[[], Collection[str]],
        plans: Callable[[list[Emission]], list[Plan]],
    ) -> None:
        self._epoch = epoch
        self._runner = runner
        self._lane = lane
        self._ids = ids
        self._identities = identities
        self._hearing = hearing
        self._delayed = delayed
        self._listening = listening
        self._plans = plans

    def start(
        self, weft: Weft, plan: Plan, decision: Decision, event: int, way: Way | None = None
    ) -> Started:
        """Start what an event started, and know its identity."""
        depth = plan.received.depth
        number = self.admit(
            weft, decision, event, now_ms=plan.now_ms, depth=depth, way=way, call=plan.call
        )
        started = Started(decision.candidate.flow.name, number)
        if decision.dedup is not None:
            self.recognise(weft, plan, decision, event, (started,))
        return started

    def recognise(
        self,
        weft: Weft,
        plan: Plan,
        decision: Decision,
        event: int,
        started: tuple[Started, ...] = (),
    ) -> None:
        """Know the identity of an event under `dedup` from now on."""
        dedup = decision.candidate.trigger.dedup
        if dedup is not None and decision.dedup is not None:
            until_ms = plan.now_ms + round(dedup.within_secs * 1000)
            row = Identity(*dedup_name(decision), event, started, None, until_ms)
            self._identities.record(weft.write, row)

    def admit(
        self,
        weft: Weft,
        decision: Decision,
        event: int,
        *,
        now_ms: int,
        depth: int,
        way: Way | None = None,
        call: Calling | None = None,
    ) -> int:
        """Put a new execution into the write; its number."""
        candidate, key, write = decision.candidate, decision.key, weft.write
        flow = candidate.flow
        number = self._ids.next(now_ms) if call is None else call.execution
        verdict = QUEUE
        if way is None or way.start_ms is None:
            verdict = self._lane(flow.name).admit(number, key)
        starts = verdict.admission is Admission.START and (way is None or not way.deferred)
        over = starts and candidate.straight is not None  # as far as can be foreseen
        if flow.name in self._listening():
            self._hearing.began(flow.name)
        row = Execution(
            id=number,
            root=number,
            flow=flow.name,
            version=flow.version,
            event=event,
            trigger=candidate.trigger.id,
            key=key,
            state=State.OK if over else State.QUEUED,
            created_ms=now_ms,
            started_ms=now_ms if starts else None,
            finished_ms=now_ms if over else None,
            epoch=self._epoch,
            depth=depth,
            parent=None if call is None else call.parent,
        )
        if way is not None:
            write.taken += way.taken(number)
            if way.start_ms is not None:
                return self._delayed.put(write, row, way.start_ms, now_ms)
            if verdict.admission is Admission.START and way.deferred:
                weft.deferred.append((flow.name, number))
        if verdict.supersede is not None:
            self._hearing.superseded(verdict.supersede, weft)
            end = End(verdict.supersede, State.SKIPPED, None, now_ms, (), reason="superseded")
            write.ends.append(end)
        if starts:
            begun = self._runner.begin(row, candidate, decision.names, write)
            weft.started.append(begun)
            if begun.stage.emissions:
                emissions, begun.stage.emissions = begun.stage.emissions, []
                weft.plans.extendleft(reversed(self._plans(emissions)))
        elif verdict.admission is not Admission.SKIP:
            write.executions.append(NewExecution(row, ()))
        else:
            skipped = replace(row, state=State.SKIPPED, reason="busy", finished_ms=now_ms)
            write.executions.append(NewExecution(skipped, ()))
        if verdict.cancel is not None:
            weft.replaced.append(verdict.cancel)
        return number
