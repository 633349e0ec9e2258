"""Seeded histories of the real engine and store (`make proof` tries 2,000 seeds).

A red seed is looked at with `python -m tests.proof seed NUMBER`, which prints its history.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof.faults import FAULTS
from tests.proof.rules import broken
from tests.proof.seeds import caught, seeds
from tests.proof.simulation import Simulation
from tests.proof.virtual import VirtualLoop

ROOT = Path(__file__).parents[2]
DIGEST = """
import logging, sys, tempfile
from pathlib import Path
from tests.proof.simulation import Simulation
logging.disable()
with tempfile.TemporaryDirectory() as folder:
    print(Simulation(Path(folder), 11).run().digest)
"""


def test_every_seed_keeps_the_rules(tmp_path: Path) -> None:
    """Whatever is delayed, fails or dies where: nothing lost, nothing twice, all in order."""
    figures = seeds(tmp_path, range(25))

    assert figures.numbers["crashes"] > 25


def test_a_seed_reproduces_its_history(tmp_path: Path) -> None:
    """The same in this process and in another one, whatever Python's hashes are."""
    here = Simulation(tmp_path, 11).run()

    there = subprocess.run(
        [sys.executable, "-c", DIGEST],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )

    assert there.stdout.strip() == here.digest
    assert broken(here) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_daemon_with_a_fault_is_caught(tmp_path: Path, fault: str) -> None:
    """To acknowledge early, to forget identities or results: the rules notice each."""
    assert caught(tmp_path, FAULTS[fault], range(12)) is not None


def test_made_up_time_passes_at_once() -> None:
    """An hour of waiting is over when nothing else is left to do."""
    loop = VirtualLoop(5.0, lambda: None)

    loop.run_until_complete(asyncio.sleep(3600))

    assert loop.time() == 3605.0
    loop.close()
