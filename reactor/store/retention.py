"""What may go: chunks small enough that a commit never waits long for them.

Chunks are chosen on a reading connection and deleted on the writing one, which looks again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from msgspec import Struct

from reactor.model.execution import State

_MOST_ROWS = 500
_MOST_EXECUTIONS = _MOST_ROWS // 2  # each with its event
_LOOKED_AT = 5000  # events that are looked at for one chunk of those without executions
_ID_SHIFT = 22  # see ids.py: the milliseconds of an id

_OK_STATES = (State.OK, State.CANCELLED, State.SKIPPED)


class Chunk(Struct, frozen=True):
    """Ids to delete together."""

    executions: tuple[int, ...] = ()
    events: tuple[int, ...] = ()
    dead: tuple[int, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to delete."""
        return not (self.executions or self.events or self.dead)


def flows(connection: Connection) -> Iterator[str]:
    """The flows that have executions, by hopping over the index instead of walking it."""
    sql = "SELECT min(flow) FROM executions WHERE flow > ?"
    name = ""
    while (row := connection.execute(sql, (name,)).fetchone()) and row[0] is not None:
        name = row[0]
        yield name


def past_its_time(
    connection: Connection,
    *,
    ok_before: Mapping[str, int],
    failed_before: Mapping[str, int],
    after_event: int,
) -> tuple[Chunk, int]:
    """A chunk of what is older than the limits, and where to go on looking at events.

    First executions, then dead letters of events, then events that nothing refers to (their
    executions are gone, or they only moved a gate), which stay for the longer of the two times.
    """
    executions: list[int] = []
    for flow in flows(connection):
        for state in (*_OK_STATES, State.FAILED):
            limits = failed_before if state is State.FAILED else ok_before
            limit = limits.get(flow, limits.get(""))
            if limit is None:
                continue
            # An id is at most as old as its end, so the second condition ends the walk early.
            rows = connection.execute(
                "SELECT id FROM executions WHERE flow = ? AND state = ? AND id < ?"
                " AND finished_ms < ? ORDER BY id LIMIT ?",
                (flow, state, limit << _ID_SHIFT, limit, _MOST_EXECUTIONS - len(executions)),
            )
            executions += [row[0] for row in rows]
            if len(executions) == _MOST_EXECUTIONS:
                return Chunk(executions=tuple(executions)), after_event
    if executions:
        return Chunk(executions=tuple(executions)), after_event
    dead = _dead_past(connection, failed_before)
    if dead:
        return Chunk(dead=dead), after_event
    limit = min((limits[""] for limits in (ok_before, failed_before) if "" in limits), default=0)
    return _unreferred(connection, after_event, limit << _ID_SHIFT)


def oldest(connection: Connection) -> Chunk:
    """A chunk of the ended executions that are oldest."""
    found: list[int] = []
    for flow in flows(connection):
        for state in (*_OK_STATES, State.FAILED):
            rows = connection.execute(
                "SELECT id FROM executions WHERE flow = ? AND state = ? ORDER BY id LIMIT ?",
                (flow, state, _MOST_EXECUTIONS),
            )
            found += [row[0] for row in rows]
    return Chunk(executions=tuple(sorted(found)[:_MOST_EXECUTIONS]))


