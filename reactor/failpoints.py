"""Places at which a test may let the daemon die as by kill -9; nothing happens there otherwise."""

import os
import signal
from collections.abc import Mapping

from reactor.errors import BadConfig

# Each place and what is true there. `reactor doctor --failpoints` lists them.
PLACES: Mapping[str, str] = {
    "the boot is counted": "the store is open, its epoch is one higher, nothing was taken up",
    "the open ones are taken up": "their crashes are submitted, none of them runs yet",
    "a request is read": "a webhook is whole, nobody has looked at it",
    "an event is submitted": "it waits for the next commit",
    "before a file gets its name": "a large value is on disk under a name that no row will have",
    "files are written": "large values have their names, their rows are not begun",
    "before the commit": "the rows are in the transaction",
    "after the commit": "the rows are on disk, the event loop does not know",
    "before anyone is told": "the event loop knows of a commit, no source does",
    "one of a commit is told": "the first of those who wait for a commit was told",
    "after an answer": "the answer to a webhook went to its connection",
    "a step begins": "its input is on disk, the action was not called",
    "a step has ended": "the action is done, its result is not on disk",
    "a sleeper wakes": "it was read from the store, its time is not used up yet",
    "before history goes": "old rows are deleted in a transaction that is not committed",
    "flows are read": "changed flow files are in the store, the old flows serve",
    "flows are swapped": "the new flows serve, their sources have not changed",
    "the drain begins": "SIGTERM was heard, nothing was refused yet",
    "nothing runs any more": "the drain is over, the store is open",
    "before the clean mark": "everything is stored, the stop does not count as clean yet",
}

_left: dict[str, int] = {}


def arm(text: str) -> None:
    """Die at the given places: `PLACE:COUNT, …`, the COUNTth time that one is reached.

    Raises BadConfig when a place is unknown or a count is no positive number.
    """
    for one in filter(None, (part.strip() for part in text.split(","))):
        place, _, count = one.partition(":")
        if place not in PLACES or not (count or "1").isdigit() or int(count or 1) < 1:
            message = (
                f"REACTOR_FAILPOINTS: no failpoint {one!r}: write PLACE:COUNT with a PLACE that "
                "`reactor doctor --failpoints` lists"
            )
            raise BadConfig(message)
        _left[place] = int(count or 1)


def reach(place: str) -> None:
    """Die if this is the place and the time."""
    if _left and place in _left:
        _left[place] -= 1
        if not _left[place]:
            os.kill(os.getpid(), signal.SIGKILL)
