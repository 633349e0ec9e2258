"""Many seeds of the simulation, on all cores."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from msgspec import Struct

from tests.proof.faults import Fault
from tests.proof.report import Figures
from tests.proof.rules import broken
from tests.proof.simulation import Simulation

MEMORY = Path("/dev/shm")
MOST_SHOWN = 20


class Outcome(Struct):
    """What one seed came to."""

    seed: int
    faults: list[str]
    crashes: int = 0
    events: int = 0
    calls: int = 0


def one(folder: Path, seed: int, fault: Fault | None = None) -> Outcome:
    """Live through one seed; what went wrong names it."""
    place = folder / str(seed)
    try:
        seeded = Simulation(place, seed, fault).run()
        outside = seeded.outside
        return Outcome(
            seed, broken(seeded), seeded.crashes, len(outside.messages), len(outside.calls)
        )
    except Exception as error:  # noqa: BLE001  a history that does not end is a finding too
        return Outcome(seed, [f"seed {seed}: {error!r}"])
    finally:
        shutil.rmtree(place, ignore_errors=True)


def seeds(folder: Path, numbers: Iterable[int], *, processes: int = 1) -> Figures:
    """Try seeds; every one keeps the rules, or the assertion prints the seeds that do not."""
    began = time.monotonic()
    outcomes = list(_tried(folder, numbers, processes))
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    shown = "\n".join(faults[:MOST_SHOWN])
    assert not faults, f"{len(faults)} rules broken: python -m tests.proof seed NUMBER\n{shown}"
    numbers_ = {
        "seeds": len(outcomes),
        "crashes": sum(outcome.crashes for outcome in outcomes),
        "events": sum(outcome.events for outcome in outcomes),
        "attempts": sum(outcome.calls for outcome in outcomes),
        "rules broken": 0,
    }
    return Figures("simulation", numbers_, time.monotonic() - began)


def caught(folder: Path, fault: Fault, numbers: Iterable[int]) -> int | None:
    """The first seed that notices a fault, or None."""
    logging.disable(logging.CRITICAL)
    try:
        return next((seed for seed in numbers if one(folder, seed, fault).faults), None)
    finally:
        logging.disable(logging.NOTSET)


def _tried(folder: Path, numbers: Iterable[int], processes: int) -> Iterator[Outcome]:
    if processes == 1:
        logging.disable(logging.CRITICAL)
        try:
            yield from (one(folder, seed) for seed in numbers)
        finally:
            logging.disable(logging.NOTSET)
        return
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else folder) as room,
        ProcessPoolExecutor(
            processes, get_context("spawn"), logging.disable, (logging.CRITICAL,)
        ) as pool,
    ):
        yield from pool.map(partial(one, Path(room)), numbers, chunksize=8)


def cores() -> int:
    """How many processes may work side by side."""
    return os.cpu_count() or 1
