"""Gates that make one of many: `count`, `debounce` and `batch`."""

from typing import Any

from msgspec.structs import replace

from reactor.engine.gates.moves import Asked, Item, Mark, Move, item_of
from reactor.model.gates import MOST, Batch, Count, Debounce
from reactor.store.gated import Held
from reactor.units import format_duration

LIST = {"many": "list"}  # the execution sees `events`, and `event` without data


def hear_count(config: Count, mark: Mark | None, item: Item, asked: Asked) -> Move:
    """Fire with the `min`-th event within a sliding time, then count from zero."""
    now_ms = asked.now_ms
    state = mark.state if mark is not None else _fresh(asked)
    state, gone = _forget(state, now_ms - config.within_ms)
    group, place = state["groups"][0], state["first"] + len(state["times"])
    times = [*state["times"], now_ms]
    held = (Held(group, place, item.event),)
    gone += _own_group(item)
    if len(times) >= config.min:
        facts = {**item.facts, "many": "last", "count": len(times)}
        fired = replace(item, facts=facts, group=group, first=state["first"], last=place)
        return Move(mark=None, passes=(fired,), held=held, let_go=tuple(gone))
    return Move(
        mark=Mark({**state, "times": times}, now_ms + config.within_ms),
        says=f"count: {len(times)} of {config.min} within "
        f"{format_duration(config.within_ms / 1000)}",
        held=held,
        let_go=tuple(gone),
    )


def count_due(config: Count, mark: Mark, asked: Asked) -> Move:
    """All of them are too old: nothing is remembered of this key."""
    state, gone = _forget(mark.state, asked.now_ms - config.within_ms)
    if not state["times"]:
        return Move(mark=None, let_go=((state["groups"][0], None),))
    return Move(mark=Mark(state, state["times"][-1] + config.within_ms), let_go=tuple(gone))


def hear_burst(config: Debounce, mark: Mark | None, item: Item, asked: Asked) -> Move:
    """Let one of a burst through: at its beginning, or when it has been quiet."""
    now_ms = asked.now_ms
    since_ms = now_ms if mark is None else mark.state["since"]
    due_ms = now_ms + config.quiet_ms
    if config.max_wait_ms is not None:
        due_ms = min(due_ms, since_ms + config.max_wait_ms)
    quiet = format_duration(config.quiet_ms / 1000)
    if config.leading:
        said = "" if mark is None else f"debounce: less than {quiet} after the one before"
        passes = (item,) if mark is None else ()
        gone = () if mark is None else tuple(_own_group(item))
        return Move(mark=Mark({"since": since_ms}, due_ms), passes=passes, says=said, let_go=gone)
    if config.take == "all":
        return _collect(
            mark, item, asked, due_ms=due_ms, full=MOST, said=f"debounce: held until {quiet} quiet"
        )
    kept, gone = item, ()
    if mark is not None and "item" in mark.state:
        before = item_of(mark.state["item"])
        kept = item if config.take == "last" else before
        gone = tuple(_own_group(before if config.take == "last" else item))
    return Move(
        mark=Mark({"since": since_ms, "item": kept.kept()}, due_ms, kept.event),
        says=f"debounce: held until {quiet} quiet, then the {config.take} one goes on",
        let_go=gone,
    )


def burst_due(config: Debounce, mark: Mark, asked: Asked) -> Move:
    """It has been quiet, or the burst is too long."""
    if "groups" in mark.state:
        return Move(mark=None, passes=(_collected(mark.state),))
    passes = (item_of(mark.state["item"]),) if "item" in mark.state else ()
    return Move(mark=None, passes=passes)


def hear_batch(config: Batch, mark: Mark | None, item: Item, asked: Asked) -> Move:
    """Hold until the batch is full, or its time is over."""
    due_ms = None
    if mark is not None:
        due_ms = mark.due_ms
    elif config.within_ms is not None:
        due_ms = asked.now_ms + config.within_ms
    return _collect(
        mark, item, asked, due_ms=due_ms, full=config.max, bytes_=config.max_bytes, said="batch"
    )


def batch_due(config: Batch, mark: Mark, asked: Asked) -> Move:
    """The time of the batch is over."""
    return Move(mark=None, passes=(_collected(mark.state),))


def _collect(
    mark: Mark | None,
    item: Item,
    asked: Asked,
    *,
    due_ms: int | None,
    full: int,
    said: str,
    bytes_: int | None = None,
) -> Move:
    before = mark.state if mark is not None else {**_fresh(asked), "since": asked.now_ms}
    if "groups" not in before:  # `take` was edited while one was held
        before = {**_fresh(asked), "since": before["since"]}
    count, size = before.get("count", 0), before.get("size", 0) + item.size
    group = before["groups"][0]
    state = {
        "groups": [group],
        "since": before["since"],
        "count": count + 1,
        "size": size,
        "item": item.kept(),
    }
    held, gone = (Held(group, count, item.event),), tuple(_own_group(item))
    if count + 1 >= full or (bytes_ is not None and size >= bytes_):
        return Move(mark=None, passes=(_collected(state),), held=held, let_go=gone)
    says = f"{said}: {count + 1} so far" if said != "batch" else f"batch: {count + 1} of {full}"
    return Move(mark=Mark(state, due_ms), says=says, held=held, let_go=gone)


def _collected(state: dict[str, Any]) -> Item:
    item = item_of(state["item"])
    return replace(
        item,
        facts={**item.facts, **LIST},
        group=state["groups"][0],
        first=0,
        last=state["count"] - 1,
    )


def _fresh(asked: Asked) -> dict[str, Any]:
    return {"groups": [asked.new_group()], "first": 0, "times": []}


def _forget(
    state: dict[str, Any], before_ms: int
) -> tuple[dict[str, Any], list[tuple[int, int | None]]]:
    """The state without what is too old, and the places that nothing needs any more."""
    times, first = state["times"], state["first"]
    old = sum(time_ms <= before_ms for time_ms in times)
    gone: list[tuple[int, int | None]] = [
        (state["groups"][0], first + number) for number in range(old)
    ]
    return {**state, "times": times[old:], "first": first + old}, gone


def _own_group(item: Item) -> list[tuple[int, int | None]]:
    """The group that an item brought and that nothing needs: a later gate makes its own."""
    return [] if item.group is None else [(item.group, None)]
