"""Markdown of the book as text for a terminal, with little styling."""

import re
import textwrap
from collections.abc import Iterator

import click

_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
# Stands for a space at which no line may end.
_UNBROKEN = "\x1f"
_CELLS = re.compile(r"(?<!\\)\|")


def typeset(markdown: str, *, width: int) -> str:
    """The text: headings bold, code coloured, tables aligned, lines wrapped, no marks."""
    return "\n".join(_lines(markdown, width)) + "\n"


def _lines(markdown: str, width: int) -> Iterator[str]:
    rows: list[list[str]] = []
    fenced = False
    for line in markdown.splitlines():
        if line.startswith("|") and not fenced:
            cells = [cell.strip() for cell in _CELLS.split(line)[1:-1]]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                rows.append(cells)
            continue
        yield from _table(rows)
        rows = []
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            yield click.style(f"    {line}", fg="cyan").rstrip()
        elif line.startswith("#"):
            yield click.style(_plain(line.lstrip("# ")), bold=True)
        elif line:
            yield from _paragraph(line, width)
        else:
            yield ""
    yield from _table(rows)


def _table(rows: list[list[str]]) -> Iterator[str]:
    if not rows:
        return
    widths = [max(len(_plain(cell)) for cell in column) for column in zip(*rows, strict=False)]
    for row in rows:
        cells = [
            _inline(cell) + " " * (width - len(_plain(cell)))
            for cell, width in zip(row, widths, strict=False)
        ]
        line = "  ".join(cells).rstrip()
        if line:
            yield f"  {line}"


def _paragraph(line: str, width: int) -> Iterator[str]:
    whole = _CODE.sub(lambda found: found[0].replace(" ", _UNBROKEN), line)
    indent = "  " if line.startswith("- ") else ""
    for part in textwrap.wrap(whole, width, subsequent_indent=indent, break_long_words=False):
        yield _inline(part.replace(_UNBROKEN, " "))


def _inline(text: str) -> str:
    coloured = _CODE.sub(lambda found: click.style(found[1], fg="cyan"), text)
    bold = _BOLD.sub(lambda found: click.style(found[1], bold=True), coloured)
    return bold.replace("\\|", "|")


def _plain(text: str) -> str:
    return _BOLD.sub(r"\1", _CODE.sub(r"\1", text)).replace("\\|", "|")
