"""What goes through gates, what they remember of it, and what they decide. Plain data."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from reactor.store.gated import Held


class Item(Struct, frozen=True, gc=False, kw_only=True):
    """An event on its way: small enough to be kept in the row of a gate that holds it.

    `event` is its number (0: nothing was ever heard of this key), `lane` the key by which its
    execution shares the machine, `pace` the one for `throttle`, `time_ms` its own time for a
    window. `facts` is what gates add to
    `event`; `group` and its places `first` to `last` are events collected with it.
    """

    event: int
    lane: str | None
    size: int
    time_ms: int
    depth: int
    pace: str = ""
    facts: Mapping[str, Any] = {}
    group: int | None = None
    first: int = 0
    last: int = 0

    def kept(self) -> list[Any]:
        """The form in which the row of a gate keeps it."""
        return list(astuple(self))


def item_of(kept: list[Any]) -> Item:
    """An item as a row kept it."""
    event, lane, size, time_ms, depth, pace, facts, group, first, last = kept
    return Item(
        event=event,
        lane=lane,
        size=size,
        time_ms=time_ms,
        depth=depth,
        pace=pace,
        facts=facts,
        group=group,
        first=first,
        last=last,
    )


class Mark(Struct, frozen=True, gc=False):
    """What a gate remembers of one key.

    `state` is plain data, `due_ms` when it has something to do by itself, `event` one that it will
    need again.
    """

    state: dict[str, Any]
    due_ms: int | None = None
    event: int | None = None


class Asked(Struct, frozen=True):
    """What a gate may ask: the names that its expressions see, and for numbers of new groups.

    `branch` is the branch of a join by which the event came.
    """

    names: Mapping[str, Any]
    now_ms: int
    new_group: Callable[[], int]
    branch: str | None = None


class Move(Struct, frozen=True, kw_only=True):
    """What a gate decided: what it remembers now, what goes on, and why the rest does not.

    `changed` is False where nothing need be stored. `late` marks an event whose time is over.
    `over` are events held before that will start nothing, for the same reason.
    """

    mark: Mark | None
    passes: tuple[Item, ...] = ()
    says: str = ""
    changed: bool = True
    late: bool = False
    held: tuple[Held, ...] = ()
    let_go: tuple[tuple[int, int | None], ...] = ()
    over: tuple[int, ...] = ()


def unmoved(mark: Mark | None, says: str) -> Move:
    """Nothing changes, nothing goes on."""
    return Move(mark=mark, says=says, changed=False)
