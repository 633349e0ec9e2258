"""Commits that fail: what is certain is tried again, what is not stops the store for ever."""

import asyncio
import errno
import sqlite3
from typing import Any

import pytest

from reactor.errors import StorageFailed
from reactor.model.execution import State
from reactor.store import Query, Write
from reactor.store.sqlite import open_sqlite
from tests.store.made import Failing, an_event, an_id, refuse, started, stored

ONE, TWO = an_id(1), an_id(2)
LARGE = "x" * (2 << 20)


@pytest.fixture(params=[False, True], ids=["inline", "threaded"])
def reopen(request, tmp_path, clock):
    """Opens the same folder, with and without threads."""

    def open_(**values):
        settings = {"on_failure": refuse, "clock": clock, "threads": request.param, **values}
        return open_sqlite(tmp_path / "state", **settings)

    return open_


class Faults:
    """Raises an error at a place in a commit, as often as it was told to."""

    def __init__(self) -> None:
        self.left = 0
        self.place = ""
        self.error: Exception = OSError(errno.EIO, "made to fail")

    def __call__(self, place: str) -> None:
        if place == self.place and self.left:
            self.left -= 1
            raise self.error


@pytest.mark.parametrize(
    ("place", "there"),
    [("files are written", False), ("before the commit", False), ("after the commit", True)],
)
async def test_a_failed_commit_stops_the_store(reopen, place, there):
    """It is reported once, and nobody waiting is answered, whether or not it is on disk."""
    failures: asyncio.Queue[StorageFailed] = asyncio.Queue()
    faults = Faults()
    store = await reopen(on_failure=failures.put_nowait, failpoint=faults)
    await stored(store, started(ONE))
    faults.place, faults.left = place, 1

    store.submit(started(TWO), pytest.fail)
    failure = await asyncio.wait_for(failures.get(), 10)
    store.submit(started(an_id(3)), pytest.fail)
    with pytest.raises(StorageFailed):
        await store.set_position("a", 1)
    with pytest.raises(StorageFailed):
        await store.close(clean=True)

    assert "whether it is on disk is unknown" in str(failure)
    assert failures.empty()
    store = await reopen()
    found = [one.id for one in reversed(await store.history.executions(Query()))]
    after_failure = store.after_failure
    await store.close(clean=True)
    assert found == ([ONE, TWO] if there else [ONE])
    assert after_failure
    store = await reopen()
    await store.close(clean=True)
    assert not store.after_failure


async def test_who_waits_for_a_chore_hears_of_the_failure(reopen):
    """A question that stood behind the failed commit ends with the error."""
    failures: asyncio.Queue[StorageFailed] = asyncio.Queue()
    faults = Faults()
    store = await reopen(on_failure=failures.put_nowait, failpoint=faults)
    faults.place, faults.left = "before the commit", 1

    store.submit(started(ONE))
    with pytest.raises(StorageFailed):
        await asyncio.wait_for(store.set_position("a", 1), 10)

    with pytest.raises(StorageFailed):
        await store.close(clean=True)
    assert failures.qsize() == 1


async def test_a_disk_that_cannot_be_read_is_noted_too(reopen):
    """The next run knows that no execution ended this one."""
    failures: asyncio.Queue[StorageFailed] = asyncio.Queue()
    store = await reopen(on_failure=failures.put_nowait)
    store.gates._lookup = Failing(sqlite3.SQLITE_IOERR)

    store.gates.find([("flow", "trigger", "gate", "key")], pytest.fail)
    failure = await asyncio.wait_for(failures.get(), 10)

    assert str(failure) == "the store cannot be read: made to fail"
    with pytest.raises(StorageFailed):
        await store.close(clean=True)
    store = await reopen()
    await store.close(clean=True)
    assert store.after_failure


async def test_an_error_of_our_own_stops_the_store_too(reopen):
    """A row of the wrong form is a bug: it is reported, not lost in a thread."""
    failures: asyncio.Queue[StorageFailed] = asyncio.Queue()
    store = await reopen(on_failure=failures.put_nowait)

    broken: Any = "no event"
    store.submit(Write(events=[broken]), pytest.fail)
    failure = await asyncio.wait_for(failures.get(), 10)

    with pytest.raises(StorageFailed):
        await store.close(clean=True)
    assert "the store's writer failed: AttributeError" in str(failure)
    store = await reopen()
    await store.close(clean=True)
    assert not store.after_failure, "an execution may be to blame, not the disk"


