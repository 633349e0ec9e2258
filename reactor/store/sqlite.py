"""The store on SQLite: one writing thread, reading ones beside it, or all of it without threads."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from reactor.clock import Clock
from reactor.errors import StorageFailed
from reactor.failpoints import reach
from reactor.model.execution import State
from reactor.store import (
    FlowFile,
    Identity,
    Open,
    Pressure,
    StateValue,
    Version,
    Write,
    reads,
)
from reactor.store.blobs import Blobs
from reactor.store.boot import Booted, boot, connect_to_read, copy_database, find_damage
from reactor.store.codec import column, encode
from reactor.store.commit import Commits, Failpoint, transaction
from reactor.store.disk import Folder, Space, fails, unreadable
from reactor.store.ears import SqliteEars, delete_unheard
from reactor.store.gates import SqliteGates
from reactor.store.history import SqliteHistory
from reactor.store.reader import Reader
from reactor.store.retention import Chunk, delete, delete_expired, oldest, past_its_time
from reactor.store.rows import identity_of
from reactor.store.writer import Writer

_IDENTITY = (
    "SELECT scope, identity, event, executions, digest, until_ms FROM identities"
    " WHERE scope = ? AND identity = ?"
)
OnFailure = Callable[[StorageFailed], None]


def _pass(place: str) -> None:
    """A failpoint at which nothing fails."""


async def open_sqlite(
    folder: Path,
    *,
    on_failure: OnFailure,
    clock: Clock,
    unwanted_rows: int = 10_000,
    threads: bool = True,
    failpoint: Failpoint = _pass,
) -> "SqliteStore":
    """Open a state folder, making it if need be, and count the boot.

    Raises BadConfig when another process has it or a newer Reactor made it, StorageFailed when it
    is damaged. Without `threads` everything happens on the event loop, in an order that depends
    on nothing but the loop. `failpoint` is called at places of each commit: `files are written`,
    `before the commit`, `after the commit`.
    """
    if threads:
        opened, blobs, booted = await asyncio.to_thread(_open_folder, folder)
    else:
        opened, blobs, booted = _open_folder(folder)
    return SqliteStore(
        booted,
        blobs,
        Space(folder, clock),
        opened,
        clock=clock,
        on_failure=on_failure,
        unwanted_rows=unwanted_rows,
        threads=threads,
        failpoint=failpoint,
    )


async def open_memory(
    *,
    on_failure: OnFailure,
    clock: Clock,
    unwanted_rows: int = 10_000,
    failpoint: Failpoint = _pass,
) -> "SqliteStore":
    """The same store in memory, without threads: what it holds is gone when it is closed."""
    blobs = Blobs(None)
    return SqliteStore(
        boot(None, blobs),
        blobs,
        Space(None, clock),
        None,
        clock=clock,
        on_failure=on_failure,
        unwanted_rows=unwanted_rows,
        threads=False,
        failpoint=failpoint,
    )


def _open_folder(path: Path) -> tuple[Folder, Blobs, Booted]:
    folder = Folder(path)
    try:
        blobs = Blobs(folder.blobs)
        return folder, blobs, boot(folder, blobs)
    except BaseException:
        folder.close()
        raise


class SqliteStore:
    """`Store` over one database; `history` is its `History`.

    `after_failure` says whether the last run of this folder ended because the disk failed.
    """

    def __init__(
        self,
        booted: Booted,
        blobs: Blobs,
        space: Space,
        folder: Folder | None,
        *,
        clock: Clock,
        on_failure: OnFailure,
        unwanted_rows: int,
        threads: bool,
        failpoint: Failpoint,
    ) -> None:
        self._epoch = booted.epoch
        self._last_id = booted.last_id
        self.after_failure = booted.after_failure
        self._on_failure = on_failure
        self._blobs = blobs
        self._folder = folder
        self._clock = clock
        self._after_event = 0  # where `prune` goes on looking at events
        self._commits = Commits(
            booted.connection,
            blobs,
            space,
            epoch=booted.epoch,
            unwanted_rows=unwanted_rows,
            failpoint=failpoint,
        )
        self._commits.measure(booted.connection)
        self._writer = Writer(self._commits, space, self._failed, threaded=threads)
        # Without threads a commit never is half done when somebody reads: one connection for all.
        self._lookup = booted.connection
        self._reader = Reader(booted.connection, thread=None, owned=False)
        # For what may take long: lists, and the choice of what goes. The engine must not wait.
        self._people = self._reader
        if threads and folder is not None:
            self._lookup = connect_to_read(folder.database)
            self._reader = Reader.of_file(folder.database, "store-reader")
            self._people = Reader.of_file(folder.database, "store-history")
        self.ears = SqliteEars(self._lookup, self._reader, blobs, self._writer.fail)
        self.gates = SqliteGates(self._lookup, self._reader, self._writer.fail)
        self._threads = threads
        self._connection = booted.connection
        self.history = SqliteHistory(self._people, blobs, lambda: self._commits.store_bytes)

    @property
    def epoch(self) -> int:
        """How many times this state was opened."""
        return self._epoch

    @property
    def last_id(self) -> int:
        """The highest id that was stored before this boot."""
        return self._last_id

    def submit(self, write: Write, done: Callable[[], None] | None = None) -> None:
        """Queue rows for the next group commit; `done` after it is on disk."""
        self._writer.submit(write, done)

    def known(
        self,
        names: Sequence[tuple[str, str]],
        done: Callable[[list[Identity | None]], None],
    ) -> None:
        """Look up identities among committed rows at once; those past their time are unknown."""
        try:
            found = [self._identity(scope, identity) for scope, identity in names]
        except sqlite3.Error as error:
            self._writer.fail(unreadable(error))
            return
        done(found)

    def pressure(self) -> Pressure:
        """How much waits for the disk, from memory."""
        return self._writer.pressure()

    def observe(self, hear: Callable[[float], None]) -> None:
        """Tell somebody how many Writes each commit from now on holds."""
        self._writer.observe = hear

    def when_stalled(self, hear: Callable[[], None]) -> None:
        """Tell somebody, again and again, that what was submitted waits for room on the disk."""
        self._writer.stalled = hear

    async def position(self, instance: str) -> Any:
        """The last position of a source instance, or None."""
        return await self._reader.run(reads.position, instance)

    async def places(self, instance: str) -> dict[str, Any]:
        """The positions that a source instance keeps by name."""
        return await self._reader.run(reads.places, instance)

    async def set_position(self, instance: str, value: Any) -> None:
        """Move a source instance by hand; None forgets it."""
        self.submit(Write(positions=[(instance, value)]))
        await self._writer.perform(_nothing)  # its turn comes after that commit

    async def open_executions(
        self, states: Sequence[State], *, after: int, limit: int, older_epoch: bool = False
    ) -> list[Open]:
        """Open executions in order of id, a page at a time."""
        return await self._reader.run(
            reads.open_executions,
            self._blobs,
            states,
            after=after,
            limit=limit,
            before_epoch=self._epoch if older_epoch else None,
        )

    async def load(self, executions: Sequence[int]) -> list[Open]:
        """These executions with events and journals, in order of id."""
        return await self._reader.run(reads.load, self._blobs, executions)

    async def backlog(
        self, flow: str, *, after: int, limit: int, key: str | None = None
    ) -> list[tuple[int, str | None]]:
        """(id, key) of queued executions of a flow, in order of id."""
        return await self._reader.run(reads.backlog, flow, after=after, limit=limit, key=key)

    async def delayed(self, flow: str) -> list[tuple[int, int]]:
        """(id, due_ms) of queued executions of a flow that have a due time, in order of id."""
        return await self._reader.run(reads.delayed, flow)

    async def open_keys(self, flow: str) -> list[tuple[int, str | None, State]]:
        """(id, key, state) of running and waiting executions of a flow, in order of id."""
        return await self._reader.run(reads.open_keys, flow)

    async def held_keys(self, flow: str) -> list[tuple[int, str | None]]:
        """(id, key) of failed executions of a flow whose dead letter nobody retried or dropped."""
        return await self._reader.run(reads.held_keys, flow)

    async def due(self, before_ms: int, *, limit: int) -> list[tuple[int, int]]:
        """(due_ms, id) of open executions due at or before a time, earliest first."""
        return await self._reader.run(reads.due, before_ms, limit=limit)

    async def next_due(self) -> int | None:
        """The earliest due time of all open executions."""
        return await self._reader.run(reads.next_due)

    async def open_counts(self) -> dict[str, dict[State, int]]:
        """For each flow how many executions are open, by state."""
        return await self._reader.run(reads.open_counts)

    async def state_values(self) -> list[StateValue]:
        """All values of `state` that have not run out."""
        return await self._reader.run(reads.state_values, self._clock.now_ms())

    async def versions(self, hashes: Sequence[str] | None = None) -> list[Version]:
        """Stored flow versions: the named ones, or those that open executions are pinned to."""
        return await self._reader.run(reads.versions, hashes)

    async def files(self) -> list[FlowFile]:
        """The last good text of each flow file."""
        return await self._reader.run(reads.flow_files)

    async def meta(self, key: str) -> Any:
        """A small value of the daemon's own, or None."""
        return await self._reader.run(reads.meta, key)

    async def prune(
        self, *, ok_before: Mapping[str, int], failed_before: Mapping[str, int], now_ms: int
    ) -> int:
        """Delete one chunk of what is past its time; how many rows went."""
        chunk, self._after_event = await self._people.run(
            past_its_time,
            ok_before=ok_before,
            failed_before=failed_before,
            after_event=self._after_event,
        )
        expired: int = await self._writer.perform(partial(_expire, now_ms=now_ms))
        return expired + (0 if chunk.empty else await self._delete(chunk))

    async def shrink(self, max_bytes: int) -> int:
        """Delete one chunk of the oldest ended executions if the store is larger than this."""
        await self._writer.perform(self._commits.measure)
        if self._commits.store_bytes <= max_bytes:
            return 0
        chunk = await self._people.run(oldest)
        return 0 if chunk.empty else await self._delete(chunk)

    async def backup(self, target: Path) -> None:
        """Write a consistent copy: a folder that opens as a store of its own.

        Raises UsageError when the folder holds a store already.
        """
        if self._folder is None or not self._threads:
            copy_database(self._connection, self._blobs, target)
        else:
            # A connection of its own: a copy takes long, and reads must not wait for it.
            await asyncio.to_thread(_copy_file, self._folder.database, self._blobs, target)

    async def check(self) -> str | None:
        """What is wrong with the database, or None; reads all of it, beside all other work."""
        if self._folder is None or not self._threads:
            return find_damage(self._connection)
        return await asyncio.to_thread(_check_file, self._folder.database)

    async def close(self, *, clean: bool) -> None:
        """Commit what waits, checkpoint, and mark the stop as clean.

        Raises StorageFailed when what waits cannot be committed; the folder is free all the same.
        """
        try:
            if self._threads:
                for reader in (self._reader, self._people):
                    await asyncio.to_thread(reader.close)
            await self._writer.close(partial(_finish, clean=clean))
        finally:
            if self._threads:
                self._lookup.close()
            if self._folder is not None:
                self._folder.close()

    def _failed(self, error: StorageFailed) -> None:
        if self._folder is not None and fails(error.__cause__):
            self._folder.note_failure()
        self._on_failure(error)

    async def _delete(self, chunk: Chunk) -> int:
        def work(connection: Connection) -> int:
            with transaction(connection):
                count, files = delete(connection, chunk, epoch=self._epoch)
                reach("before history goes")
            self._blobs.remove(files)
            return count

        count: int = await self._writer.perform(work)
        return count

    def _identity(self, scope: str, identity: str) -> Identity | None:
        try:
            row = self._lookup.execute(_IDENTITY, (scope, identity)).fetchone()
        except UnicodeEncodeError:
            row = self._lookup.execute(_IDENTITY, (column(scope), column(identity))).fetchone()
        if row is None or (row[5] is not None and row[5] <= self._clock.now_ms()):
            return None
        return identity_of(row)


def _nothing(connection: Connection) -> None:
    """A chore that only takes its turn."""


def _expire(connection: Connection, *, now_ms: int) -> int:
    with transaction(connection):
        return delete_expired(connection, now_ms) + delete_unheard(connection)


def _finish(connection: Connection, *, clean: bool) -> None:
    reach("before the clean mark")
    with transaction(connection):
        connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('store.clean', ?)", (encode(clean),)
        )
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        # No room for it: the next boot reads the log.


def _check_file(database: Path) -> str | None:
    with closing(connect_to_read(database)) as connection:
        return find_damage(connection)


def _copy_file(database: Path, blobs: Blobs, target: Path) -> None:
    with closing(connect_to_read(database)) as connection:
        copy_database(connection, blobs, target)
