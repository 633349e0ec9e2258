"""Which files have changed and come to rest: what is known, and what was seen since when."""

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from reactor.connectors.file.pattern import Signature

Kind = Literal["created", "modified", "deleted"]


class Change(Struct, frozen=True):
    """A file that is not as it is known, and rests; `now` is None where it is gone."""

    path: str
    kind: Kind
    before: Signature | None
    now: Signature | None


class Settling:
    """Compares what is seen with what is known; a difference counts once it has lasted."""

    def __init__(self, known: dict[str, Signature], settled_secs: float) -> None:
        self._known = known
        self._settled_secs = settled_secs
        self._restless: dict[str, tuple[Signature | None, float]] = {}

    def see(
        self, seen: Mapping[str, Signature], unsure: Callable[[str], bool], now_secs: float
    ) -> list[Change]:
        """The changes that have come to rest, the oldest file first.

        Where one may not be `unsure` about a file that is missing, it is gone.
        """
        known = self._known
        changed: dict[str, Signature | None] = {
            path: found for path, found in seen.items() if known.get(path) != found
        }
        changed |= {path: None for path in known.keys() - seen.keys() if not unsure(path)}
        restless: dict[str, tuple[Signature | None, float]] = {}
        rested: list[Change] = []
        for path, found in changed.items():
            last, since_secs = self._restless.get(path, (None, now_secs))
            if last != found:
                since_secs = now_secs
            restless[path] = found, since_secs
            if now_secs - since_secs >= self._settled_secs:
                rested.append(_change(path, known.get(path), found))
        self._restless = restless
        return sorted(rested, key=_age)

    def due_secs(self, now_secs: float) -> float | None:
        """How long until the next change may have come to rest; None if nothing is changing."""
        since = [since_secs for _, since_secs in self._restless.values()]
        return max(0.0, min(since) + self._settled_secs - now_secs) if since else None

    def wait_on(self, path: str, now_secs: float) -> None:
        """Something still happens to this file: its rest begins now at the earliest."""
        found, _ = self._restless[path]
        self._restless[path] = found, now_secs

    def know(self, change: Change) -> None:
        """From now on the file is known as this change left it."""
        self._restless.pop(change.path, None)
        if change.now is None:
            self._known.pop(change.path, None)
        else:
            self._known[change.path] = change.now

    def __len__(self) -> int:
        return len(self._known)


def _change(path: str, before: Signature | None, now: Signature | None) -> Change:
    kind: Kind = "deleted" if now is None else "created" if before is None else "modified"
    return Change(path, kind, before, now)


def _age(change: Change) -> tuple[int, str]:
    last = change.now or change.before
    return (last.mtime_ns if last is not None else 0), change.path
