"""What a programme of the proof measured, as lines for people and as a table for the manual."""

import os
import platform
import sqlite3
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct


class Figures(Struct):
    """One run of a programme: what it counted, in the order in which it is told."""

    programme: str
    numbers: dict[str, Any]
    secs: float = 0.0

    def line(self) -> str:
        """All in one line."""
        told = ", ".join(f"{name} {shown(value)}" for name, value in self.numbers.items())
        return f"{self.programme}: {told} ({self.secs:.0f} s)"


def shown(value: Any) -> str:
    """A number as people read it."""
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def machine() -> str:
    """On what this was measured."""
    model = "unknown processor"
    about = Path("/proc/cpuinfo")
    if about.exists():
        found = [line for line in about.read_text().splitlines() if line.startswith("model name")]
        model = found[0].partition(": ")[2] if found else model
    return (
        f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release()}, "
        f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    )


def table(every: list[Figures]) -> str:
    """The runs as a Markdown table."""
    rows = [f"On {machine()}:", "", "| programme | result | time |", "|---|---|---|"]
    for one in every:
        told = ", ".join(f"{name} {shown(value)}" for name, value in one.numbers.items())
        rows.append(f"| {one.programme} | {told} | {one.secs:.0f} s |")
    return "\n".join(rows)
