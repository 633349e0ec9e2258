"""Collects the problems of one file, each with its place and its source line."""

from collections.abc import Iterable
from typing import Literal

from reactor.loading.values import At, Value
from reactor.problem import Place, Problem

LONGEST_SNIPPET = 160
Severity = Literal["error", "warning", "note"]


class Report:
    """The problems of a file so far."""

    def __init__(self, file: str, text: str = "") -> None:
        self.file = file
        self.lines = text.splitlines()
        self._found: dict[tuple[int, int, str], Problem] = {}

    @property
    def errors(self) -> int:
        """How many of the problems are errors."""
        return sum(problem.severity == "error" for problem in self._found.values())

    @property
    def failed(self) -> bool:
        """Whether there is an error among the problems."""
        return self.errors > 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems in the order of their places, each once."""
        return tuple(sorted(self._found.values(), key=_position))

    def place(self, where: Value | At) -> Place:
        """Where a value stands."""
        at = where if isinstance(where, At) else where.at
        return Place(self.file, at.line, at.column)

    def line(self, number: int) -> str:
        """A line of the file, from 1; empty where there is none."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def error(self, where: Value | At, message: str, *, repaired: str | None = None) -> None:
        """Something that must be mended before the flow loads."""
        self.add(where, message, "error", repaired)

    def warning(self, where: Value | At, message: str, *, repaired: str | None = None) -> None:
        """Something that is probably not meant."""
        self.add(where, message, "warning", repaired)

    def note(self, where: Value | At, message: str, *, repaired: str | None = None) -> None:
        """Something worth knowing."""
        self.add(where, message, "note", repaired)

    def add(
        self, where: Value | At, message: str, severity: Severity, repaired: str | None = None
    ) -> None:
        """One problem; the same one at the same place is kept once."""
        at = where if isinstance(where, At) else where.at
        snippet = self.line(at.line) or None
        width = at.width if snippet is None else min(at.width, len(snippet) - at.column + 1)
        if snippet is not None and len(snippet) > LONGEST_SNIPPET:
            snippet = snippet[:LONGEST_SNIPPET] + "…"
            width = min(width, max(1, LONGEST_SNIPPET - at.column))
        problem = Problem(
            place=self.place(at),
            message=message,
            severity=severity,
            snippet=snippet,
            width=max(1, width),
            repaired=repaired,
        )
        self._found.setdefault((at.line, at.column, message), problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take over problems found elsewhere."""
        for problem in problems:
            key = (problem.place.line, problem.place.column, problem.message)
            self._found.setdefault(key, problem)

    def forget_line(self, number: int) -> None:
        """Drop what was said about a line, because something better follows."""
        self._found = {key: found for key, found in self._found.items() if key[0] != number}

    def with_text(self, at: At, text: str) -> str:
        """The line on which something stands, with other text in its place, without indentation."""
        line = self.line(at.line)
        end = at.end_column - 1 if at.end_line == at.line else len(line)
        return (line[: at.column - 1] + text + line[end:]).strip()


def _position(problem: Problem) -> tuple[int, int]:
    return problem.place.line, problem.place.column
