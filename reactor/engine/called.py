"""The other side of a call: the event that starts a called flow, or the reason it did not start."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from reactor.engine.inputs import checked
from reactor.engine.plan import Plan
from reactor.engine.router import Candidate, Surroundings, judge, view_of
from reactor.engine.words import Emission
from reactor.errors import UsageError
from reactor.ids import id_text
from reactor.model.execution import Execution, Failure, State
from reactor.model.flow import Flow
from reactor.store import NewExecution


def plan_call(
    emission: Emission,
    flows: Mapping[str, Flow],
    calls: Mapping[str, Candidate],
    around: Surroundings,
    now_ms: int,
) -> Plan:
    """What one called flow makes of its call; its conditions are asked as for any event."""
    call, received = emission.call, emission.received
    assert call is not None  # noqa: S101 - the caller looked
    refusal: Failure | None = None
    flow, candidate = flows.get(call.flow), calls.get(call.flow)
    if flow is not None:
        try:
            received = replace(received, data=checked(flow, received.data))
        except UsageError as error:
            refusal = Failure(step=None, kind="type", message=str(error))
    view = view_of(received, source="call", event_id=id_text("evt", emission.id), time_ms=now_ms)
    decisions = []
    if candidate is not None and refusal is None:
        decisions = list(judge(candidate, view, around, now_ms))
    plan = Plan("call", received, emission.id, now_ms, now_ms, view, decisions, [])
    plan.call = call
    plan.refusal = refusal
    return plan


def not_started(plan: Plan, flow: Flow | None, epoch: int) -> NewExecution | None:
    """The execution of a call that starts nothing: who called finds in it why."""
    call = plan.call
    if call is None or flow is None:
        return None
    reason: Any = "the flow is paused or disabled"
    if plan.decisions:
        reason = plan.decisions[0].reason or plan.decisions[0].verdict
    row = Execution(
        id=call.execution,
        root=call.execution,
        flow=flow.name,
        version=flow.version,
        event=plan.id,
        trigger="call",
        key=None,
        state=State.SKIPPED if plan.refusal is None else State.FAILED,
        reason=reason if plan.refusal is None else None,
        created_ms=plan.now_ms,
        finished_ms=plan.now_ms,
        epoch=epoch,
        depth=plan.received.depth,
        parent=call.parent,
        error=plan.refusal,
    )
    return NewExecution(row, ())