def delete(connection: Connection, chunk: Chunk, *, epoch: int) -> tuple[int, list[str]]:
    """Delete a chunk and what only it referred to, inside the caller's transaction.

    How many rows went, and the files that no row names any more. Flow versions go when nothing
    refers to them and they were not submitted since this boot (older `epoch`).
    """
    files: list[Any] = []
    rows = _delete_in(
        connection,
        "DELETE FROM executions WHERE state >= 3 AND id IN ({}) RETURNING id, event, version,"
        " CASE typeof(journal) WHEN 'text' THEN journal END",
        chunk.executions,
    )
    count = len(rows)
    files += [row[3] for row in rows]
    went = [row[0] for row in rows]
    count += len(
        _delete_in(connection, "DELETE FROM dead WHERE execution IN ({}) RETURNING id", went)
    )
    groups = _delete_in(
        connection, 'DELETE FROM taken WHERE execution IN ({}) RETURNING "group"', went
    )
    _delete_in(
        connection,
        'DELETE FROM held WHERE "group" IN ({})'
        ' AND NOT EXISTS (SELECT 1 FROM taken WHERE "group" = held."group")',
        [row[0] for row in groups if row[0] is not None],
    )
    count += len(
        _delete_in(connection, "DELETE FROM dead WHERE id IN ({}) RETURNING id", chunk.dead)
    )
    events = _delete_in(
        connection,
        "DELETE FROM events WHERE id IN ({})"
        " AND NOT EXISTS (SELECT 1 FROM executions WHERE event = events.id)"
        " AND NOT EXISTS (SELECT 1 FROM dead WHERE event = events.id)"
        " AND NOT EXISTS (SELECT 1 FROM heard WHERE event = events.id)"
        " AND NOT EXISTS (SELECT 1 FROM held WHERE event = events.id)"
        " AND NOT EXISTS (SELECT 1 FROM gates WHERE event = events.id)"
        " RETURNING id, CASE typeof(body) WHEN 'text' THEN body END",
        (*chunk.events, *{row[1] for row in rows}),
    )
    count += len(events)
    _delete_in(
        connection,
        "DELETE FROM judged WHERE event IN ({}) RETURNING event",
        [row[0] for row in events],
    )
    files += [row[1] for row in events]
    for version, uses in Counter(row[2] for row in rows).items():
        connection.execute(
            "UPDATE version_uses SET uses = uses - ? WHERE hash = ?", (uses, version)
        )
    if rows:
        unused = connection.execute(
            "DELETE FROM version_uses WHERE uses <= 0 AND epoch < ? RETURNING hash", (epoch,)
        ).fetchall()
        _delete_in(
            connection, "DELETE FROM flow_versions WHERE hash IN ({})", [row[0] for row in unused]
        )
    return count, [name for name in files if name is not None]


def delete_expired(connection: Connection, now_ms: int) -> int:
    """Delete a chunk of identities and of state whose time has run out; how many went."""
    identities = connection.execute(
        "DELETE FROM identities WHERE (scope, identity) IN"
        " (SELECT scope, identity FROM identities WHERE until_ms <= ? LIMIT ?)",
        (now_ms, _MOST_ROWS),
    ).rowcount
    states = connection.execute(
        "DELETE FROM state WHERE (name, key) IN"
        " (SELECT name, key FROM state WHERE until_ms <= ? LIMIT ?)",
        (now_ms, _MOST_ROWS - identities),
    ).rowcount
    return identities + states


def _dead_past(connection: Connection, before: Mapping[str, int]) -> tuple[int, ...]:
    # Those of executions go with them.
    newest = max(before.values(), default=0)
    rows = connection.execute(
        "SELECT id, flow, created_ms FROM dead WHERE execution IS NULL AND created_ms < ?"
        " ORDER BY id LIMIT ?",
        (newest, _LOOKED_AT),
    )
    default = before.get("", 0)
    past = [row[0] for row in rows if row[2] < before.get(row[1] or "", default)]
    return tuple(past[:_MOST_ROWS])


def _unreferred(connection: Connection, after: int, before: int) -> tuple[Chunk, int]:
    rows = connection.execute(
        "SELECT id, EXISTS (SELECT 1 FROM executions WHERE event = events.id)"
        " OR EXISTS (SELECT 1 FROM dead WHERE event = events.id)"
        " OR EXISTS (SELECT 1 FROM heard WHERE event = events.id)"
        " OR EXISTS (SELECT 1 FROM held WHERE event = events.id)"
        " OR EXISTS (SELECT 1 FROM gates WHERE event = events.id)"
        " FROM events WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
        (after, before, _LOOKED_AT),
    ).fetchall()
    found = [row[0] for row in rows if not row[1]][:_MOST_ROWS]
    if len(found) == _MOST_ROWS:
        return Chunk(events=tuple(found)), found[-1]
    # Once round is enough: what loses its last reference later is deleted with that.
    return Chunk(events=tuple(found)), rows[-1][0] if len(rows) == _LOOKED_AT else 0


def _delete_in(connection: Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    if not values:
        return []
    marks = ", ".join("?" * len(values))
    return connection.execute(sql.format(marks), tuple(values)).fetchall()
