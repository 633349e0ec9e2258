"""A user's mistake with its place, and how it is shown."""

from typing import Literal

from msgspec import Struct


class Place(Struct, frozen=True):
    """Where something stands in a file; line and column count from 1."""

    file: str
    line: int
    column: int


class Problem(Struct, frozen=True):
    """One mistake: where it is, what is wrong, and the remedy inside the message.

    `snippet` is the source line and `repaired` the same line (or lines) as it should be, where we
    know.
    """

    place: Place
    message: str
    severity: Literal["error", "warning", "note"] = "error"
    snippet: str | None = None
    width: int = 1
    repaired: str | None = None

    def __str__(self) -> str:
        return f"{self.place.file}:{self.place.line}:{self.place.column}: {self.message}"


def render_text(problem: Problem) -> str:
    """The problem for people: the place, the line, a caret, the repaired line."""
    mark = "" if problem.severity == "error" else f"{problem.severity}: "
    place = problem.place
    lines = [f"{place.file}:{place.line}:{place.column}: {mark}{problem.message}"]
    number = str(place.line)
    gutter = max(len(number), 0 if problem.repaired is None else len("fix"))
    if problem.snippet is not None:
        before = problem.snippet[: place.column - 1]
        indent = "".join("\t" if c == "\t" else " " for c in before)
        lines.append(f"  {number:>{gutter}} | {problem.snippet}")
        lines.append(f"  {'':{gutter}} | {indent}{'^' * max(1, problem.width)}")
    if problem.repaired is not None:
        lines += [f"  {'fix':>{gutter}} | {line}" for line in problem.repaired.splitlines()]
    return "\n".join(lines)
