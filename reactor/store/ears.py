"""The rows of what is waited for and what was heard, in SQLite."""

import sqlite3
from collections.abc import Callable
from sqlite3 import Connection

from reactor.errors import StorageFailed
from reactor.model.event import Event
from reactor.model.execution import State
from reactor.store.blobs import Blobs
from reactor.store.codec import column
from reactor.store.disk import unreadable
from reactor.store.hearing import Wait
from reactor.store.reader import Reader
from reactor.store.rows import EVENT_COLUMNS, event_of

_MOST_ROWS = 500
_OPEN_STATES = (State.QUEUED, State.RUNNING, State.WAITING)
_WAITING = "SELECT DISTINCT execution FROM waits WHERE name = ? AND key = ?"


class SqliteEars:
    """`Ears` over a connection that looks things up at once, and a reader beside it."""

    def __init__(
        self,
        lookup: Connection,
        reader: Reader,
        blobs: Blobs,
        fail: Callable[[StorageFailed], None],
    ) -> None:
        self._lookup = lookup
        self._reader = reader
        self._blobs = blobs
        self._fail = fail

    def waiting(self, name: str, key: str) -> list[int]:
        """Which executions wait under a name and key."""
        try:
            rows = self._lookup.execute(_WAITING, (column(name), column(key))).fetchall()
        except sqlite3.Error as error:
            self._fail(unreadable(error))
            return []
        return [row[0] for row in rows]

    async def waits(self, kind: str) -> list[Wait]:
        """All waits of one kind."""
        return await self._reader.run(_waits, kind)

    async def heard(self, name: str, key: str, *, after: int, limit: int) -> list[Event]:
        """Events heard under a name and key, later than an id."""
        return await self._reader.run(_heard, self._blobs, name, key, after=after, limit=limit)

    async def pinned(self) -> list[str]:
        """The flow versions that wait for events and have open executions."""
        return await self._reader.run(_pinned)

    async def any_open(self, flow: str) -> bool:
        """Whether any execution of a flow is open."""
        return await self._reader.run(_any_open, flow)


def _waits(connection: Connection, kind: str) -> list[Wait]:
    """Waits of one kind, of all flows, by hopping over the names."""
    names = []
    name = ""
    hop = "SELECT min(name) FROM waits WHERE name > ?"
    while (row := connection.execute(hop, (name,)).fetchone()) and row[0] is not None:
        name = row[0]
        if name.endswith(f"\t{kind}"):
            names.append(name)
    sql = "SELECT name, key, execution, path FROM waits WHERE name = ?"
    found = [Wait(*row) for name in names for row in connection.execute(sql, (name,))]
    return sorted(found, key=lambda wait: (wait.execution, wait.path))


def _heard(
    connection: Connection, blobs: Blobs, name: str, key: str, *, after: int, limit: int
) -> list[Event]:
    """Events heard under a name and key, in order of acceptance."""
    rows = connection.execute(
        f"SELECT {EVENT_COLUMNS} FROM heard JOIN events ON events.id = heard.event"  # noqa: S608
        " WHERE heard.name = ? AND heard.key = ? AND heard.event > ? ORDER BY heard.event LIMIT ?",
        (name, key, after, limit),
    ).fetchall()
    return [event_of(row, blobs) for row in rows]


def _pinned(connection: Connection) -> list[str]:
    # The documents are searched as they are: whoever has both words probably waits for events.
    rows = connection.execute(
        "SELECT hash, flow FROM flow_versions WHERE instr(document, CAST('wait' AS BLOB))"
        " AND instr(document, CAST('when' AS BLOB))"
    ).fetchall()
    sql = "SELECT 1 FROM executions WHERE flow = ? AND state = ? AND version = ? LIMIT 1"
    return [
        hash_
        for hash_, flow in rows
        if any(connection.execute(sql, (flow, state, hash_)).fetchone() for state in _OPEN_STATES)
    ]


def _any_open(connection: Connection, flow: str) -> bool:
    """Whether any execution of a flow is open."""
    sql = "SELECT 1 FROM executions WHERE flow = ? AND state = ? LIMIT 1"
    return any(connection.execute(sql, (flow, state)).fetchone() for state in _OPEN_STATES)


def delete_unheard(connection: Connection) -> int:
    """Delete a chunk of what nobody can hear or waits for any more; how many went.

    An event is heard as long as an execution of the flow is open that is not younger.
    """
    count, name = 0, ""
    hop = "SELECT min(name) FROM heard WHERE name > ?"
    oldest: dict[str, int | None] = {}
    while (row := connection.execute(hop, (name,)).fetchone()) and row[0] is not None:
        name = row[0]
        flow = name.partition("\t")[0]
        if flow not in oldest:
            sql = (
                "SELECT min(min(id, event)) FROM executions WHERE id IN"
                " (SELECT min(id) FROM executions WHERE flow = ? AND state = 0 UNION ALL"
                " SELECT min(id) FROM executions WHERE flow = ? AND state = 1 UNION ALL"
                " SELECT min(id) FROM executions WHERE flow = ? AND state = 2)"
            )
            oldest[flow] = connection.execute(sql, (flow,) * 3).fetchone()[0]
        before = oldest[flow]
        limit = (1 << 63) - 1 if before is None else before
        count += connection.execute(
            "DELETE FROM heard WHERE (name, key, event) IN"
            " (SELECT name, key, event FROM heard WHERE name = ? AND event < ? LIMIT ?)",
            (name, limit, _MOST_ROWS - count),
        ).rowcount
        if count >= _MOST_ROWS:
            break
    return count
