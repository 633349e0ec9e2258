"""`state.NAME` and `state.NAME[key]`: what executions share, as last stored and as last decided."""

import heapq
from typing import Any

from reactor.store import StateValue


class SharedState:
    """Two views of the same values.

    `committed` is what expressions read: it follows the disk. `latest` is what the next `set`
    builds on: it holds what was decided but is not on disk yet, so concurrent executions never lose
    an update. Both change in place: whoever keeps what they read keeps a `detached` copy.
    """

    def __init__(self) -> None:
        self.committed: dict[str, Any] = {}
        self.latest: dict[str, Any] = {}
        self._committed = _View(self.committed)
        self._latest = _View(self.latest)

    def load(self, values: list[StateValue]) -> None:
        """Start from what the store has."""
        for value in values:
            self._committed.put(value)
            self._latest.put(value)

    def decide(self, value: StateValue) -> list[StateValue]:
        """Take a new value into `latest`; what comes back is submitted in this turn of the loop.

        A name has either one value or one for each key: the other kind goes.
        """
        gone = self._latest.replaced_by(value)
        for old in gone:
            self._latest.put(old)
        self._latest.put(value)
        return [*gone, value]

    def commit(self, values: list[StateValue]) -> None:
        """These values are on disk now."""
        for value in values:
            self._committed.put(value)

    def expire(self, now_ms: int) -> None:
        """Forget what has run out."""
        self._committed.expire(now_ms)
        self._latest.expire(now_ms)

    def next_expiry(self) -> int | None:
        """When the next value runs out, in milliseconds."""
        return min(
            (view.expiries[0][0] for view in (self._committed, self._latest) if view.expiries),
            default=None,
        )


def detached(value: Any) -> Any:
    """The same plain value, which later changes of `state` do not reach."""
    if isinstance(value, dict):
        return {name: detached(item) for name, item in value.items()}
    if isinstance(value, list):
        return [detached(item) for item in value]
    return value


class _View:
    """Values by name, which of the names have keys, and when what runs out."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.expiries: list[tuple[int, str, str]] = []
        self._values = values
        self._keyed: set[str] = set()
        self._until: dict[tuple[str, str], int] = {}

    def put(self, value: StateValue) -> None:
        name, key = value.name, value.key
        if value.value is None or value.until_ms is None:
            self._until.pop((name, key), None)
        else:
            self._until[name, key] = value.until_ms
            heapq.heappush(self.expiries, (value.until_ms, name, key))
        if key == "":
            self._keyed.discard(name)
            if value.value is None:
                self._values.pop(name, None)
            else:
                self._values[name] = value.value
        elif value.value is not None:
            if name not in self._keyed:
                self._keyed.add(name)
                self._values[name] = {}
            self._values[name][key] = value.value
        elif name in self._keyed:
            self._values[name].pop(key, None)
            if not self._values[name]:
                self._keyed.discard(name)
                del self._values[name]

    def replaced_by(self, value: StateValue) -> list[StateValue]:
        """The values of the other kind that a new one ends."""
        name = value.name
        if value.key == "":
            keys = list(self._values[name]) if name in self._keyed else []
            return [StateValue(name, key, None) for key in keys]
        if value.value is None or name in self._keyed or name not in self._values:
            return []
        return [StateValue(name, "", None)]

    def expire(self, now_ms: int) -> None:
        while self.expiries and self.expiries[0][0] <= now_ms:
            until_ms, name, key = heapq.heappop(self.expiries)
            if self._until.get((name, key)) == until_ms:
                self.put(StateValue(name, key, None))
