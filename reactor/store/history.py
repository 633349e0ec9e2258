"""The read side, for people: lists and single rows, beside the writer."""

from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any

from reactor.model.event import Event
from reactor.model.execution import Execution, State
from reactor.store import Dead, Open, Query, Unwanted
from reactor.store.blobs import Blobs
from reactor.store.codec import decode
from reactor.store.gated import Judged
from reactor.store.reader import Reader
from reactor.store.rows import EVENT_COLUMNS, EXECUTION_COLUMNS, event_of, execution_of, opens

_ID_SHIFT = 22  # see ids.py: the milliseconds of an id
_TABLES = (
    "events",
    "executions",
    "steps",
    "dead",
    "identities",
    "state",
    "gates",
    "held",
    "positions",
    "flow_versions",
    "unwanted",
)
# Executions that took an event in a group.
_TOOK = (
    'SELECT execution FROM held JOIN taken ON taken."group" = held."group"'
    " AND place BETWEEN first AND last WHERE held.event = ?"
)
_DEAD_COLUMNS = "id, kind, flow, event, execution, reason, created_ms, hidden"


class SqliteHistory:
    """`History` over a reading connection of its own, so that a long list delays no execution."""

    def __init__(self, reader: Reader, blobs: Blobs, store_bytes: Callable[[], int]) -> None:
        self._reader = reader
        self._blobs = blobs
        self._store_bytes = store_bytes

    async def executions(self, query: Query) -> list[Execution]:
        """Executions, newest first."""
        return await self._reader.run(_executions, query)

    async def execution(self, id_: int) -> Open | None:
        """One execution with its event and journal."""
        found = await self._reader.run(opens, self._blobs, "executions.id = ?", (id_,))
        return found[0] if found else None

    async def events(self, query: Query) -> list[Event]:
        """Stored events, newest first; `flow` and `states` ask for those of its executions."""
        return await self._reader.run(_events, self._blobs, query)

    async def event(self, id_: int) -> Event | None:
        """One event, wanted or not."""
        return await self._reader.run(_event, self._blobs, id_)

    async def judged(self, event: int) -> list[Judged]:
        """What gates made of a stored event."""
        return await self._reader.run(_judged, event)

    async def unwanted(self, id_: int) -> Unwanted | None:
        """Why no flow wanted an event, as far as it was kept."""
        return await self._reader.run(_unwanted, id_)

    async def dead(self, query: Query) -> list[Dead]:
        """Dead letters that are not hidden, newest first."""
        return await self._reader.run(_dead, query)

    async def dead_letter(self, id_: int) -> Dead | None:
        """One dead letter, hidden or not."""
        return await self._reader.run(_dead_letter, id_)

    async def sizes(self) -> dict[str, int]:
        """Rows by table, and `bytes` on disk. It counts, so it is for people, not for loops."""
        counts = await self._reader.run(_counts)
        return {**counts, "bytes": self._store_bytes()}


def _executions(connection: Connection, query: Query) -> list[Execution]:
    condition, values = _bounds(query, "id")
    if query.event is not None:
        condition = f"{condition} AND (event = ? OR id IN ({_TOOK}))"
        values = [*values, query.event, query.event]
    if query.flow is not None:
        condition, values = f"{condition} AND flow = ?", [*values, query.flow]
    # One walk per state where an index has the order of ids only inside a state, then the newest.
    states: Sequence[State | None] = sorted(set(query.states)) or (
        tuple(State) if query.flow is not None and query.event is None else (None,)
    )
    rows: list[Any] = []
    for state in states:
        asked = "" if state is None else " AND state = ?"
        asked += " AND state != 3" if state not in (None, State.OK) else ""
        rows += connection.execute(
            f"SELECT {EXECUTION_COLUMNS} FROM executions"  # noqa: S608  our own words
            f" WHERE {condition}{asked} ORDER BY id DESC LIMIT ?",
            (*values, *([] if state is None else [int(state)]), query.limit),
        ).fetchall()
    rows.sort(key=lambda row: -row[0])
    return [execution_of(row) for row in rows[: query.limit]]


