"""After a reload: what gates held that are not there any more becomes dead letters."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from reactor.engine.gates.house import House
from reactor.engine.gates.moves import item_of
from reactor.engine.plan import Weft
from reactor.model.flow import Flow
from reactor.store import Store, Write
from reactor.store.gated import GateRow

PAGE = 500
_NOT_HOLDING = frozenset({"count", "becomes"})  # their groups are not what they keep from starting
Kind = tuple[str, str, str]

_LOG = logging.getLogger("reactor.gates")


async def sweep(store: Store, house: House, settled: Callable[[], Awaitable[None]]) -> None:
    """Remove the rows of gates that no flow has, enabled or not; say how many events they held."""
    await settled()
    wanted = {kind for flow in house.router.flows.values() for kind in _kinds(flow)}
    for kind in await store.gates.kinds():
        if kind not in wanted:
            await _remove(store, house, kind)


async def _remove(store: Store, house: House, kind: Kind) -> None:
    flow, trigger, word = kind
    buried, after = 0, None
    while page := await store.gates.rows(kind, after=after, limit=PAGE):
        weft = Weft(Write(), deque(), [])
        for row in page:
            after = row.key
            events, groups = _held(word, row)
            for group in groups:
                if word not in _NOT_HOLDING:
                    events += [held.event for held in await store.gates.held(group)]
                weft.write.let_go.append((group, None))
            house.bury(weft, flow, events, f"the gate {word} of trigger {trigger} was removed")
            house.rows.put(weft.write, row.name, None)
            buried += len(events)
        house.carry_out(weft)
    if buried:
        facts = {"flow": flow, "trigger": trigger, "gate": word, "events": buried}
        _LOG.warning("a gate was removed: what it held became dead letters", extra=facts)


def _kinds(flow: Flow) -> list[Kind]:
    found = []
    for trigger in flow.triggers:
        if trigger.gates is not None:
            words = [word for word, _ in trigger.gates.chain]
            words += ["throttle"] if trigger.gates.throttle is not None else []
            found += [(flow.name, trigger.id, word) for word in words]
    return found


def _held(word: str, row: GateRow) -> tuple[list[int], list[int]]:
    """Events that a gate kept from starting something, and the groups of others."""
    state: dict[str, Any] = row.state
    if word == "becomes":
        rising = state["phase"] == "rising"
        last = [] if state["last"] is None else [state["last"]]
        return ([item_of(state["item"]).event] if rising else []), last
    if word == "window":
        return [], [group for group, *_ in state["open"].values()]
    if word == "join":
        return [], [group for each in state["waiting"].values() for _, group, _ in each]
    if "groups" in state:
        return [], list(state["groups"])
    if word == "debounce" and "item" in state:
        item = item_of(state["item"])
        return ([item.event], []) if item.group is None else ([], [item.group])
    return [], []
