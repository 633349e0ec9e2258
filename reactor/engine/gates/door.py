"""Between gates and intake: how an execution begins that went through gates."""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from reactor.engine.plan import Plan, Weft
from reactor.engine.router import Decision, Router
from reactor.model.event import Started
from reactor.store.gated import Taken


class Way(Struct, frozen=True, kw_only=True):
    """How an execution that went through gates begins.

    `facts` and the group are what it takes along. A `deferred` one starts from the store, because
    its events are not at hand. `start_ms` is when a throttle lets it start, 0 that it drops it.
    """

    facts: Mapping[str, Any] = {}
    group: int | None = None
    first: int = 0
    last: int = 0
    deferred: bool = False
    start_ms: int | None = None

    def taken(self, execution: int) -> list[Taken]:
        """What is stored of it, if anything."""
        if not self.facts and self.group is None:
            return []
        return [Taken(execution, self.group, self.first, self.last, self.facts)]


class Starts(Protocol):
    """What puts executions into a write."""

    def start(
        self, weft: Weft, plan: Plan, decision: Decision, event: int, way: Way | None = None
    ) -> Started:
        """Start what an event started, and know its identity."""
        ...

    def admit(
        self,
        weft: Weft,
        decision: Decision,
        event: int,
        *,
        now_ms: int,
        depth: int,
        way: Way | None = None,
    ) -> int:
        """Put a new execution into the write; its number."""
        ...

    def recognise(
        self,
        weft: Weft,
        plan: Plan,
        decision: Decision,
        event: int,
        started: tuple[Started, ...] = (),
    ) -> None:
        """Know the identity of an event under `dedup` from now on."""
        ...


class Door(Protocol):
    """What the house asks of intake: both put executions into one write."""

    router: Router
    open: bool

    @property
    def starter(self) -> Starts:
        """What puts executions into a write."""
        ...

    def wants(self, plan: Plan, decision: Decision) -> bool:
        """Whether a trigger wants an event, which is no repeat under its `dedup`."""
        ...

    def carry_out(self, weft: Weft) -> None:
        """Weave in what the executions emit, and submit."""
        ...
