"""From a folder to a database that may be written: check it, bring it forward, count the boot."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection
from urllib.parse import quote

from msgspec import Struct

from reactor.errors import StorageFailed, UsageError
from reactor.failpoints import reach
from reactor.store.blobs import Blobs, sync_folder
from reactor.store.codec import decode, encode
from reactor.store.disk import Folder, fails
from reactor.store.migrate import migrate

# Larger ones would keep the daemon from being ready; a check in the background finds what is bad.
_CHECKED_AT_BOOT = 64 << 20
_PRAGMAS = """
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
    PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 5000;
    PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0;
    PRAGMA secure_delete = FAST; -- some builds overwrite all that is deleted, at twice the writing
"""


class Booted(Struct, frozen=True):
    """The writing connection, and what the database knew when it was opened."""

    connection: Connection
    epoch: int
    last_id: int
    after_failure: bool = False


def boot(folder: Folder | None, blobs: Blobs) -> Booted:
    """Open the database of a folder, or one in memory.

    Raises StorageFailed when it is damaged: it is left as it is. Raises BadConfig when a newer
    Reactor made it.
    """
    if folder is None:
        connection = connect(":memory:")
        migrate(connection)
        return Booted(connection, *_count_boot(connection))
    is_new = not folder.database.exists()
    connection = connect(str(folder.database))
    try:
        with explained(folder):
            connection.executescript(_PRAGMAS)
            _check(connection, folder)
            migrate(connection, before=lambda version: keep_copy(connection, folder, version))
            epoch, last_id = _count_boot(connection)
            after_failure = folder.take_failure()
            reach("the boot is counted")
            _sweep(connection, blobs)
            if is_new:
                sync_folder(folder.path)
    except BaseException:
        connection.close()
        raise
    return Booted(connection, epoch, last_id, after_failure)


def connect(database: str, *, uri: bool = False) -> Connection:
    """A connection whose transactions are ours to begin, for use in one thread at a time."""
    return sqlite3.connect(
        database, isolation_level=None, check_same_thread=False, cached_statements=256, uri=uri
    )


def connect_to_read(database: Path) -> Connection:
    """A connection that cannot write."""
    connection = connect(f"file:{quote(str(database))}?mode=ro", uri=True)
    connection.executescript("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON;")
    return connection


def copy_database(source: Connection, blobs: Blobs, target: Path) -> None:
    """Write a consistent copy into a folder, on disk when it returns.

    The database comes last and by its name at once: a folder with a `reactor.db` is complete.
    """
    database = target / "reactor.db"
    if database.exists():
        raise UsageError(f"'{target}' holds a store already: name a new folder")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    (target / "blobs").mkdir(exist_ok=True)
    unfinished = target / "reactor.db.new"
    unfinished.unlink(missing_ok=True)
    with blobs.held():
        blobs.copy_to(target / "blobs")
        with closing(sqlite3.connect(unfinished)) as copy:
            source.backup(copy)
        # Files that were named between the first look at the folder and the copy.
        blobs.copy_to(target / "blobs")
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.rename(database)
    sync_folder(target)


def keep_copy(connection: Connection, folder: Folder, version: int) -> None:
    """Copy a store whose schema is about to change into its `backups` folder."""
    epoch = _epoch(connection)
    target = folder.backups / f"schema-{version}-epoch-{epoch}"
    if not (target / "reactor.db").exists():
        copy_database(connection, Blobs(folder.blobs), target)


def find_damage(connection: Connection) -> str | None:
    """The first thing that is wrong with the database, or None; reads all of it."""
    try:
        found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else found


@contextmanager
def explained(folder: Folder) -> Iterator[None]:
    """Say what to do when the disk fails, or SQLite finds the database damaged."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if fails(error):
            folder.note_failure()
            raise StorageFailed(
                f"the store '{folder.database}' cannot be opened, the disk fails ({error}): "
                "look at the disk and start again; nothing that was stored has changed"
            ) from error
        raise StorageFailed(
            f"the store '{folder.database}' cannot be opened ({error}): nothing was changed; "
            f"restore a backup into an empty folder, or move this one away to begin anew; "
            f"{folder.backup_hint()}"
        ) from error


def _check(connection: Connection, folder: Folder) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        return
    clean = connection.execute("SELECT value FROM meta WHERE key = 'store.clean'").fetchone()
    if clean and decode(clean[0]):
        return
    if folder.database.stat().st_size >= _CHECKED_AT_BOOT:
        return
    damage = find_damage(connection)
    if damage is not None:
        raise sqlite3.DatabaseError(damage)


def _epoch(connection: Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key = 'store.epoch'").fetchone()
    return int(decode(row[0])) if row else 0


def _count_boot(connection: Connection) -> tuple[int, int]:
    epoch = _epoch(connection) + 1
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT OR REPLACE INTO meta VALUES (?, ?)",
        [("store.epoch", encode(epoch)), ("store.clean", encode(False))],
    )
    connection.execute("COMMIT")
    tables = "SELECT max(id) FROM {}"
    highest = [
        connection.execute(tables.format(table)).fetchone()[0] or 0
        for table in ("events", "executions", "dead", "unwanted")
    ]
    highest.append(connection.execute('SELECT max("group") FROM held').fetchone()[0] or 0)
    return epoch, max(highest)


_NAMED_BY = {
    "event": "SELECT NULL FROM events WHERE id = ? AND body = ?",
    "journal": "SELECT state FROM executions WHERE id = ? AND journal = ?",
    "steps": "SELECT NULL FROM steps WHERE execution = ? AND entries = ?",
}


def _sweep(connection: Connection, blobs: Blobs) -> None:
    """Delete files of commits that never came to be; remember those of open executions."""
    for name in blobs.names():
        kind, _, rest = name.partition("-")
        number = rest.partition("-")[0]
        if kind not in _NAMED_BY or not number.isdigit():
            continue  # not ours
        row = connection.execute(_NAMED_BY[kind], (int(number), name)).fetchone()
        if row is None:
            blobs.remove([name])
        elif kind == "steps" or (kind == "journal" and row[0] < 3):
            blobs.remember(int(number), name)
