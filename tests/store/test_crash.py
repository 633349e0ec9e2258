"""What is on disk when nobody said goodbye."""

import subprocess
import sys
from pathlib import Path

import pytest

from reactor.model.execution import State
from reactor.store import Record, Write
from reactor.store.sqlite import open_sqlite
from tests.store.made import an_entry, an_event, an_id, refuse, started, stored

ROOT = Path(__file__).parents[2]
ONE, TWO = an_id(1), an_id(2)
LARGE = "x" * (2 << 20)


@pytest.mark.parametrize("lines", [40, 400, 1500])
async def test_what_was_answered_survives_kill_9(tmp_path, clock, lines):
    """Every row whose done was called is there; every execution has its event and its journal."""
    said = killed_after(tmp_path / "state", lines)

    store = await open_sqlite(tmp_path / "state", on_failure=refuse, clock=clock)

    found = {one.execution.id: one for one in await store.load(said["accepted"])}
    await store.close(clean=True)
    assert found.keys() >= set(said["accepted"])
    assert all(one.event.data == {"id": id_} for id_, one in found.items())
    assert all(found[id_].execution.state is State.OK for id_ in said["ended"])
    assert all(len(found[id_].journal) == 1 for id_ in said["ended"])


async def test_a_killed_process_leaves_no_lock(tmp_path, clock):
    """The next process has the folder at once, with a higher epoch."""
    killed_after(tmp_path, 5)

    store = await open_sqlite(tmp_path, on_failure=refuse, clock=clock)

    epoch = store.epoch
    await store.close(clean=True)
    assert epoch == 2


async def test_files_that_no_row_names_are_swept(tmp_path, clock):
    """A file of a commit that never came to be goes at the next boot; named ones stay."""
    store = await open_sqlite(tmp_path, on_failure=refuse, clock=clock, threads=False)
    await stored(store, Write(events=[an_event(ONE, LARGE)]), started(TWO))
    await stored(store, Write(records=[Record(TWO, (an_entry("do.0", LARGE),))]))
    await store.close(clean=False)
    blobs = tmp_path / "blobs"
    named = {path.name for path in blobs.iterdir()}
    for name in ("event-99", "journal-99", "steps-99-1", f"steps-{TWO}-9", "event-98.new"):
        (blobs / name).write_bytes(b"left over")

    store = await open_sqlite(tmp_path, on_failure=refuse, clock=clock, threads=False)

    await store.close(clean=True)
    assert {path.name for path in blobs.iterdir()} == named
    assert len(named) == 2


def killed_after(folder: Path, lines: int) -> dict[str, list[int]]:
    """What a filling process said before it was killed in the middle of its work."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.store.filler", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            heard = [process.stdout.readline() for _ in range(lines)]
        finally:
            process.kill()
        heard += process.stdout.readlines()
    said: dict[str, list[int]] = {"accepted": [], "ended": []}
    for line in heard:
        word, _, id_ = line.strip().partition(" ")
        said[word].append(int(id_))
    return said