def _events(connection: Connection, blobs: Blobs, query: Query) -> list[Event]:
    condition, values = _bounds(query, "id")
    if query.event is not None:
        condition, values = f"{condition} AND id = ?", [*values, query.event]
    if query.flow is not None or query.states:
        asked = "SELECT 1 FROM executions WHERE event = events.id"
        if query.flow is not None:
            asked, values = f"{asked} AND flow = ?", [*values, query.flow]
        if query.states:
            asked = f"{asked} AND state IN ({', '.join('?' * len(query.states))})"
            values = [*values, *(int(state) for state in query.states)]
        condition = f"{condition} AND EXISTS ({asked})"
    rows = connection.execute(
        f"SELECT {EVENT_COLUMNS} FROM events WHERE {condition} ORDER BY id DESC LIMIT ?",  # noqa: S608
        (*values, query.limit),
    )
    return [event_of(row, blobs) for row in rows]


def _event(connection: Connection, blobs: Blobs, id_: int) -> Event | None:
    sql = f"SELECT {EVENT_COLUMNS} FROM events WHERE id = ?"  # noqa: S608  our own words
    row = connection.execute(sql, (id_,)).fetchone()
    if row is not None:
        return event_of(row, blobs)
    found = _unwanted(connection, id_)
    return None if found is None else found.event


def _judged(connection: Connection, event: int) -> list[Judged]:
    sql = 'SELECT event, flow, "trigger", decision, reason FROM judged WHERE event = ?'
    return [Judged(*row) for row in connection.execute(sql, (event,))]


def _unwanted(connection: Connection, id_: int) -> Unwanted | None:
    sql = "SELECT event, stopped FROM unwanted WHERE id = ?"
    row = connection.execute(sql, (id_,)).fetchone()
    return None if row is None else Unwanted(Event(**decode(row[0])), decode(row[1]))


def unwanted_events(connection: Connection, query: Query) -> list[Unwanted]:
    """Events that no flow wanted, newest first."""
    condition, values = _bounds(query, "id")
    rows = connection.execute(
        f"SELECT event, stopped FROM unwanted WHERE {condition} ORDER BY id DESC LIMIT ?",  # noqa: S608
        (*values, query.limit),
    )
    return [Unwanted(Event(**decode(event)), decode(stopped)) for event, stopped in rows]


def _dead(connection: Connection, query: Query) -> list[Dead]:
    condition, values = _bounds(query, "id")
    for column, value in (("flow", query.flow), ("event", query.event)):
        if value is not None:
            condition, values = f"{condition} AND {column} = ?", [*values, value]
    rows = connection.execute(
        f"SELECT {_DEAD_COLUMNS} FROM dead"  # noqa: S608  our own words
        f" WHERE {condition} AND NOT hidden ORDER BY id DESC LIMIT ?",
        (*values, query.limit),
    )
    return [_dead_of(row) for row in rows]


def _dead_letter(connection: Connection, id_: int) -> Dead | None:
    sql = f"SELECT {_DEAD_COLUMNS} FROM dead WHERE id = ?"  # noqa: S608  our own words
    row = connection.execute(sql, (id_,)).fetchone()
    return None if row is None else _dead_of(row)


def _dead_of(row: Sequence[Any]) -> Dead:
    return Dead(
        id=row[0],
        kind=row[1],
        flow=row[2],
        event=row[3],
        execution=row[4],
        reason=row[5],
        created_ms=row[6],
        hidden=bool(row[7]),
    )


def _counts(connection: Connection) -> dict[str, int]:
    sql = "SELECT count(*) FROM {}"
    return {table: connection.execute(sql.format(table)).fetchone()[0] for table in _TABLES}


def _bounds(query: Query, column: str) -> tuple[str, list[Any]]:
    condition, values = f"{column} > ?", [((query.since_ms or 0) << _ID_SHIFT) - 1]
    if query.before is not None:
        condition, values = f"{condition} AND {column} < ?", [*values, query.before]
    return condition, values
