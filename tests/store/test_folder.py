"""The state folder: whose it is, what is in it, and what a bad one says."""

import re
import sqlite3
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from reactor.errors import BadConfig, StorageFailed, UsageError
from reactor.model.execution import State
from reactor.store import End, Query, Record, Write
from reactor.store.boot import connect, keep_copy
from reactor.store.disk import Folder
from reactor.store.migrate import migrate
from reactor.store.sqlite import open_memory, open_sqlite
from tests.store.made import an_entry, an_event, an_id, refuse, started, stored

ONE, TWO = an_id(1), an_id(2)
LARGE = {"text": "x" * (2 << 20), "raw": b"\x00" * 10}

FIRST_SCHEMA = Path(__file__).parents[1] / "proof" / "schemas" / "1.sql"


@pytest.fixture(params=[False, True], ids=["inline", "threaded"])
def reopen(request, tmp_path, clock):
    """Opens the same folder, with and without threads."""

    def open_(**values):
        settings = {"on_failure": refuse, "clock": clock, "threads": request.param, **values}
        return open_sqlite(tmp_path / "state", **settings)

    return open_


async def test_a_store_opens_again_with_all_it_had(reopen):
    """Rows, the highest id and one more boot."""
    store = await reopen()
    await stored(store, started(ONE), started(TWO, State.OK))
    before = await store.load([ONE, TWO])
    await store.close(clean=True)

    store = await reopen()

    after = await store.load([ONE, TWO])
    await store.close(clean=True)
    assert (after, store.epoch, store.last_id) == (before, 2, TWO)


async def test_what_was_submitted_before_close_is_stored(reopen):
    """Close commits what waits."""
    store = await reopen()
    for number in range(3000):
        store.submit(Write(events=[an_event(an_id(number))]))

    await store.close(clean=True)

    store = await reopen()
    sizes = await store.history.sizes()
    await store.close(clean=True)
    assert sizes["events"] == 3000


async def test_a_closed_store_takes_nothing(reopen):
    """After close a submit is never answered, and questions fail."""
    store = await reopen()
    await store.close(clean=True)

    store.submit(started(ONE), pytest.fail)

    with pytest.raises(StorageFailed):
        await store.set_position("a", 1)


async def test_the_folder_is_private(reopen, tmp_path):
    """Only its owner may look in."""
    store = await reopen()

    await store.close(clean=True)

    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


async def test_a_second_opener_is_refused(reopen, tmp_path):
    """One daemon per folder: the error names the process and the way out."""
    store = await reopen()

    with pytest.raises(BadConfig, match=r"in use by process \d+: stop it, or name another"):
        await reopen()

    await store.close(clean=True)
    again = await reopen()
    await again.close(clean=True)


async def test_a_folder_that_cannot_be_made_says_so(tmp_path, clock):
    """A file in its way is a matter of configuration."""
    (tmp_path / "state").write_text("")

    with pytest.raises(BadConfig, match="cannot be used"):
        await open_sqlite(tmp_path / "state", on_failure=refuse, clock=clock)


