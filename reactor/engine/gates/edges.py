"""Gates that watch a value: `changes`, and `becomes` with `for` and `recovers`."""

from typing import Any

from msgspec.structs import replace

from reactor.clock import instant
from reactor.engine.gates.moves import Asked, Item, Mark, Move, item_of, unmoved
from reactor.engine.state import detached
from reactor.model.gates import Becomes, Changes
from reactor.store.gated import Held
from reactor.units import format_duration


def hear_change(config: Changes, mark: Mark | None, item: Item, asked: Asked) -> Move:
    """Fire when the value differs; the first is only remembered.

    With `by` the value is compared with the one that fired last, so that slow drift fires too.
    """
    value = detached(config.of.evaluate(asked.names))
    now = Mark({"value": value})
    if mark is None:
        return Move(mark=now, says=f"changes: {config.of.text} is {value!r}, the first value")
    before = mark.state["value"]
    if not _differs(before, value, config.by):
        return unmoved(mark, f"changes: {config.of.text} is {value!r}, it was {before!r}")
    return Move(mark=now, passes=(replace(item, facts={**item.facts, "previous": before}),))


def _differs(before: Any, value: Any, by: float | None) -> bool:
    if by is None or not _is_number(before) or not _is_number(value):
        return bool(before != value)
    return bool(abs(value - before) >= by)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def hear_edge(config: Becomes, mark: Mark | None, item: Item, asked: Asked) -> Move:
    """Fire on false → true, or when it has stayed true; with `recovers` on the way back too.

    Before the first event it is false. A row is there while it is true: `rising` until `for` is
    over, then `on`, and `falling` while the way back has to stay.
    """
    text, now_ms = config.when.text, asked.now_ms
    true = config.when.test(asked.names)
    if mark is None:
        return _rise(config, item, now_ms) if true else unmoved(None, f"becomes: {text} is false")
    state = mark.state
    if state["phase"] == "rising":
        if true:
            return unmoved(mark, f"becomes: {text} stays true, held by for")
        said = f"becomes: {text} fell back before for was over"
        return Move(mark=None, says=said, over=(item_of(state["item"]).event,))
    back = not true if config.back is None else config.back.test(asked.names)
    if not back:
        if state["phase"] == "falling":
            return Move(
                mark=Mark({**state, "phase": "on", "last": None}, None, mark.event),
                says="recovers: it did not stay so",
                let_go=((state["last"], None),),
            )
        return unmoved(mark, f"becomes: {text} was true before")
    if not config.recovers:
        return Move(mark=None, says=f"becomes: {text} is false again")
    if state["phase"] == "falling":
        return unmoved(mark, "recovers: held by for")
    group = asked.new_group()
    held = (Held(group, 0, item.event, "last"),)
    if config.back_ms:
        return Move(
            mark=Mark(
                {**state, "phase": "falling", "last": group}, now_ms + config.back_ms, mark.event
            ),
            says=f"recovers: held for {format_duration(config.back_ms / 1000)}",
            held=held,
        )
    return Move(mark=None, passes=(_recovered(state, group),), held=held)


def edge_due(config: Becomes, mark: Mark, asked: Asked) -> Move:
    """It stayed so for as long as it must."""
    state = mark.state
    if state["phase"] == "falling":
        if not config.recovers:  # the flow was edited meanwhile
            return Move(mark=None, let_go=((state["last"], None),))
        return Move(mark=None, passes=(_recovered(state, state["last"]),))
    on = Mark({**state, "phase": "on"}, None, mark.event)
    return Move(mark=on, passes=(_risen(item_of(state["item"]), state["since"]),))


def _rise(config: Becomes, item: Item, now_ms: int) -> Move:
    state = {"phase": "on", "item": item.kept(), "since": now_ms, "last": None}
    if not config.for_ms:
        return Move(mark=Mark(state, None, item.event), passes=(_risen(item, now_ms),))
    return Move(
        mark=Mark({**state, "phase": "rising"}, now_ms + config.for_ms, item.event),
        says=f"for: held until it was true for {format_duration(config.for_ms / 1000)}",
    )


def _risen(item: Item, since_ms: int) -> Item:
    return replace(item, facts={**item.facts, "edge": "rise", "since": instant(since_ms)})


def _recovered(state: dict[str, Any], group: int) -> Item:
    item = item_of(state["item"])
    facts = {**item.facts, "edge": "recovered", "since": instant(state["since"])}
    return replace(item, facts=facts, group=group, first=0, last=0)
