"""The schema's version: makes a new database, brings an old one forward, refuses a newer one."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from sqlite3 import Connection

from reactor.errors import BadConfig

# MIGRATIONS[n] is the script that makes version n + 2 from version n + 1; schema.sql is always the
# newest version.
_WAITS = (
    "CREATE TABLE waits (name TEXT NOT NULL, key TEXT NOT NULL, execution INTEGER NOT NULL,"
    " path TEXT NOT NULL, PRIMARY KEY (name, key, execution, path)) WITHOUT ROWID;"
    "CREATE TABLE heard (name TEXT NOT NULL, key TEXT NOT NULL, event INTEGER NOT NULL,"
    " PRIMARY KEY (name, key, event)) WITHOUT ROWID;"
    "CREATE INDEX heard_event ON heard (event)"
)
_GATES = """
CREATE TABLE gates (
    flow TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    gate TEXT NOT NULL,
    key TEXT NOT NULL,
    state BLOB NOT NULL,
    due_ms INTEGER,
    event INTEGER,
    PRIMARY KEY (flow, "trigger", gate, key)
) WITHOUT ROWID;
CREATE INDEX gates_due ON gates (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX gates_event ON gates (event) WHERE event IS NOT NULL;
CREATE TABLE held (
    "group" INTEGER NOT NULL,
    place INTEGER NOT NULL,
    event INTEGER NOT NULL,
    name TEXT,
    PRIMARY KEY ("group", place)
) WITHOUT ROWID;
CREATE INDEX held_event ON held (event);
CREATE TABLE taken (
    execution INTEGER PRIMARY KEY,
    "group" INTEGER,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    facts BLOB NOT NULL
);
CREATE INDEX taken_group ON taken ("group") WHERE "group" IS NOT NULL;
CREATE TABLE judged (
    event INTEGER NOT NULL,
    flow TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (event, flow, "trigger")
) WITHOUT ROWID;
DROP INDEX executions_due;
CREATE INDEX executions_due ON executions (due_ms) WHERE state IN (0, 2) AND due_ms IS NOT NULL;
"""
MIGRATIONS: tuple[str, ...] = (_WAITS, _GATES)


def migrate(
    connection: Connection,
    before: Callable[[int], None] | None = None,
    *,
    schema: str | None = None,
    migrations: Sequence[str] = MIGRATIONS,
) -> None:
    """Bring the database to the newest version, each step in a transaction of its own.

    `before` is called with the old version first, to make a copy. A crash in between leaves a
    database of some version in between, from which the next boot goes on.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    newest = len(migrations) + 1
    if version > newest:
        raise BadConfig(
            f"the store has schema version {version}, this Reactor knows up to {newest}: "
            "run the newer Reactor, or use another state folder"
        )
    if version == 0:
        _step(connection, schema if schema is not None else _newest_schema(), newest)
        return
    if version < newest and before is not None:
        before(version)
    for number in range(version, newest):
        _step(connection, migrations[number - 1], number + 1)


def _newest_schema() -> str:
    return files("reactor.store").joinpath("schema.sql").read_text()


def _step(connection: Connection, script: str, version: int) -> None:
    # One script, so that a crash leaves either all of it or nothing; user_version included.
    connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {version}; COMMIT;")
