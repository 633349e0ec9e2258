"""What the engine asks of the rows, as functions of a connection."""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from reactor.model.execution import State
from reactor.store import FlowFile, Open, StateValue, Version, place_name
from reactor.store.blobs import Blobs
from reactor.store.codec import decode
from reactor.store.retention import flows
from reactor.store.rows import opens

_OPEN_STATES = (State.QUEUED, State.RUNNING, State.WAITING)
_IDS_AT_ONCE = 500


def open_executions(
    connection: Connection,
    blobs: Blobs,
    states: Sequence[State],
    *,
    after: int,
    limit: int,
    before_epoch: int | None,
) -> list[Open]:
    """Executions in some open states, in order of id."""
    # One walk of the index per state, each in order of id, and the first of all of them.
    ids: list[int] = []
    for state in {State(state) for state in states if not state.ended}:
        sql = "SELECT id FROM executions WHERE state = ? AND state != 3 AND id > ?"
        values: list[Any] = [int(state), after]
        if before_epoch is not None:
            sql += " AND epoch < ?"
            values.append(before_epoch)
        ids += [
            row[0] for row in connection.execute(f"{sql} ORDER BY id LIMIT ?", (*values, limit))
        ]
    return load(connection, blobs, sorted(ids)[:limit])


def load(connection: Connection, blobs: Blobs, ids: Sequence[int]) -> list[Open]:
    """These executions, in order of id."""
    found: list[Open] = []
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        chunk = wanted[start : start + _IDS_AT_ONCE]
        marks = ", ".join("?" * len(chunk))
        found += opens(
            connection, blobs, f"executions.id IN ({marks}) ORDER BY executions.id", chunk
        )
    return found


def backlog(
    connection: Connection, flow: str, *, after: int, limit: int, key: str | None
) -> list[tuple[int, str | None]]:
    """(id, key) of queued executions, all or those of one key."""
    return connection.execute(
        "SELECT id, key FROM executions WHERE flow = ? AND state = 0 AND id > ?"
        " AND due_ms IS NULL AND (? IS NULL OR coalesce(key, '') = ?) ORDER BY id LIMIT ?",
        (flow, after, key, key, limit),
    ).fetchall()


def delayed(connection: Connection, flow: str) -> list[tuple[int, int]]:
    """(id, due_ms) of queued executions that have a due time."""
    return connection.execute(
        "SELECT id, due_ms FROM executions WHERE flow = ? AND state = 0 AND due_ms IS NOT NULL"
        " ORDER BY id",
        (flow,),
    ).fetchall()


def open_keys(connection: Connection, flow: str) -> list[tuple[int, str | None, State]]:
    """(id, key, state) of running and waiting executions."""
    rows = connection.execute(
        "SELECT id, key, state FROM executions WHERE flow = ? AND state IN (1, 2) ORDER BY id",
        (flow,),
    )
    return [(id_, key, State(state)) for id_, key, state in rows]


def held_keys(connection: Connection, flow: str) -> list[tuple[int, str | None]]:
    """(id, key) of failed executions whose dead letter is not hidden."""
    return connection.execute(
        "SELECT executions.id, key FROM executions"
        " JOIN dead ON dead.execution = executions.id AND NOT hidden"
        " WHERE executions.flow = ? AND state = 4 ORDER BY executions.id",
        (flow,),
    ).fetchall()


def due(connection: Connection, until_ms: int, *, limit: int) -> list[tuple[int, int]]:
    """(due_ms, id) of open executions, earliest first."""
    return connection.execute(
        "SELECT due_ms, id FROM executions"
        " WHERE state IN (0, 2) AND due_ms IS NOT NULL AND due_ms <= ? ORDER BY due_ms, id LIMIT ?",
        (until_ms, limit),
    ).fetchall()


def next_due(connection: Connection) -> int | None:
    """The earliest due time."""
    row = connection.execute(
        "SELECT due_ms FROM executions WHERE state IN (0, 2) AND due_ms IS NOT NULL"
        " ORDER BY due_ms LIMIT 1"
    ).fetchone()
    return None if row is None else row[0]


def open_counts(connection: Connection) -> dict[str, dict[State, int]]:
    """How many executions are open, by flow and state."""
    counts: dict[str, dict[State, int]] = {}
    for flow in flows(connection):
        for state in _OPEN_STATES:
            count = connection.execute(
                "SELECT count(*) FROM executions WHERE flow = ? AND state = ?", (flow, state)
            ).fetchone()[0]
            if count:
                counts.setdefault(flow, {})[state] = count
    return counts


def state_values(connection: Connection, now_ms: int) -> list[StateValue]:
    """The values of `state` whose time has not run out."""
    rows = connection.execute(
        "SELECT name, key, value, until_ms FROM state WHERE until_ms IS NULL OR until_ms > ?",
        (now_ms,),
    )
    return [StateValue(name, key, decode(value), until) for name, key, value, until in rows]


def versions(connection: Connection, hashes: Sequence[str] | None) -> list[Version]:
    """Flow versions by hash, or all that open executions are pinned to."""
    if hashes is None:
        pinned = connection.execute(
            "SELECT DISTINCT version FROM executions WHERE state IN (0, 1, 2) AND state != 3"
        )
        hashes = [row[0] for row in pinned]
    sql = "SELECT hash, flow, document FROM flow_versions WHERE hash = ?"
    rows = [connection.execute(sql, (hash_,)).fetchone() for hash_ in hashes]
    return [Version(row[0], row[1], decode(row[2])) for row in rows if row is not None]


def flow_files(connection: Connection) -> list[FlowFile]:
    """The last good text of each flow file."""
    rows = connection.execute("SELECT path, text FROM flow_files ORDER BY path")
    return [FlowFile(path, text) for path, text in rows]


def position(connection: Connection, instance: str) -> Any:
    """The last position of a source instance."""
    sql = "SELECT value FROM positions WHERE instance = ?"
    return _value(connection.execute(sql, (instance,)).fetchone())


def places(connection: Connection, instance: str) -> dict[str, Any]:
    """The positions that a source instance keeps by name."""
    first = place_name(instance, "")
    # All names with this beginning: the tab at its end counted up by one is the first other name.
    after = first[:-1] + chr(ord(first[-1]) + 1)
    sql = "SELECT instance, value FROM positions WHERE instance >= ? AND instance < ?"
    rows = connection.execute(sql, (first, after))
    return {name[len(first) :]: decode(value) for name, value in rows}


def meta(connection: Connection, key: str) -> Any:
    """A small value of the daemon's own."""
    return _value(connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone())


def _value(row: Any) -> Any:
    return None if row is None else decode(row[0])
