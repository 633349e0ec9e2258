"""One received event between routing and the commit, and the one write it becomes part of."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from reactor.engine.identities import Known, Name
from reactor.engine.making import Passed, Running
from reactor.engine.router import Decision
from reactor.engine.words import Calling
from reactor.model.event import Event, Receipt, Received
from reactor.model.execution import Failure
from reactor.store import Identity, StateValue, Write
from reactor.store.gated import GateName, GateRow


class Plan(Struct):
    """What is known of an event; `known` are its names that were there before (None: not asked).

    `repeats` is the first one of an event that `dedup` recognised. `call` is there when one flow
    was called, `refusal` when its inputs were wrong. `gated` says that gates have to decide, over
    their `rows`; what they changed is stored, and flows that hold it are `held`.
    """

    instance: str
    received: Received
    id: int
    now_ms: int
    time_ms: int
    view: dict[str, Any]
    decisions: list[Decision]
    names: list[Name]
    known: Known | None = None
    receipt: Receipt | None = None
    repeats: Identity | None = None
    call: Calling | None = None
    refusal: Failure | None = None
    gated: bool = False
    rows: Mapping[GateName, GateRow | None] = {}
    changed: bool = False
    held: list[str] = []

    @property
    def source(self) -> str:
        """The word of the source."""
        return self.instance.partition(":")[0]

    def event(self, id_: int, data: Any) -> Event:
        """The row of the event, or of a part of it under its own id."""
        received = self.received
        return Event(
            id_,
            self.source,
            self.instance,
            self.now_ms,
            self.time_ms,
            received.type,
            received.key,
            received.depth,
            data,
            received.fields,
        )


class Weft(Struct):
    """One write in the making: plans still to be settled, and executions that begin with it.

    `replaced` are executions to be cancelled, because newer ones take their place, `deferred` those
    that begin from the store; `stirred` wait for something that comes with it, `remembered` is what
    the commit makes visible.
    """

    write: Write
    plans: deque[Plan]
    started: list[Running | Passed]
    replaced: list[int] = []
    stirred: list[int] = []
    deferred: list[tuple[str, int]] = []
    remembered: list[StateValue] = []


def dedup_name(decision: Decision) -> Name:
    """The name under which `dedup` of a trigger remembers an event."""
    candidate = decision.candidate
    return f"dedup:{candidate.flow.name}:{candidate.trigger.id}", decision.dedup or ""
