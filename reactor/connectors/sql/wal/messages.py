"""pgoutput, the messages of PostgreSQL's logical replication: bytes in, changes out, no I/O.

The format is that of "Logical Replication Message Formats" in PostgreSQL's manual, version 1.
"""

from collections.abc import Mapping, Sequence
from struct import Struct as Form
from typing import Any

from msgspec import Struct

from reactor.connectors.sql.values import Parse
from reactor.expr.values import to_text

# Seconds between 1970 and 2000, where PostgreSQL's time begins.
EPOCH_SECS = 946_684_800
# By the first byte of a message.
OPS = {ord("I"): "insert", ord("U"): "update", ord("D"): "delete"}
_BEGIN = Form(">qqi")
_COMMIT = Form(">Bqqq")
_INT = Form(">i")
_SHORT = Form(">h")
_COLUMN = Form(">ii")


class Column(Struct, frozen=True):
    """One column of a table; `identity` says that it is part of what the server tells rows by."""

    name: str
    oid: int
    identity: bool


class Relation(Struct, frozen=True):
    """A table as it was when the rows that follow were written; `identity` is `d n f` or `i`."""

    oid: int
    schema: str
    table: str
    identity: str
    columns: tuple[Column, ...]


class Known(Struct, frozen=True):
    """A table with what reading its rows takes: parsers by column, and its primary key."""

    relation: Relation
    name: str
    columns: tuple[tuple[str, Parse], ...]
    key: tuple[str, ...]


class Begin(Struct, frozen=True):
    """A transaction begins: where its commit stands, when it was, its number."""

    lsn: int
    committed_ms: int
    xid: int


class Commit(Struct, frozen=True):
    """A transaction ends; whoever has stored it confirms `end`."""

    end: int


class Change(Struct, frozen=True):
    """A row was written; `unchanged` names large values that the server does not repeat."""

    op: str
    table: Known
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    unchanged: tuple[str, ...]


class Truncate(Struct, frozen=True):
    """Tables were emptied."""

    tables: tuple[Known, ...]


Message = Begin | Commit | Truncate | Relation | None


def key_of(table: str, names: Sequence[str], row: Mapping[str, Any] | None) -> str:
    """What a change is about: the table and the row's primary key."""
    if row is None:
        return table
    parts = [table]
    for name in names:
        text = to_text(row.get(name))
        parts.append(text.replace("/", "\\/") if "/" in text else text)
    return "/".join(parts)


def lsn_text(lsn: int) -> str:
    """A place in the log as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """A place in the log as a number; ValueError if it is none."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def read(data: bytes, tables: Mapping[int, Known]) -> Message:
    """The meaning of a message that is no change; None for those without a meaning here."""
    kind = data[:1]
    if kind == b"B":
        lsn, micros, xid = _BEGIN.unpack_from(data, 1)
        return Begin(lsn, micros // 1000 + EPOCH_SECS * 1000, xid & 0xFFFFFFFF)
    if kind == b"C":
        return Commit(_COMMIT.unpack_from(data, 1)[2])
    if kind == b"R":
        return _relation(data)
    if kind == b"T":
        (count,) = _INT.unpack_from(data, 1)
        oids = [_INT.unpack_from(data, 6 + 4 * number)[0] for number in range(count)]
        return Truncate(tuple(tables[oid] for oid in oids if oid in tables))
    return None


def _relation(data: bytes) -> Relation:
    (oid,) = _INT.unpack_from(data, 1)
    schema, at = _text(data, 5)
    table, at = _text(data, at)
    identity = chr(data[at])
    (count,) = _SHORT.unpack_from(data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        flags = data[at]
        name, at = _text(data, at + 1)
        type_, _modifier = _COLUMN.unpack_from(data, at)
        at += 8
        columns.append(Column(name, type_ & 0xFFFFFFFF, bool(flags & 1)))
    # An empty schema is pg_catalog.
    return Relation(oid, schema or "pg_catalog", table, identity, tuple(columns))


def read_change(data: bytes, tables: Mapping[int, Known]) -> Change:
    """The change of a message whose first byte is one of `OPS`."""
    table, at = tables[_INT.unpack_from(data, 1)[0]], 5
    old: dict[str, Any] | None = None
    new: dict[str, Any] | None = None
    unchanged: list[str] = []
    while at < len(data):
        part = data[at]
        if part == 78:  # N: the new row
            new, at = _row(data, at + 3, table, unchanged)
        else:
            old, at = _row(data, at + 3, table, [])
            if part == 75:  # K: only the identity's columns are sent, the others look null
                told = {column.name for column in table.relation.columns if column.identity}
                old = {name: value for name, value in old.items() if name in told}
    if unchanged and new is not None and old is not None:
        for name in [name for name in unchanged if name in old]:
            new[name] = old[name]
            unchanged.remove(name)
    return Change(OPS[data[0]], table, old, new, tuple(unchanged))


def _row(data: bytes, at: int, table: Known, unchanged: list[str]) -> tuple[dict[str, Any], int]:
    row: dict[str, Any] = {}
    for name, parse in table.columns:
        kind = data[at]
        if kind == 116:  # t: text
            start = at + 5
            at = start + int.from_bytes(data[at + 1 : start])
            text = str(data[start:at], "utf-8")
            row[name] = text if parse is str else parse(text)
            continue
        at += 1
        if kind == 110:  # n: null
            row[name] = None
        else:  # u: a large value that was not touched
            unchanged.append(name)
    return row, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1
