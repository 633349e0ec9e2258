"""One statement for many rows: a thread that gives up the interpreter once, not once per row.

Each step of a statement releases Python's lock, and taking it back from a busy event loop costs a
whole switch interval. So rows go into `VALUES (…), (…), …` of up to 256, in powers of two, which
keeps the number of different statements small enough to stay prepared.
"""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

_MOST_ROWS = 256


class ManyRows:
    """A statement with `…` where the rows belong, for rows of `width` columns."""

    def __init__(self, text: str, width: int) -> None:
        self.width = width
        head, _, tail = text.partition("…")
        row = f"({', '.join('?' * width)})"
        sizes = [1 << power for power in reversed(range(_MOST_ROWS.bit_length()))]
        self._texts = [(size, f"{head}VALUES {', '.join([row] * size)}{tail}") for size in sizes]

    def run(self, connection: Connection, values: Sequence[Any]) -> None:
        """Execute it for all rows, given as one flat list."""
        start, left = 0, len(values) // self.width
        for size, text in self._texts:
            while left >= size:
                end = start + size * self.width
                connection.execute(text, values[start:end])
                start, left = end, left - size


INSERT_VERSIONS = ManyRows(
    "INSERT INTO flow_versions (hash, flow, document) … ON CONFLICT DO NOTHING", 3
)
USE_VERSIONS = ManyRows(
    "INSERT INTO version_uses (hash, uses, epoch) SELECT * FROM (…) WHERE true"
    " ON CONFLICT DO UPDATE SET uses = uses + excluded.uses, epoch = max(epoch, excluded.epoch)",
    3,
)
PUT_FILES = ManyRows("INSERT OR REPLACE INTO flow_files (path, text) …", 2)
DROP_FILES = ManyRows("DELETE FROM flow_files WHERE path IN (…)", 1)
INSERT_EVENTS = ManyRows(
    "INSERT INTO events (id, source, instance, received_ms, time_ms, type, key, depth, body) …",
    9,
)
PUT_IDENTITIES = ManyRows(
    "INSERT OR REPLACE INTO identities (scope, identity, event, executions, digest, until_ms) …",
    6,
)
PUT_POSITIONS = ManyRows("INSERT OR REPLACE INTO positions (instance, value) …", 2)
DROP_POSITIONS = ManyRows("DELETE FROM positions WHERE instance IN (…)", 1)
INSERT_EXECUTIONS = ManyRows(
    "INSERT INTO executions (id, flow, state, event, version, key, reason, due_ms, started_ms,"
    " finished_ms, epoch, crashes, fixed, error, journal) …",
    15,
)
INSERT_STEPS = ManyRows(
    "INSERT INTO steps (execution, seq, entries) SELECT column1, column2, column3 FROM (…)"
    " WHERE EXISTS (SELECT 1 FROM executions WHERE id = column1 AND state < 3)",
    3,
)
CHANGE_EXECUTIONS = ManyRows(
    "UPDATE executions SET state = new.column2, due_ms = new.column3, reason = new.column4,"
    " started_ms = coalesce(new.column5, started_ms), crashes = coalesce(new.column6, crashes),"
    " epoch = new.column7 FROM (…) AS new"
    " WHERE executions.id = new.column1 AND executions.state < 3",
    7,
)
END_EXECUTIONS = ManyRows(
    "UPDATE executions SET state = new.column2, started_ms = new.column3,"
    " finished_ms = new.column4, reason = new.column5, error = new.column6,"
    " journal = new.column7, due_ms = NULL FROM (…) AS new"
    " WHERE executions.id = new.column1 AND executions.state < 3",
    7,
)
DROP_STEPS = ManyRows("DELETE FROM steps WHERE execution IN (…)", 1)
PUT_STATES = ManyRows("INSERT OR REPLACE INTO state (name, key, value, until_ms) …", 4)
DROP_STATES = ManyRows("DELETE FROM state WHERE (name, key) IN (…)", 2)
PUT_GATES = ManyRows(
    'INSERT OR REPLACE INTO gates (flow, "trigger", gate, key, state, due_ms, event) …', 7
)
DROP_GATES = ManyRows('DELETE FROM gates WHERE (flow, "trigger", gate, key) IN (…)', 4)
INSERT_HELD = ManyRows('INSERT OR REPLACE INTO held ("group", place, event, name) …', 4)
DROP_HELD = ManyRows('DELETE FROM held WHERE ("group", place) IN (…)', 2)
DROP_GROUPS = ManyRows('DELETE FROM held WHERE "group" IN (…)', 1)
INSERT_TAKEN = ManyRows('INSERT INTO taken (execution, "group", first, last, facts) …', 5)
PUT_JUDGED = ManyRows(
    'INSERT OR REPLACE INTO judged (event, flow, "trigger", decision, reason) …', 5
)
PUT_DEAD = ManyRows(
    "INSERT OR REPLACE INTO dead (id, kind, flow, event, execution, reason, created_ms, hidden) …",
    8,
)
HIDE_DEAD = ManyRows("UPDATE dead SET hidden = 1 WHERE id IN (…)", 1)
PUT_UNWANTED = ManyRows("INSERT OR REPLACE INTO unwanted (id, event, stopped) …", 3)
TRIM_UNWANTED = ManyRows(
    "DELETE FROM unwanted WHERE id <="
    " (SELECT id FROM unwanted ORDER BY id DESC LIMIT 1 OFFSET (…))",
    1,
)
PUT_HEARD = ManyRows("INSERT OR IGNORE INTO heard (name, key, event) …", 3)
PUT_WAITS = ManyRows("INSERT OR IGNORE INTO waits (name, key, execution, path) …", 4)
DROP_WAITS = ManyRows("DELETE FROM waits WHERE (name, key, execution, path) IN (…)", 4)
PUT_META = ManyRows("INSERT OR REPLACE INTO meta (key, value) …", 2)
DROP_META = ManyRows("DELETE FROM meta WHERE key IN (…)", 1)
