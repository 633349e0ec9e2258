"""`absent`: what fires when nothing comes."""

from msgspec.structs import replace

from reactor.clock import instant
from reactor.engine.gates.moves import Asked, Item, Mark, Move, item_of
from reactor.model.gates import Absent
from reactor.store.gated import Held
from reactor.units import format_duration

NOBODY = Item(event=0, lane=None, size=0, time_ms=0, depth=0)


def expected(config: Absent, key: str, now_ms: int) -> Mark:
    """The row of a key that is waited for from the start."""
    item = replace(NOBODY, lane=key or None, pace=key)
    return Mark({"item": item.kept(), "since": now_ms, "silent": False}, now_ms + config.after_ms)


def hear_sound(config: Absent, mark: Mark | None, item: Item, asked: Asked) -> Move:
    """An event came: the silence counts anew. After one that fired it is the way back."""
    now_ms = asked.now_ms
    state = {"item": item.kept(), "since": now_ms, "silent": False}
    now = Mark(state, now_ms + config.after_ms, item.event)
    says = f"absent: heard; fires after {format_duration(config.after_ms / 1000)} of silence"
    if mark is None or not mark.state["silent"] or not config.recovers:
        return Move(mark=now, says=says)
    facts = {**item.facts, "edge": "recovered", "since": instant(mark.state["since"])}
    before = item_of(mark.state["item"]).event
    if not before:
        return Move(mark=now, passes=(replace(item, facts=facts),))
    group = asked.new_group()
    passes = (replace(item, facts=facts, group=group, first=0, last=0),)
    return Move(mark=now, passes=passes, held=(Held(group, 0, before, "last"),))


def silence_due(config: Absent, mark: Mark, asked: Asked) -> Move:
    """Nothing came for so long: once, until something comes."""
    item, since = item_of(mark.state["item"]), instant(mark.state["since"])
    silent = Mark({**mark.state, "silent": True}, None, mark.event)
    facts = {**item.facts, "edge": "rise", "since": since}
    return Move(mark=silent, passes=(replace(item, facts=facts),))
