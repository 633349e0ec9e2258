"""`undo`: what was done is taken back, last first, when the flow fails or is cancelled.

That a step began is in the journal before it runs, so what is to be undone is read from there: the
same for an execution that lives and for one that was made again after a crash.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from reactor.engine.failures import plain
from reactor.engine.ledger import Ledger
from reactor.engine.turns import Block, Ground
from reactor.model.execution import Failure
from reactor.model.flow import AnyStep, Flow, steps_of

Note = Callable[[str, str, Any], None]

# What every step sees; all else was given by a loop around it.
_ROOTS = frozenset(
    {"event", "events", "vars", "steps", "env", "state", "now", "execution", "flow", "error"}
)
_MARKS = re.compile(r"[@~][0-9]+")


class Undoing:
    """Takes steps back one after the other; `push` walks the steps that do it.

    Its entries: `undo` when a step that can be taken back begins, `undone` when it was, with the
    error if that failed.
    """

    def __init__(
        self,
        flow: Flow,
        ledger: Ledger,
        names: dict[str, Any],
        push: Callable[[Block], None],
    ) -> None:
        self._flow = flow
        self._ledger = ledger
        self._names = names
        self._push = push
        self._current = ""
        self.used = any(kind == "undo" for _, kind in ledger.history)
        self._by_path: dict[str, AnyStep] = {}

    def began(self, path: str, names: dict[str, Any], note: Note) -> None:
        """A step that can be taken back begins."""
        if (path, "undo") not in self._ledger.history:
            given = {name: names[name] for name in names if name not in _ROOTS}
            note(path, "undo", given)
            self.used = True

    def pending(self, within: Iterable[str] | None = None, suffix: str = "") -> list[str]:
        """Paths of what is to be taken back, the last that began first.

        `within` are beginnings of paths; only what has the suffix of the loops around is meant.
        """
        if not self.used:
            return []
        entries = self._ledger.entries
        undone = {entry.path for entry in entries if entry.kind == "undone"}
        found = [e.path for e in entries if e.kind == "undo" and e.path not in undone]
        if within is not None:
            begins = tuple(within)
            found = [
                path
                for path in found
                if path.startswith(begins) and _parted(path)[1].startswith(suffix)
            ]
        return found[::-1]

    def run(
        self,
        paths: list[str],
        done: Callable[[], None],
        note: Note,
        above: Ground | None = None,
    ) -> None:
        """Take these back, one after the other; a failure is kept and stops nothing."""
        if not paths:
            self._current = ""
            done()
            return
        path, *rest = paths
        static, suffix = _parted(path)
        self._current = path

        def ended(failure: Failure | None) -> None:
            note(path, "undone", None if failure is None else plain(failure))
            self.run(rest, done, note, above)

        names = {**self._names, **self._given(path), "steps": self._steps(suffix)}
        inside = "" if above is None else above.inside
        ground = Ground(names, suffix, inside, above)
        self._push(Block(self._step(static).undo, ended, ground))

    def stop(self, note: Note) -> None:
        """The one under way says itself that nothing more is to be done for it."""
        note(self._current, "undone", None)
        self._current = ""

    def leave(self, failure: Failure, note: Note) -> None:
        """Take nothing more back; each step that is left failed to be."""
        for path in self.pending():
            note(path, "undone", plain(failure))
        self._current = ""

    def failures(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The steps that could not be taken back: their ids, and why."""
        for entry in self._ledger.entries:
            if entry.kind == "undone" and entry.value is not None:
                yield self._step(_parted(entry.path)[0]).id, entry.value

    def _given(self, path: str) -> dict[str, Any]:
        for entry in self._ledger.entries:
            if entry.kind == "undo" and entry.path == path:
                given: dict[str, Any] = entry.value
                return given
        return {}

    def _steps(self, suffix: str) -> dict[str, Any]:
        """The results that a step with this suffix may read: around it, and of its own rounds."""
        found: dict[str, Any] = {}
        for entry in self._ledger.entries:
            if entry.kind != "done":
                continue
            static, own = _parted(entry.path)
            if suffix.startswith(own) and (not own or suffix[len(own) : len(own) + 1] in "@~"):
                step = self._step(static)
                names = ("output", "status", "error", "attempts")
                found[step.id] = {name: entry.value[name] for name in names}
        return found

    def _step(self, path: str) -> AnyStep:
        if not self._by_path:
            self._by_path = {step.path: step for step in steps_of(self._flow)}
        return self._by_path[path]


def _parted(path: str) -> tuple[str, str]:
    """The place of a step in its flow, and the marks of the loops and attempts around it."""
    found = _MARKS.search(path)
    return (path, "") if found is None else (path[: found.start()], path[found.start() :])