async def test_the_pragmas_are_set(reopen):
    """Write-ahead log, and every commit synchronised."""
    store = await reopen()
    names = ("journal_mode", "synchronous", "wal_autocheckpoint", "trusted_schema", "mmap_size")

    found = [store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    await store.close(clean=True)
    assert found == ["wal", 2, 0, 0, 0]


async def test_a_clean_stop_leaves_one_file(reopen, tmp_path):
    """The log is written back: the folder can be copied as it is."""
    store = await reopen()
    await stored(store, started(ONE))

    await store.close(clean=True)

    assert not (tmp_path / "state" / "reactor.db-wal").exists()


@pytest.mark.parametrize("damage", [b"not a database" * 100, None])
async def test_a_damaged_database_is_left_alone(reopen, tmp_path, damage):
    """Damage is an error that says what to do; nothing is reset or repaired in silence."""
    database = tmp_path / "state" / "reactor.db"
    store = await reopen()
    for number in range(200):
        store.submit(started(an_id(number)))
    await store.close(clean=False)
    good = database.read_bytes()
    bad = damage or good[:8192] + b"\xff" * 8192 + good[16384:]
    database.write_bytes(bad)

    with pytest.raises(StorageFailed, match=r"nothing was changed; restore a backup .* no backup"):
        await reopen()

    assert database.read_bytes() == bad
    database.write_bytes(good)
    store = await reopen()
    await store.close(clean=True)


async def test_a_newer_schema_is_refused(reopen, tmp_path):
    """An older Reactor does not touch what it does not know."""
    await (await reopen()).close(clean=True)
    database = sqlite3.connect(tmp_path / "state" / "reactor.db")
    database.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(BadConfig, match=r"schema version 99, this Reactor knows up to \d+: run"):
        await reopen()


def test_migrations_run_in_order_after_a_copy():
    """From any version to the newest, each step once, told of the old version first."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    steps = ["ALTER TABLE a ADD COLUMN y; UPDATE a SET y = 2", "ALTER TABLE a ADD COLUMN z"]
    told: list[int] = []
    migrate(database, told.append, schema="CREATE TABLE a (x)", migrations=[])
    database.execute("INSERT INTO a VALUES (1)")

    migrate(database, told.append, migrations=steps[:1])
    migrate(database, told.append, migrations=steps)
    migrate(database, told.append, migrations=steps)

    rows = database.execute("SELECT x, y, z FROM a").fetchall()
    version = database.execute("PRAGMA user_version").fetchone()
    database.close()
    assert (rows, version, told) == ([(1, 2, None)], (3,), [1, 2])


def test_a_store_of_the_first_version_comes_to_the_newest_schema():
    """Migrated or made anew, the tables and indexes are the same."""
    new, old = (sqlite3.connect(":memory:", isolation_level=None) for _ in range(2))
    migrate(new)
    old.executescript(FIRST_SCHEMA.read_text())

    migrate(old)

    made, migrated = (
        {
            name: re.sub(r"\s*--.*|\s+", " ", sql)
            for name, sql in database.execute("SELECT name, sql FROM sqlite_master")
            if sql is not None
        }
        for database in (new, old)
    )
    new.close()
    old.close()
    assert migrated == made


def test_a_migration_that_fails_changes_nothing():
    """A step is all or nothing."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    migrate(database, schema="CREATE TABLE a (x)", migrations=[])

    with pytest.raises(sqlite3.OperationalError):
        migrate(database, migrations=["ALTER TABLE a ADD COLUMN y; SELECT nothing FROM nowhere"])

    database.rollback()
    columns = [row[1] for row in database.execute("PRAGMA table_info(a)")]
    version = database.execute("PRAGMA user_version").fetchone()
    database.close()
    assert (columns, version) == (["x"], (1,))


async def test_a_copy_is_made_before_a_migration(reopen, tmp_path):
    """The copy of an old schema is a store, and named where a damaged one is reported."""
    store = await reopen()
    await stored(store, started(ONE))
    await store.close(clean=True)
    folder = Folder(tmp_path / "state")
    database = connect(str(folder.database))

    keep_copy(database, folder, 1)
    keep_copy(database, folder, 1)

    hint = folder.backup_hint()
    database.close()
    folder.close()
    (copy,) = (tmp_path / "state" / "backups").iterdir()
    assert copy.name == "schema-1-epoch-1"
    assert str(copy) in hint
    copied = connect(str(copy / "reactor.db"))
    count = copied.execute("SELECT count(*) FROM executions").fetchone()
    copied.close()
    assert count == (1,)


async def test_damage_is_found_beside_the_work(reopen, tmp_path):
    """A check of a good store finds nothing; of a damaged one it says what."""
    store = await reopen()
    for number in range(1000):
        store.submit(started(an_id(number)))
    await store.close(clean=True)
    store = await reopen()
    good = await store.check()
    await store.close(clean=True)
    database = tmp_path / "state" / "reactor.db"
    data = database.read_bytes()
    first_leaf = data.index(b"http:/orders") // 4096 * 4096
    database.write_bytes(data[:first_leaf] + b"\xff" * 4096 + data[first_leaf + 4096 :])
    store = await reopen()

    bad = await store.check()

    await store.close(clean=True)
    assert good is None
    assert bad


async def test_large_values_are_files(reopen, tmp_path):
    """Over 1 MiB an event's data and a journal lie beside the database and read as ever."""
    store = await reopen()
    entries = (an_entry("do.0", LARGE),)
    await stored(store, Write(events=[an_event(ONE, LARGE)]), started(TWO))
    await stored(store, Write(records=[Record(TWO, entries)]))
    (open_,) = await store.load([TWO])
    await stored(store, Write(ends=[End(TWO, State.OK, 1, 2, entries)]))
    (ended,) = await store.load([TWO])
    event = await store.history.event(ONE)
    await store.close(clean=True)

    assert event.data == LARGE
    assert (open_.journal[1:], ended.journal) == (entries, entries)
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "state" / "blobs").iterdir())
    assert names == ["event", "journal"]
    assert (tmp_path / "state" / "reactor.db").stat().st_size < 1 << 20


