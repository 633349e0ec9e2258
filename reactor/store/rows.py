"""Rows as what they mean: events, executions and their journals, read back."""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Any

from reactor.model.event import Event, Started
from reactor.model.execution import Entry, Execution, State
from reactor.store import Identity, Open
from reactor.store.blobs import Blobs
from reactor.store.codec import decode, decode_failure, decode_journal
from reactor.store.gated import Taken

EVENT_COLUMNS = (
    "events.id, source, instance, received_ms, time_ms, type, events.key, events.depth, body"
)
EXECUTION_COLUMNS = (
    "executions.id, flow, state, event, version, executions.key, reason, due_ms, started_ms,"
    " finished_ms, epoch, crashes, fixed, error"
)
_EXECUTION_WIDTH = 14
_OPEN = (
    f"SELECT {EXECUTION_COLUMNS}, journal, {EVENT_COLUMNS}"  # noqa: S608  our own words
    " FROM executions LEFT JOIN events ON events.id = executions.event WHERE "
)


def event_of(row: Sequence[Any], blobs: Blobs) -> Event:
    """The event of its row."""
    id_, source, instance, received_ms, time_ms, type_, key, depth, body = row
    data, fields = decode(blobs.read(body))
    return Event(id_, source, instance, received_ms, time_ms, type_, key, depth, data, fields)


def execution_of(row: Sequence[Any]) -> Execution:
    """The execution of its row."""
    root, trigger, created_ms, depth, retry_of, parent = decode(row[12])
    return Execution(
        id=row[0],
        root=root,
        flow=row[1],
        version=row[4],
        event=row[3],
        trigger=trigger,
        key=row[5],
        state=State(row[2]),
        reason=row[6],
        created_ms=created_ms,
        started_ms=row[8],
        finished_ms=row[9],
        due_ms=row[7],
        epoch=row[10],
        crashes=row[11],
        depth=depth,
        retry_of=retry_of,
        parent=parent,
        error=decode_failure(row[13]),
    )


def identity_of(row: Sequence[Any]) -> Identity:
    """The identity of its row."""
    started = () if row[3] is None else tuple(Started(*pair) for pair in _pairs(decode(row[3])))
    return Identity(row[0], row[1], row[2], started, row[4], row[5])


def opens(
    connection: Connection, blobs: Blobs, condition: str, values: Sequence[Any]
) -> list[Open]:
    """Executions with events and journals, in order of id; call it inside a transaction."""
    rows = connection.execute(f"{_OPEN}{condition}", tuple(values)).fetchall()
    records = _records(connection, blobs, [row[0] for row in rows if row[2] < State.OK])
    takens = _takens(connection, [row[0] for row in rows])
    found = []
    for row in rows:
        journal = () if row[_EXECUTION_WIDTH] is None else _journal(blobs, row[_EXECUTION_WIDTH])
        event = row[_EXECUTION_WIDTH + 1 :]
        found.append(
            Open(
                execution_of(row),
                event_of(event, blobs) if event[0] is not None else _gone(row[3]),
                journal + tuple(records.get(row[0], ())),
                taken := takens.get(row[0]),
                () if taken is None else _gathered(connection, blobs, taken),
            )
        )
    return found


def _takens(connection: Connection, executions: Sequence[int]) -> dict[int, Taken]:
    if not executions:
        return {}
    marks = ", ".join("?" * len(executions))
    rows = connection.execute(
        f'SELECT execution, "group", first, last, facts FROM taken WHERE execution IN ({marks})',  # noqa: S608
        tuple(executions),
    )
    return {row[0]: Taken(row[0], row[1], row[2], row[3], decode(row[4])) for row in rows}


def _gathered(
    connection: Connection, blobs: Blobs, taken: Taken
) -> tuple[tuple[str | None, Event], ...]:
    if taken.group is None:
        return ()
    rows = connection.execute(
        f"SELECT name, held.event, {EVENT_COLUMNS} FROM held"  # noqa: S608  our own words
        ' LEFT JOIN events ON events.id = held.event WHERE "group" = ? AND place BETWEEN ? AND ?'
        " ORDER BY place",
        (taken.group, taken.first, taken.last),
    )
    return tuple(
        (row[0], _gone(row[1]) if row[2] is None else event_of(row[2:], blobs)) for row in rows
    )


def _records(
    connection: Connection, blobs: Blobs, executions: Iterable[int]
) -> dict[int, list[Entry]]:
    ids = tuple(executions)
    if not ids:
        return {}
    found: dict[int, list[Entry]] = {}
    marks = ", ".join("?" * len(ids))
    for execution, entries in connection.execute(
        f"SELECT execution, entries FROM steps WHERE execution IN ({marks})"  # noqa: S608
        " ORDER BY execution, seq",
        ids,
    ):
        found.setdefault(execution, []).extend(_journal(blobs, entries))
    return found


def _journal(blobs: Blobs, value: bytes | str) -> tuple[Entry, ...]:
    return decode_journal(blobs.read(value))


def _gone(event: int) -> Event:
    """What stands for an event that was never stored, so that its execution can be shown."""
    return Event(event, "", "", 0, 0, None, None, 0, None, {})


def _pairs(value: Any) -> Any:
    return ((item["flow"], item["execution"]) for item in value)
