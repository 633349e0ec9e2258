"""The table of gates: what each does with an event, and when its time has come.

`loading` puts the gates of a trigger into the order of `WORDS`, which always holds.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from reactor.engine.gates.edges import edge_due, hear_change, hear_edge
from reactor.engine.gates.gather import (
    batch_due,
    burst_due,
    count_due,
    hear_batch,
    hear_burst,
    hear_count,
)
from reactor.engine.gates.meeting import hear_branch, join_due
from reactor.engine.gates.moves import Asked, Item, Mark, Move
from reactor.engine.gates.silence import hear_sound, silence_due
from reactor.engine.gates.windows import hear_window, window_due


class Gate(Struct, frozen=True):
    """What a gate does with an event, and with a due time if it sets any."""

    hear: Callable[[Any, Mark | None, Item, Asked], Move]
    due: Callable[[Any, Mark, Asked], Move] | None = None


WORDS: Mapping[str, Gate] = {
    "changes": Gate(hear_change),
    "becomes": Gate(hear_edge, edge_due),
    "absent": Gate(hear_sound, silence_due),
    "count": Gate(hear_count, count_due),
    "debounce": Gate(hear_burst, burst_due),
    "batch": Gate(hear_batch, batch_due),
    "window": Gate(hear_window, window_due),
    "join": Gate(hear_branch, join_due),
}
