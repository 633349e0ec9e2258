"""The write-ahead log is written back in time; a disk that fails meanwhile is not kept quiet."""

import asyncio
import sqlite3

import pytest

from reactor.errors import StorageFailed
from reactor.store.sqlite import open_sqlite
from reactor.store.wal import Log
from tests.store.made import Failing, an_id, refuse, started, stored


@pytest.mark.parametrize("threads", [False, True])
async def test_the_log_does_not_grow_for_ever(tmp_path, clock, threads):
    """However much is committed, the log is about as long as it may be."""
    store = await open_sqlite(tmp_path / "state", on_failure=refuse, clock=clock, threads=threads)
    store._commits._log.limit_bytes = 400 << 10
    sizes = []
    for number in range(1, 400):
        await stored(store, started(an_id(number)))
        sizes.append((tmp_path / "state" / "reactor.db-wal").stat().st_size)

    await store.close(clean=True)
    assert max(sizes) < 2 << 20
    assert max(sizes) == max(sizes[:100])


def test_no_room_for_it_is_the_next_commit_s_business():
    """The commit before it is on disk whatever becomes of it."""
    failing = Failing(sqlite3.SQLITE_FULL)
    log = Log(failing, limit_bytes=1)

    log.committed(10)

    assert failing.asked == 1


async def test_a_disk_that_fails_there_stops_the_store(tmp_path, clock):
    """Nothing is lost, but who goes on would never notice."""
    failures: asyncio.Queue[StorageFailed] = asyncio.Queue()
    store = await open_sqlite(
        tmp_path / "state", on_failure=failures.put_nowait, clock=clock, threads=False
    )
    store._commits._log = Log(Failing(sqlite3.SQLITE_IOERR), limit_bytes=1)

    store.submit(started(an_id(1)), pytest.fail)
    failure = await asyncio.wait_for(failures.get(), 10)

    assert "made to fail" in str(failure)
    with pytest.raises(StorageFailed):
        await store.close(clean=False)
