"""Events handed to a world one by one, with what was decided about each."""

from collections.abc import Iterable, Mapping
from typing import Any

from reactor.clock import instant
from reactor.daemon.why import decisions
from reactor.engine import again
from reactor.engine.approvals import Approvals
from reactor.errors import UsageError
from reactor.loading.given import Given
from reactor.loading.testwords import PersonWords
from reactor.model.event import Event, Receipt, Received
from reactor.model.execution import State
from reactor.model.flow import Flow
from reactor.store import StateValue, Write
from reactor.testing.world import World
from reactor.web.admin.wire import Decision

_OWN = ("data", "type", "key", "id")


async def happen(world: World, flow: Flow, given: Given) -> list[Decision]:
    """Let one thing happen now; what each trigger of the flow decided about its event."""
    if given.start is not None:
        start = given.start
        await again.start(
            world.engine, flow.name, trigger=start.trigger, data=start.data, inputs=start.inputs
        )
        await world.settle()
        return []
    if given.person is not None:
        await _answer(world, flow, given.person)
        return []
    if given.event is None:
        return []
    received = received_of(given.source, given.event)
    decided, _ = await offer(world, given.source, given.instance, received)
    return decided


async def offer(
    world: World, source: str, instance: str, received: Received
) -> tuple[list[Decision], Receipt]:
    """Hand an event over; what each trigger that hears it decided, with the values it saw."""
    now_ms = world.clock.now_ms()
    event = Event(
        0,
        source,
        instance,
        now_ms,
        now_ms if received.time_ms is None else received.time_ms,
        received.type,
        received.key,
        received.depth,
        received.data,
        received.fields,
    )
    # Asked before it happens: afterwards `state` may be another.
    engine = world.engine
    judged = list(decisions(event, engine.intake.router, engine.around, [], {}))
    receipt = (await world.offer(instance, received))[0]
    states = {row.id: row for row in await world.executions()}
    skipped = {
        started.flow: row.reason
        for started in receipt.executions
        if (row := states.get(started.execution)) is not None and row.state is State.SKIPPED
    }
    return [_settled(one, receipt, skipped) for one in judged], receipt


async def remember(world: World, values: Iterable[StateValue]) -> None:
    """Give a world values of `state`."""
    shared = world.engine.shared
    rows = [decided for value in values for decided in shared.decide(value)]
    if rows:
        world.store.submit(Write(states=rows), lambda: shared.commit(rows))
        await world.settle()


async def _answer(world: World, flow: Flow, person: PersonWords) -> None:
    """Let somebody answer the execution that waits for it longest."""
    step = person.approve or person.deny
    approvals = Approvals(world.engine)
    asked = [one for one in await approvals.open() if one.step == step]
    if not asked:
        raise UsageError(f"no execution of flow {flow.name!r} waits for an answer at step {step!r}")
    await approvals.answer(
        asked[0].wait.execution,
        step,
        approved=person.approve is not None,
        by=person.by or "somebody",
        form=person.form,
        message=person.message,
    )
    await world.settle()


def received_of(source: str, fields: Mapping[str, Any]) -> Received:
    """What a source would hand over, from its fields as a test writes them."""
    others = {name: value for name, value in fields.items() if name not in _OWN}
    data = fields.get("data")
    if source == "http":
        data = others.pop("body", data)
        headers = others.get("headers") or {}
        others["headers"] = {str(name).lower(): value for name, value in headers.items()}
        for name in ("query", "path_params"):
            others.setdefault(name, {})
    key, id_ = fields.get("key"), fields.get("id")
    return Received(
        data=data,
        fields=others,
        type=fields.get("type"),
        key=None if key is None else str(key),
        identity=None if id_ is None else str(id_),
    )


def moment(ms: int) -> str:
    """A time as people read it."""
    return f"{instant(ms):%Y-%m-%dT%H:%M:%SZ}"


def _settled(judged: Decision, receipt: Receipt, skipped: Mapping[str, str | None]) -> Decision:
    flow, trigger = judged.flow, judged.trigger
    if judged.decision in ("stopped", "error"):
        return judged
    if receipt.refused_secs is not None:
        return Decision(flow=flow, trigger=trigger, decision="refused")
    if receipt.duplicate:
        return Decision(flow=flow, trigger=trigger, decision="duplicate")
    if flow in skipped:
        return Decision(flow=flow, trigger=trigger, decision="busy", reason=skipped[flow])
    if any(started.flow == flow for started in receipt.executions):
        return Decision(flow=flow, trigger=trigger, decision="started")
    if flow in receipt.held:
        return Decision(flow=flow, trigger=trigger, decision="held")
    return judged
