"""`Gates` over SQLite: rows by name at once, lists on the reading connection."""

import sqlite3
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any

from reactor.errors import StorageFailed
from reactor.store.codec import column, decode
from reactor.store.disk import unreadable
from reactor.store.gated import GateName, GateRow, Held
from reactor.store.reader import Reader

_COLUMNS = 'flow, "trigger", gate, key, state, due_ms, event'
_BY_NAME = (
    f"SELECT {_COLUMNS} FROM gates"  # noqa: S608  our own words
    ' WHERE flow = ? AND "trigger" = ? AND gate = ? AND key = ?'
)


class SqliteGates:
    """Reads what gates remember and hold; `fail` hears of a store that cannot be read."""

    def __init__(
        self, lookup: Connection, reader: Reader, fail: Callable[[StorageFailed], None]
    ) -> None:
        self._lookup = lookup
        self._reader = reader
        self._fail = fail

    def find(self, names: Sequence[GateName], done: Callable[[list[GateRow | None]], None]) -> None:
        """Look rows up by name among what is committed, at once."""
        try:
            found = [self._find(name) for name in names]
        except sqlite3.Error as error:
            self._fail(unreadable(error))
            return
        done(found)

    async def due(
        self, before_ms: int, *, frozen: Sequence[str] = (), limit: int
    ) -> list[tuple[int, GateName]]:
        """(due_ms, name) of rows due at or before a time, earliest first; none of frozen flows."""
        return await self._reader.run(_due, before_ms, frozen=frozen, limit=limit)

    async def kinds(self) -> list[tuple[str, str, str]]:
        """(flow, trigger, gate) of which there are rows."""
        return await self._reader.run(_kinds)

    async def rows(
        self, kind: tuple[str, str, str], *, after: str | None, limit: int
    ) -> list[GateRow]:
        """Rows of one gate in order of key, a page at a time."""
        return await self._reader.run(_rows, kind, after=after, limit=limit)

    async def held(self, group: int) -> list[Held]:
        """The events of a group, in order."""
        return await self._reader.run(_held, group)

    def _find(self, name: GateName) -> GateRow | None:
        try:
            row = self._lookup.execute(_BY_NAME, name).fetchone()
        except UnicodeEncodeError:
            row = self._lookup.execute(_BY_NAME, tuple(map(column, name))).fetchone()
        return None if row is None else _row(row)


def _row(row: Sequence[Any]) -> GateRow:
    return GateRow(row[0], row[1], row[2], row[3], decode(row[4]), row[5], row[6])


def _due(
    connection: Connection, until_ms: int, *, frozen: Sequence[str], limit: int
) -> list[tuple[int, GateName]]:
    marks = ", ".join("?" * len(frozen))
    rows = connection.execute(
        'SELECT due_ms, flow, "trigger", gate, key FROM gates'  # noqa: S608  our own words
        f" WHERE due_ms IS NOT NULL AND due_ms <= ? AND flow NOT IN ({marks})"
        " ORDER BY due_ms LIMIT ?",
        (until_ms, *frozen, limit),
    )
    return [(row[0], (row[1], row[2], row[3], row[4])) for row in rows]


def _kinds(connection: Connection) -> list[tuple[str, str, str]]:
    sql = (
        'SELECT flow, "trigger", gate FROM gates WHERE (flow, "trigger", gate) > (?, ?, ?)'
        ' ORDER BY flow, "trigger", gate LIMIT 1'
    )
    found: list[tuple[str, str, str]] = []
    last = ("", "", "")
    while (row := connection.execute(sql, last).fetchone()) is not None:
        last = (row[0], row[1], row[2])
        found.append(last)
    return found


def _rows(
    connection: Connection, kind: tuple[str, str, str], *, after: str | None, limit: int
) -> list[GateRow]:
    rows = connection.execute(
        f'SELECT {_COLUMNS} FROM gates WHERE flow = ? AND "trigger" = ? AND gate = ?'  # noqa: S608
        " AND (?4 IS NULL OR key > ?4) ORDER BY key LIMIT ?5",
        (*kind, after, limit),
    )
    return [_row(row) for row in rows]


def _held(connection: Connection, group: int) -> list[Held]:
    sql = 'SELECT "group", place, event, name FROM held WHERE "group" = ? ORDER BY place'
    return [Held(*row) for row in connection.execute(sql, (group,))]