async def test_large_values_go_with_their_rows(reopen, tmp_path, clock):
    """Pruning deletes the files too."""
    store = await reopen()
    execution = started(ONE)
    execution.events = [an_event(ONE, LARGE)]
    end = End(ONE, State.OK, 1, clock.ms, (an_entry("do.0", LARGE),))
    await stored(store, execution, Write(ends=[end]))
    limits = {"": clock.ms + 1}

    gone = await store.prune(ok_before=limits, failed_before=limits, now_ms=clock.ms)

    await store.close(clean=True)
    assert gone == 2
    assert list((tmp_path / "state" / "blobs").iterdir()) == []


async def test_a_missing_file_is_named(reopen, tmp_path):
    """A file deleted by hand is an error with its name, not an empty event."""
    store = await reopen()
    await stored(store, Write(events=[an_event(ONE, LARGE)]))
    (tmp_path / "state" / "blobs" / f"event-{ONE}").unlink()

    with pytest.raises(StorageFailed, match=rf"event-{ONE}', which is not there: restore"):
        await store.history.event(ONE)

    await store.close(clean=True)


async def test_a_backup_is_a_store(reopen, tmp_path, clock):
    """A copy made while the store works opens with rows and large values."""
    store = await reopen()
    await stored(store, Write(events=[an_event(ONE, LARGE)]), started(TWO))
    before = await store.load([TWO])

    await store.backup(tmp_path / "copy")
    await stored(store, started(an_id(3)))

    with pytest.raises(UsageError, match="holds a store already"):
        await store.backup(tmp_path / "copy")
    await store.close(clean=True)
    copy = await open_sqlite(tmp_path / "copy", on_failure=refuse, clock=clock)
    found = await copy.load([TWO, an_id(3)])
    (event,) = await copy.history.events(Query(event=ONE))
    await copy.close(clean=True)
    assert [replace(one, execution=one.execution) for one in found] == before
    assert event.data == LARGE


async def test_a_store_in_memory_can_be_copied_to_disk(tmp_path, clock):
    """What a test kept in memory opens as a store on disk."""
    store = await open_memory(on_failure=refuse, clock=clock)
    await stored(store, started(ONE))

    await store.backup(tmp_path / "copy")

    await store.close(clean=True)
    copy = await open_sqlite(tmp_path / "copy", on_failure=refuse, clock=clock)
    found = await copy.history.executions(Query())
    await copy.close(clean=True)
    assert [one.id for one in found] == [ONE]
