"""`make proof`: every programme in its full form, one after the other, and a report.

`python -m tests.proof [NAME …]` runs some of them; `seed NUMBER` prints the history of one seed.
"""

import logging
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.proof.disks import full_disk
from tests.proof.drains import drain
from tests.proof.failing import failing_disk
from tests.proof.faults import FAULTS
from tests.proof.kills import kills
from tests.proof.machine import stories
from tests.proof.power import control, cuts
from tests.proof.reloads import reloads
from tests.proof.report import Figures, table
from tests.proof.rules import broken
from tests.proof.seeds import caught, cores, seeds
from tests.proof.simulation import Simulation

Programme = Callable[[Path], Figures | None]


def _faults(folder: Path) -> Figures:
    found = {name: caught(folder, fault, range(50)) for name, fault in FAULTS.items()}
    missed = [name for name, seed in found.items() if seed is None]
    assert not missed, f"nobody noticed {missed}"
    numbers = {f"{name}: caught by seed": seed for name, seed in found.items()}
    return Figures("simulation of faults (must be caught)", numbers)


def _stories(_folder: Path) -> Figures:
    return stories(examples=2000, steps=50)


PROGRAMMES: Mapping[str, Programme] = {
    "kills": lambda folder: kills(folder, cycles=200, span_secs=2.0),
    "power": lambda folder: cuts(folder, images=10_000, runs=10),
    "normal": lambda folder: control(folder, "normal", images=500),
    "off": lambda folder: control(folder, "off", images=500),
    "early": lambda folder: control(folder, "early", images=500),
    "sync": lambda folder: failing_disk(folder, "sync", calls=range(1, 201)),
    "short": lambda folder: failing_disk(folder, "short", calls=range(1, 201)),
    "full": lambda folder: full_disk(folder, times=20),
    "reloads": lambda folder: reloads(folder, times=500),
    "drain": drain,
    "seeds": lambda folder: seeds(folder, range(2000), processes=cores()),
    "faults": _faults,
    "stories": _stories,
}


def main(names: list[str]) -> int:
    """Run the named programmes, or all; print a line for each and the table at the end."""
    if names[:1] == ["seed"]:
        return _show(int(names[1]))
    done: list[Figures] = []
    failed = 0
    for name in names or PROGRAMMES:
        with tempfile.TemporaryDirectory() as place:
            try:
                figures = PROGRAMMES[name](Path(place))
            except AssertionError as error:
                failed += 1
                # With its notes: there hypothesis tells the story.
                _say(f"{name}: FAILED: {''.join(traceback.format_exception(error))}")
                continue
        if figures is None:
            _say(f"{name}: not tried, this user may not mount a disk")
        else:
            done.append(figures)
            _say(figures.line())
    _say(f"\n{table(done)}")
    return 1 if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _show(seed: int) -> int:
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as place:
        seeded = Simulation(Path(place), seed).run()
        _say("\n".join(seeded.trace))
        faults = broken(seeded)
    _say("\n".join(faults) or "it keeps every rule")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
