"""`join`: one event of each branch that belong together, or the news that one did not come."""

from typing import Any

from msgspec.structs import replace

from reactor.engine.gates.moves import Asked, Item, Mark, Move, item_of
from reactor.model.gates import MOST, Join
from reactor.store.gated import Held
from reactor.units import format_duration

Waiting = dict[str, list[list[Any]]]  # by branch: [due, group, item], oldest first


def hear_branch(config: Join, mark: Mark | None, item: Item, asked: Asked) -> Move:
    """Meet the oldest of each other branch, or wait for them.

    Each event waits for itself: it meets once, or its own time runs out.
    """
    waiting: Waiting = {} if mark is None else {k: [*v] for k, v in mark.state["waiting"].items()}
    branch, group = asked.branch or "", asked.new_group()
    row = [asked.now_ms + config.within_ms, group, item.kept()]
    waiting.setdefault(branch, []).append(row)
    own = Held(group, 0, item.event, branch)
    if all(waiting.get(name) for name in config.names):
        met = {name: waiting[name].pop(0) for name in config.names}
        gone = tuple((one[1], None) for one in met.values())
        if config.missing:
            said, events = "join: all came in time", tuple(map(_event, met.values()))
            return Move(mark=_mark(waiting), says=said, held=(own,), let_go=gone, over=events)
        meeting, places = _meet(met, item, asked)
        return Move(mark=_mark(waiting), passes=(meeting,), held=(own, *places), let_go=gone)
    if len(waiting[branch]) > MOST:
        first = waiting[branch].pop(0)
        said, gone = f"join: more than {MOST} wait in {branch}", ((first[1], None),)
        return Move(mark=_mark(waiting), says=said, held=(own,), let_go=gone, over=(_event(first),))
    absent = " and ".join(name for name in config.names if not waiting.get(name))
    within = format_duration(config.within_ms / 1000)
    return Move(mark=_mark(waiting), says=f"join: waits up to {within} for {absent}", held=(own,))


def join_due(config: Join, mark: Mark, asked: Asked) -> Move:
    """The time of the oldest is over: with `missing` it goes on with those that came."""
    waiting: Waiting = {name: [*each] for name, each in mark.state["waiting"].items()}
    held: list[Held] = []
    gone: list[tuple[int, int | None]] = []
    passes: list[Item] = []
    over: list[int] = []
    while (found := _oldest(waiting)) is not None and found[0] <= asked.now_ms:
        late = found[1]
        names = config.names if config.missing else (late,)
        met = {name: waiting[name].pop(0) for name in names if waiting.get(name)}
        gone += [(one[1], None) for one in met.values()]
        if late not in met:  # its branch was edited away
            met, held_by = {}, waiting.pop(late)
            gone += [(one[1], None) for one in held_by]
            over += map(_event, held_by)
        elif config.missing:
            meeting, places = _meet(met, item_of(max(met.values())[2]), asked)
            held += places
            passes.append(meeting)
        else:
            over.append(_event(met[late]))
    return Move(
        mark=_mark(waiting),
        passes=tuple(passes),
        says=f"join: nothing met it within {format_duration(config.within_ms / 1000)}",
        held=tuple(held),
        let_go=tuple(gone),
        over=tuple(over),
    )


def _meet(met: dict[str, list[Any]], item: Item, asked: Asked) -> tuple[Item, list[Held]]:
    group = asked.new_group()
    places = [
        Held(group, number, _event(one), name) for number, (name, one) in enumerate(met.items())
    ]
    facts = {**item.facts, "many": "map"}
    return replace(item, facts=facts, group=group, first=0, last=len(places) - 1), places


def _event(one: list[Any]) -> int:
    return item_of(one[2]).event


def _oldest(waiting: Waiting) -> tuple[int, str] | None:
    return min(((each[0][0], name) for name, each in waiting.items() if each), default=None)


def _mark(waiting: Waiting) -> Mark | None:
    left = {name: each for name, each in waiting.items() if each}
    oldest = _oldest(left)
    return None if oldest is None else Mark({"waiting": left}, oldest[0])
