"""Power cuts, and disks that fail (short forms; `make proof` has the long ones)."""

from pathlib import Path

import pytest

from tests.proof.failing import failing_disk
from tests.proof.power import control, cuts


def test_nothing_acknowledged_is_lost_by_a_power_cut(tmp_path: Path) -> None:
    """Whatever of the unsynced writes survives, each image opens and holds what was answered."""
    figures = cuts(tmp_path, images=200, runs=1, events=250)

    assert figures.numbers["images"] == 200


@pytest.mark.parametrize("variant", ["normal", "off", "early"])
def test_a_daemon_that_promises_too_early_is_caught(tmp_path: Path, variant: str) -> None:
    """`synchronous` NORMAL or OFF, and an acknowledgement before the commit, fail the same test."""
    figures = control(tmp_path, variant, images=40)

    assert figures.numbers["bad images"] > 0


def test_a_failing_folder_ends_the_daemon(tmp_path: Path) -> None:
    """The name of a new store is synced, which SQLite leaves to us: exit 74, then it serves."""
    failing_disk(tmp_path, "folder", calls=[3])


@pytest.mark.parametrize("fault", ["sync", "short"])
def test_a_failing_disk_ends_the_daemon(tmp_path: Path, fault: str) -> None:
    """Exit 74 whichever call fails, at boot too; the next start has all that was acknowledged."""
    failing_disk(tmp_path, fault, calls=[1, 4, 5, 9, 30])
