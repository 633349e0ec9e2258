"""Events that start nothing: repeats, what nobody can take, what nobody wants, and why."""

import asyncio
import logging
from collections.abc import Callable

from reactor.clock import Clock
from reactor.engine.meter import Meter
from reactor.engine.outcomes import Outcomes
from reactor.engine.plan import Plan
from reactor.engine.router import Decision
from reactor.ids import Ids, id_text
from reactor.logs import Limiter
from reactor.model.event import Outcome, Receipt, Received
from reactor.store import Dead, Identity, Unwanted, Write


class Unwelcome:
    """Answers, buries, keeps and tells of them; `unwanted` takes those that nobody wants."""

    def __init__(
        self,
        ids: Ids,
        clock: Clock,
        meter: Meter,
        outcomes: Outcomes,
        unwanted: Callable[[Unwanted], None],
    ) -> None:
        self._ids = ids
        self._meter = meter
        self._outcomes = outcomes
        self._unwanted = unwanted
        self._warnings = Limiter(clock)
        self._log = logging.getLogger("reactor.intake")

    def again(self, received: Received, first: Identity) -> Receipt:
        """The answer to an event that came before."""
        given, had = received.digest, first.digest
        conflict = given is not None and had is not None and given != had
        outcome: asyncio.Future[Outcome] | None = None
        if received.wait and len(first.executions) == 1 and not conflict:
            outcome = self._outcomes.stored(first.executions[0].execution)
        return Receipt(
            first.event, first.executions, duplicate=True, conflict=conflict, outcome=outcome
        )

    def bury(self, write: Write, plan: Plan, loop: str) -> None:
        """An event that no flow can take is kept for a person."""
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

    def keep(self, plan: Plan) -> None:
        """An event that no flow wants, and why none does."""
        self._meter.unwanted += 1
        stopped = {  # what was to start and did not is a repeat under `dedup`
            one.candidate.flow.name: one.reason
            or ("duplicate" if one.verdict == "started" else one.verdict)
            for one in plan.decisions
        }
        self._unwanted(Unwanted(plan.event(plan.id, plan.received.data), stopped))

    def report(self, decision: Decision, event: int) -> None:
        """Count an error in a condition; say it at most once a minute for each flow."""
        flow = decision.candidate.flow.name
        self._meter.decided_wrong(flow, decision.candidate.trigger.id)
        said = "a condition could not be decided, nothing started"
        facts = {"flow": flow, "event_id": id_text("evt", event), "error": decision.reason}
        self._warnings.warning(self._log, flow, said, **facts)
