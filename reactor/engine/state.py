"""`state.NAME` and `state.NAME[key]`: what executions share, as last stored and as last decided."""

import heapq
from typing import Any

from reactor.store import StateValue


class SharedState:
    """Two views of the same values.

    `committed` is what expressions read: it follows the disk. `latest` is what the next `set`
    builds on: it holds what was decided but is not on disk yet, so concurrent executions never lose
    an update.
    """

    def __init__(self) -> None:
        self.committed: dict[str, Any] = {}
        self.latest: dict[str, Any] = {}
        self._until: dict[tuple[str, str], int] = {}
        self._expiries: list[tuple[int, str, str]] = []

    def load(self, values: list[StateValue]) -> None:
        """Start from what the store has."""
        for value in values:
            _put(self.committed, value)
            _put(self.latest, value)
            self._watch(value)

    def decide(self, value: StateValue) -> None:
        """Take a new value into `latest`; it must be submitted in the same turn of the loop."""
        _put(self.latest, value)

    def commit(self, values: list[StateValue]) -> None:
        """These values are on disk now."""
        for value in values:
            _put(self.committed, value)
            self._watch(value)

    def expire(self, now_ms: int) -> None:
        """Forget what has run out."""
        while self._expiries and self._expiries[0][0] <= now_ms:
            until_ms, name, key = heapq.heappop(self._expiries)
            if self._until.get((name, key)) == until_ms:
                del self._until[name, key]
                gone = StateValue(name, key, None)
                _put(self.committed, gone)
                _put(self.latest, gone)

    def next_expiry(self) -> int | None:
        """When the next value runs out, in milliseconds."""
        return self._expiries[0][0] if self._expiries else None

    def _watch(self, value: StateValue) -> None:
        name = (value.name, value.key)
        if value.until_ms is None or value.value is None:
            self._until.pop(name, None)
            return
        self._until[name] = value.until_ms
        heapq.heappush(self._expiries, (value.until_ms, value.name, value.key))


def _put(view: dict[str, Any], value: StateValue) -> None:
    if value.key == "":
        if value.value is None:
            view.pop(value.name, None)
        else:
            view[value.name] = value.value
        return
    keyed = view.get(value.name)
    if not isinstance(keyed, dict):
        keyed = view[value.name] = {}
    if value.value is None:
        keyed.pop(value.key, None)
        if not keyed:
            del view[value.name]
    else:
        keyed[value.key] = value.value
