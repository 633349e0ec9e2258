"""The journal of one execution as its machine uses it: what was stored, and what is new."""

from collections.abc import Iterable
from typing import Any

from reactor.model.execution import Entry


class Ledger:
    """Entries in order; those it began with can be looked up by path and kind.

    Of these `saved` are stored (None: all).
    """

    __slots__ = ("attempts", "entries", "history", "saved")

    def __init__(self, entries: Iterable[Entry], saved: int | None = None) -> None:
        self.entries: list[Entry] = list(entries)
        self.history: dict[tuple[str, str], Any] = {}
        self.attempts: dict[str, list[Any]] = {}
        self.saved = len(self.entries) if saved is None else saved
        for entry in self.entries:
            if entry.kind == "attempt":
                self.attempts.setdefault(entry.path, []).append(entry.value)
            else:
                self.history[entry.path, entry.kind] = entry.value

    @property
    def fresh(self) -> bool:
        """Whether there are entries since the last call of `unsaved`."""
        return self.saved < len(self.entries)

    def unsaved(self) -> tuple[Entry, ...]:
        """The entries since the last call."""
        fresh = tuple(self.entries[self.saved :])
        self.saved = len(self.entries)
        return fresh
