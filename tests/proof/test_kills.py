"""Nothing accepted is lost by kill -9 (the short form; `make proof` has the long one)."""

from pathlib import Path

from tests.proof.kills import kills


def test_nothing_is_lost_by_kills(tmp_path: Path) -> None:
    """Every accepted event ran to its end once, each effect is there, in the order of its key."""
    figures = kills(tmp_path, cycles=12, span_secs=0.3)

    assert figures.numbers["accepted"] > 500
