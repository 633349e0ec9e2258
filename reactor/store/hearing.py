"""What open executions wait to hear, and what was heard: the rows behind `wait` and `call`.

The name of what is heard begins with the flow that waits and a tab; the key says which.
"""

from typing import Protocol

from msgspec import Struct

from reactor.model.event import Event


class Wait(Struct, frozen=True, gc=False):
    """A step of an open execution that waits to hear something."""

    name: str
    key: str
    execution: int
    path: str


class Heard(Struct, frozen=True, gc=False):
    """An event that executions waiting under this name and key may take, now or later."""

    name: str
    key: str
    event: int


class Ears(Protocol):
    """Asks for waits and for what was heard, as far as it is committed."""

    def waiting(self, name: str, key: str) -> list[int]:
        """Which executions wait under a name and key; answers at once."""
        ...

    async def waits(self, kind: str) -> list[Wait]:
        """All waits whose name ends with a tab and this kind, in order of their executions."""
        ...

    async def heard(self, name: str, key: str, *, after: int, limit: int) -> list[Event]:
        """Events heard under a name and key, later than an id, in order of acceptance."""
        ...

    async def pinned(self) -> list[str]:
        """The flow versions that wait for events and have open executions."""
        ...

    async def any_open(self, flow: str) -> bool:
        """Whether any execution of a flow is open."""
        ...
