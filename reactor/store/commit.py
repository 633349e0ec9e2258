"""One transaction at a time on the writing connection, and what its failure means.

What is certain: SQLite reports a full disk (SQLITE_FULL) for a page or a frame that it could not
write, which is before the commit mark was complete; after a rollback that succeeded nothing of the
transaction is there, so the same rows are written again once there is room. The same holds for
values that SQLite refuses, and for files in blobs/ that find no room, as both come before COMMIT.

What is not: any other error, for a frame that was written but not synchronised may or may not be
there after a power cut. Then nothing more is written and the daemon must stop.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from sqlite3 import Connection
from typing import Any

from reactor.errors import StorageFailed
from reactor.store.batch import Batch
from reactor.store.blobs import Blobs
from reactor.store.codec import column
from reactor.store.disk import Space
from reactor.store.retention import delete, oldest
from reactor.store.statements import ManyRows
from reactor.store.wal import Log

Failpoint = Callable[[str], None]
# With fewer free pages than this in the database the oldest history has to go.
_ENOUGH_FREE_PAGES = 256
_ROW_BYTES = 1024  # of work that does not say


class DiskFull(Exception):
    """There was no room and nothing was written: the same may be tried again."""


class Commits:
    """The writing connection; in one thread at a time, which need not be the same one."""

    def __init__(
        self,
        connection: Connection,
        blobs: Blobs,
        space: Space,
        *,
        epoch: int,
        unwanted_rows: int,
        failpoint: Failpoint,
    ) -> None:
        self.store_bytes = 0
        self._connection = connection
        self._log = Log(connection)
        self._blobs = blobs
        self._space = space
        self._epoch = epoch
        self._unwanted_rows = unwanted_rows
        self._failpoint = failpoint
        self._sequence = epoch << 32  # so that records of a later boot come later

    def new_batch(self) -> Batch:
        """An empty batch whose records follow all earlier ones."""
        return Batch(
            self._blobs,
            epoch=self._epoch,
            sequence=self._sequence,
            unwanted_rows=self._unwanted_rows,
        )

    def commit(self, batch: Batch) -> None:
        """Store a batch, all or nothing.

        Raises DiskFull when nothing was written, StorageFailed when that is not certain.
        """
        self._sequence = batch.sequence
        with self._judged():
            self._blobs.settle()
            plan = batch.plan()
            self._failpoint("files are written")
            try:
                self._apply(plan)
            except (UnicodeEncodeError, OverflowError):
                # Text that is not Unicode, a number of more than 64 bits: rare, so not looked for
                # in every value before.
                self._apply([(rows, [column(value) for value in values]) for rows, values in plan])
            self._blobs.remove(batch.removed)
            self._log.committed(batch.bytes)
            self._look()

    def prepare(self, batch: Batch) -> bool:
        """Put a batch's rows into a transaction that only waits for `complete`.

        False, with nothing done, when there are files to write first or anything goes wrong:
        `commit` then does and judges all of it.
        """
        if self._blobs.unsettled:
            return False
        self._sequence = batch.sequence
        connection = self._connection
        with self._judged():
            self._failpoint("files are written")
        try:
            connection.execute("BEGIN IMMEDIATE")
            for rows, values in batch.plan():
                rows.run(connection, values)
        except Exception:  # noqa: BLE001  it comes again in `commit`, where it is judged
            with suppress(sqlite3.Error):
                connection.rollback()
            return False
        return True

    def complete(self, batch: Batch) -> None:
        """Commit what was prepared; raises as `commit` does."""
        with self._judged():
            try:
                self._failpoint("before the commit")
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._failpoint("after the commit")
            self._blobs.remove(batch.removed)
            self._log.committed(batch.bytes)
            self._look()

    def perform(self, work: Callable[[Connection], Any]) -> Any:
        """The result of other work on this connection; raises as `commit` does."""
        with self._judged():
            before = self._connection.total_changes
            result = work(self._connection)
            self._log.committed(_ROW_BYTES * (self._connection.total_changes - before))
            self._look()
            return result

    def remedies(self) -> Iterator[None]:
        """Make room on a full disk, one way after the other; try again after each.

        First the log is written back and its room given to the disk, for which the ballast may
        have to go, then a chunk of the oldest history.
        """
        self._space.look()
        ways = (self._write_back, self._space.release, self._write_back, self._delete_oldest)
        for remedy in ways:
            with suppress(DiskFull):
                if remedy():
                    yield

    def measure(self, connection: Connection) -> None:
        """Look at the disk and the size of the store; lay in the ballast where there is room."""
        self._space.look()
        self._space.lay_in()
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        self.store_bytes = (pages - free) * size + self._blobs.bytes

    def close(self) -> None:
        """Give up the connection; without a transaction of its own."""
        self._connection.close()

    def _write_back(self) -> bool:
        with self._judged():
            return self._log.empty()

    def _delete_oldest(self) -> bool:
        free = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free >= _ENOUGH_FREE_PAGES:
            return False
        with self._judged():
            chunk = oldest(self._connection)
            with transaction(self._connection):
                count, files = delete(self._connection, chunk, epoch=self._epoch)
            self._blobs.remove(files)
        return count > 0

    def _apply(self, plan: list[tuple[ManyRows, list[Any]]]) -> None:
        if not plan:
            return
        with transaction(self._connection):
            for rows, values in plan:
                rows.run(self._connection, values)
            self._failpoint("before the commit")
        self._failpoint("after the commit")

    def _look(self) -> None:
        if self._space.stale:
            self.measure(self._connection)

    @contextmanager
    def _judged(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code == sqlite3.SQLITE_FULL and not self._connection.in_transaction:
                raise DiskFull from error
            raise _failed(error) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull from error
            raise _failed(error) from error


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Commit at the end; roll back, if SQLite did not do it itself, when anything fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _failed(error: Exception) -> StorageFailed:
    return StorageFailed(
        f"a commit failed ({error}): whether it is on disk is unknown, so nothing more is written; "
        "look at the disk and start again, senders repeat what was not acknowledged"
    )
