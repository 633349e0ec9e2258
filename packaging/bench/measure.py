"""What a measurement is: samples of interleaved rounds, their median and spread, a row."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct


class Size(Struct, frozen=True):
    """How much is measured."""

    rounds: int
    load_secs: float
    flows_in_process: int
    starts: int
    flows_to_load: int
    history: int
    sleepers: int


FULL = Size(
    rounds=5,
    load_secs=4,
    flows_in_process=20_000,
    starts=7,
    flows_to_load=1000,
    history=200_000,
    sleepers=1_000_000,
)
QUICK = Size(
    rounds=2,
    load_secs=1,
    flows_in_process=4_000,
    starts=2,
    flows_to_load=100,
    history=20_000,
    sleepers=20_000,
)


class Spread(Struct, frozen=True):
    """The median of some samples, and how far they lie apart."""

    median: float
    least: float
    most: float
    samples: int


class Row(Struct, frozen=True, kw_only=True):
    """One line of the table: what was measured, what beside it, and what it should come to.

    `figure` is what is held against the aim: a ratio of the two medians, or the measured itself.
    """

    key: str
    what: str
    unit: str
    measured: Spread
    reference: str = ""
    beside: Spread | None = None
    figure: float
    aim: str
    passed: bool
    facts: dict[str, Any] = {}


def spread(samples: Sequence[float]) -> Spread:
    """The median and the ends of some samples."""
    return Spread(statistics.median(samples), min(samples), max(samples), len(samples))


def interleaved(rounds: int, *measures: Callable[[], float]) -> list[Spread]:
    """Measure one after the other, round by round: a busy moment of the machine meets them all."""
    samples: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, found in zip(measures, samples, strict=True):
            found.append(measure())
    return [spread(found) for found in samples]
