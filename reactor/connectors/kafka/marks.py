"""Where a partition is read on: our own mark beside what its group has committed."""

from typing import Literal

from msgspec import Struct

Start = Literal["earliest", "latest"]


class Mark(Struct, frozen=True, array_like=True, gc=False):
    """How far a partition is stored: `offset` is the next one that is wanted.

    `left` is what was committed when we last looked: with less than that an operator has reset the
    group. A mark counts in its own cluster only.
    """

    cluster: str
    offset: int
    left: int | None = None


class Bounds(Struct, frozen=True):
    """What a partition has: the first record that is still there, and one behind the last."""

    first: int
    end: int


class Begin(Struct, frozen=True):
    """Where to begin; `gap` says that records went unread, and why."""

    offset: int
    gap: str | None = None


def begin(
    mark: Mark | None, committed: int | None, bounds: Bounds, *, cluster: str, otherwise: Start
) -> Begin:
    """Where a partition goes on, or begins: `otherwise` where neither we nor its group know it."""
    if mark is not None and mark.cluster != cluster:
        mark = None
    if mark is None and committed is None:
        return Begin(bounds.first if otherwise == "earliest" else bounds.end)
    if mark is not None and committed is not None and committed < (mark.left or 0):
        offset = committed  # an operator has reset the group: obey
    elif mark is not None and bounds.end < mark.offset:
        return Begin(bounds.first, f"it ends at {bounds.end}, before our {mark.offset}: made anew")
    else:
        offset = max(-1 if mark is None else mark.offset, -1 if committed is None else committed)
    if offset > bounds.end:
        return Begin(bounds.first, f"it ends at {bounds.end}, before the committed {offset}")
    if offset < bounds.first:
        return Begin(bounds.first, f"{offset} to {bounds.first - 1} were deleted before we read it")
    return Begin(offset)
