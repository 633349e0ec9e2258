"""What a command prints: tables for people at a terminal, tabs for pipes, JSON for programs."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Self

import click

_COLOURS = {
    "ok": "green",
    "on": "green",
    "up": "green",
    "started": "green",
    "running": "cyan",
    "waiting": "yellow",
    "queued": "yellow",
    "starting": "yellow",
    "retrying": "yellow",
    "held": "yellow",
    "paused": "yellow",
    "stale": "yellow",
    "warning": "yellow",
    "failed": "red",
    "broken": "red",
    "down": "red",
    "error": "red",
    "refused": "red",
}
_GAP = "  "
_NARROWEST = 12


def on_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    """One object on one line."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def print_table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows under their names on a terminal; elsewhere one row a line, fields between tabs."""
    if not on_terminal():
        for row in rows:
            click.echo("\t".join(one_line(cell) for cell in row))
        return
    width = shutil.get_terminal_size().columns
    for line in table(names, list(rows), width=width):
        click.echo(line, color=coloured())


def table(names: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int) -> list[str]:
    """Lines of a table that fits a width; the last column gives way, with an ellipsis."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [
        max(len(name), *(len(row[at]) for row in cells)) if cells else len(name)
        for at, name in enumerate(names)
    ]
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    widths[-1] = min(widths[-1], max(_NARROWEST, width - before))
    lines = [_GAP.join(_fit(name.upper(), w) for name, w in zip(names, widths, strict=True))]
    lines = [click.style(lines[0].rstrip(), bold=True)]
    for row in cells:
        fitted = [_fit(cell, w) for cell, w in zip(row, widths, strict=True)]
        plain = [cell.rstrip() for cell in fitted]
        fitted[-1] = plain[-1]
        lines.append(
            _GAP.join(
                click.style(cell, fg=_COLOURS[word]) if word in _COLOURS else cell
                for cell, word in zip(fitted, plain, strict=True)
            ).rstrip()
        )
    return lines


def print_fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values of one thing, a line each; what says nothing is left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {paint(one_line(value))}", color=coloured())


def say(text: str) -> None:
    """One line for people."""
    click.echo(text, color=coloured())


def paint(word: str) -> str:
    """The word in the colour of what it means."""
    return click.style(word, fg=_COLOURS[word]) if word in _COLOURS else word


def coloured() -> bool:
    """Whether stdout takes colours: a terminal, and nobody said NO_COLOR."""
    return on_terminal() and not os.environ.get("NO_COLOR")


def when(text: str | None) -> str:
    """A time in local form on a terminal, as it came elsewhere."""
    if text is None or not on_terminal():
        return text or ""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def one_line(value: Any) -> str:
    """A value as one line of text; control characters are shown, not obeyed."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


class Progress:
    """A line on a terminal's stderr that says how far long work is; silent elsewhere."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        self.at(0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def at(self, done: int, of: int | None = None) -> None:
        """Say how much is done."""
        if not self._shown:
            return
        count = "" if not done else f" {done}" if of is None else f" {done} of {of}"
        click.echo(f"\r\x1b[K{self._text}{count} …", nl=False, err=True)
