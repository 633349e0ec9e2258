"""Throttled starts whose time passed while nobody was here: they go on in the pace they had."""

from collections import deque

from reactor.clock import Clock
from reactor.engine.gates.house import House
from reactor.engine.gates.pace import put_off
from reactor.engine.plan import Weft
from reactor.model.execution import State
from reactor.model.flow import Flow
from reactor.store import Change, Store, Write

PAGE = 500


async def keep_pace(store: Store, house: House, clock: Clock) -> None:
    """At boot: what waits for a throttle starts later by as long as the first start is overdue.

    Starts of a flow keep their distances, so no span of time sees more of them than before.
    """
    for flow in house.router.flows.values():
        triggers = [
            trigger.id
            for trigger in flow.triggers
            if trigger.gates is not None and trigger.gates.throttle is not None
        ]
        if triggers:
            await _put_off(store, house, flow, triggers, clock.now_ms())


async def _put_off(
    store: Store, house: House, flow: Flow, triggers: list[str], now_ms: int
) -> None:
    waiting = await store.delayed(flow.name)
    first_ms = min((due_ms for _, due_ms in waiting), default=now_ms)
    late_ms = now_ms - first_ms
    if late_ms <= 0:
        return
    weft = Weft(Write(), deque(), [])
    weft.write.changes = [
        Change(number, State.QUEUED, due_ms + late_ms, "throttled") for number, due_ms in waiting
    ]
    for trigger in triggers:
        kind, after = (flow.name, trigger, "throttle"), None
        while page := await store.gates.rows(kind, after=after, limit=PAGE):
            for row in page:
                after = row.key
                mark = house.rows.get(row.name, {row.name: row})
                if mark is not None:
                    house.rows.put(weft.write, row.name, put_off(mark, first_ms, late_ms))
    house.carry_out(weft)
