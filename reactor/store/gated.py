"""What survives of gates: their rows, the events they hold, and what executions took from them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

GateName = tuple[str, str, str, str]


class GateRow(Struct, frozen=True, gc=False):
    """What a gate of a trigger remembers for one key (key "" when it has none).

    `state` None deletes. `due_ms` is when the gate has something to do by itself, `event` an event
    that it needs later.
    """

    flow: str
    trigger: str
    gate: str
    key: str
    state: Any
    due_ms: int | None = None
    event: int | None = None

    @property
    def name(self) -> GateName:
        """What tells it from all others."""
        return self.flow, self.trigger, self.gate, self.key


class Held(Struct, frozen=True, gc=False):
    """An event in a group that a gate collects; `name` is the branch of a join."""

    group: int
    place: int
    event: int
    name: str | None = None


class Judged(Struct, frozen=True, gc=False):
    """What the gates of a trigger made of a stored event, with the values that decided it."""

    event: int
    flow: str
    trigger: str
    decision: str
    reason: str


class Taken(Struct, frozen=True, gc=False):
    """What an execution took from gates: places `first` to `last` of a group, and plain facts."""

    execution: int
    group: int | None
    first: int
    last: int
    facts: Mapping[str, Any]


class Gates(Protocol):
    """Reads rows of gates; they are written by `Store.submit`."""

    def find(self, names: Sequence[GateName], done: Callable[[list[GateRow | None]], None]) -> None:
        """Look up committed rows by flow, trigger, gate and key; `done` may be called at once."""
        ...

    async def due(
        self, before_ms: int, *, frozen: Sequence[str] = (), limit: int
    ) -> list[tuple[int, GateName]]:
        """(due_ms, name) of rows due at or before a time, earliest first; none of frozen flows."""
        ...

    async def kinds(self) -> list[tuple[str, str, str]]:
        """(flow, trigger, gate) of which there are rows."""
        ...

    async def rows(
        self, kind: tuple[str, str, str], *, after: str | None, limit: int
    ) -> list[GateRow]:
        """Rows of one gate in order of key, a page at a time; `after` is the last key seen."""
        ...

    async def held(self, group: int) -> list[Held]:
        """The events of a group, in order."""
        ...
