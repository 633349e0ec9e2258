"""What the runner asks of intake, which it may not import: they need each other."""

from collections.abc import Callable
from typing import Protocol

from reactor.engine.words import Emission
from reactor.store import Write


class Weaver(Protocol):
    """What the runner asks of intake: events that steps emit go in with the record."""

    def listens(self, instance: str) -> bool:
        """Whether any flow hears this subscription."""
        ...

    def submit(self, write: Write, emissions: list[Emission], done: Callable[[], None]) -> None:
        """Put what the emissions lead to into the write and submit it; `done` after the commit."""
        ...