async def test_a_full_disk_is_waited_for(reopen):
    """Rows that found no room are stored, in order, once there is some."""
    store = await reopen()
    await stored(store, started(ONE))
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    heard: list[int] = []
    all_heard = asyncio.Event()
    for number in range(2, 200):
        store.submit(
            Write(events=[an_event(an_id(number), "x" * 1000)]),
            lambda number=number: heard.append(number),
        )
    store.submit(Write(), all_heard.set)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(all_heard.wait(), 0.05)
    waiting = store.pressure().rows
    store._connection.execute("PRAGMA max_page_count = 100000")
    await asyncio.wait_for(all_heard.wait(), 10)

    assert heard == list(range(2, 200))
    assert waiting == 198
    assert len(await store.history.events(Query(limit=999))) == 199
    await store.close(clean=True)


async def test_a_full_disk_lets_the_ballast_go(reopen, tmp_path):
    """The ballast is there from the start, and makes room at the last moment."""
    faults = Faults()
    store = await reopen(failpoint=faults)
    ballast = tmp_path / "state" / "ballast"
    laid_in = ballast.exists()
    faults.place, faults.left = "before the commit", 2
    faults.error = OSError(errno.ENOSPC, "no room")

    await stored(store, started(ONE))

    assert (laid_in, ballast.exists()) == (True, False)
    await store.close(clean=True)


async def test_a_full_database_loses_its_oldest_history(reopen, tmp_path):
    """With no ballast left, ended executions make room for new ones; open ones stay."""
    store = await reopen()
    (tmp_path / "state" / "ballast").unlink()
    for number in range(400):
        store.submit(started(an_id(number), State.RUNNING if number < 10 else State.OK))
    await stored(store, Write())
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")

    for number in range(400, 500):
        store.submit(started(an_id(number), State.OK))
    await stored(store, Write())

    left = {one.id for one in await store.history.executions(Query(limit=999))}
    await store.close(clean=True)
    assert {an_id(number) for number in [*range(10), *range(400, 500)]} <= left
    assert an_id(10) not in left


async def test_a_full_disk_is_not_waited_for_when_closing(reopen):
    """Close says what is not stored instead of hanging."""
    failures: asyncio.Queue[StorageFailed] = asyncio.Queue()
    faults = Faults()
    store = await reopen(on_failure=failures.put_nowait, failpoint=faults)
    faults.place, faults.left = "before the commit", 1 << 60
    faults.error = OSError(errno.ENOSPC, "no room")
    store.submit(started(ONE), pytest.fail)

    with pytest.raises(StorageFailed, match="the disk is full"):
        await asyncio.wait_for(store.close(clean=True), 10)

    store = await reopen()
    assert await store.history.executions(Query()) == []
    await store.close(clean=True)


async def test_a_large_value_that_finds_no_room_is_tried_again(reopen, tmp_path):
    """The file of a value may be written twice; the row comes once."""
    faults = Faults()
    store = await reopen(failpoint=faults)
    faults.place, faults.left = "files are written", 1
    faults.error = OSError(errno.ENOSPC, "no room")

    await stored(store, Write(events=[an_event(ONE, LARGE)]))

    event = await store.history.event(ONE)
    await store.close(clean=True)
    assert event.data == LARGE


async def test_free_room_is_seen_without_a_commit(reopen, clock):
    """Intake that was refused learns of new room although nothing is stored meanwhile."""
    store = await reopen()
    store._writer._space.free_bytes = 0
    clock.ms += 1001

    store.pressure()
    await store.set_position("a", 1)

    assert store.pressure().free_bytes > 0
    await store.close(clean=True)


async def test_the_writer_is_the_only_one_who_writes(tmp_path, clock):
    """The connections of readers cannot."""
    store = await open_sqlite(tmp_path, on_failure=refuse, clock=clock)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._lookup.execute("DELETE FROM events")

    await store.close(clean=True)
