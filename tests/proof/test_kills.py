"""Nothing accepted is lost by kill -9 (the short form; `make proof` has the long one)."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.proof import schemas
from tests.proof.judge import read
from tests.proof.kills import kills

ROOT = Path(__file__).parents[2]
PRUNES = """
import asyncio, sys
from pathlib import Path
from reactor.clock import SystemClock
from reactor.failpoints import arm
from reactor.store.sqlite import open_sqlite

async def prune():
    store = await open_sqlite(Path(sys.argv[1]), on_failure=print, clock=SystemClock())
    soon = {"": SystemClock().now_ms() + 60_000}
    await store.prune(ok_before=soon, failed_before=soon, now_ms=0)

arm("before history goes")
asyncio.run(prune())
"""


def test_nothing_is_lost_by_kills(tmp_path: Path) -> None:
    """Every accepted event ran to its end once, each effect is there, in the order of its key."""
    figures = kills(tmp_path, cycles=12, span_secs=0.3)

    assert figures.numbers["accepted"] > 500


def test_a_kill_while_history_goes_takes_nothing(tmp_path: Path) -> None:
    """Rows that were deleted in a transaction are all there again."""
    schemas.restore(schemas.newest(), tmp_path / "state")
    before = read(tmp_path / "state").executions.keys()

    pruned = subprocess.run(
        [sys.executable, "-c", PRUNES, tmp_path / "state"], cwd=ROOT, check=False
    )

    assert pruned.returncode == -signal.SIGKILL
    assert read(tmp_path / "state").executions.keys() == before
