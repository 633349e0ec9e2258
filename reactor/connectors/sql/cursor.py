"""The arithmetic of polling: where the next look begins, and what a row is called."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from reactor.connectors.sql.database import Kind, Row
from reactor.connectors.sql.statements import column
from reactor.connectors.sql.values import json_text
from reactor.errors import DatabaseFailed
from reactor.expr.values import to_text
from reactor.units import parse_duration

TIME_OVERLAP = "1m"
NUMBER_OVERLAP = 100
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?P<gap>[T ])(?P<clock>\d\d:\d\d:\d\d)(?P<part>\.\d+)?(?P<zone>.*)"
)


def earlier(value: Any, overlap: str | int | float | None) -> Any:
    """Where a look begins that reads the overlap before a cursor's value again."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value - _number(overlap, value)
    if isinstance(value, datetime):
        return value - _span(overlap, value)
    match = _TIME.fullmatch(str(value))
    if match is None:
        if overlap is None or overlap == 0:
            return value  # ordered by its text, and nothing is read again
        raise DatabaseFailed(f"the cursor is {value!r}: an overlap needs a time or a number")
    moment = datetime.fromisoformat(f"{match['day']}T{match['clock']}")
    # The whole second before: a fraction compares as text where the database keeps times as text.
    begin = moment - _span(overlap, value)
    return f"{begin:%Y-%m-%d}{match['gap']}{begin:%H:%M:%S}"


def later(one: Any, other: Any) -> Any:
    """The later one of two values of a cursor."""
    if one is None or other is None:
        return other if one is None else one
    try:
        return max(one, other)
    except TypeError:
        # A number too exact for a float is text: the database says that the newest comes last.
        return other


def poll_sql(kind: Kind, query: str, columns: Sequence[str], *, bounded: bool) -> str:
    """The rows of a query in the order of its cursor, from `$1` on."""
    text = f"select * from ({_bare(query)}) {column('polled', kind)}"  # noqa: S608
    if bounded:
        text += f" where {column(columns[0], kind)} >= $1"
    if columns:
        text += " order by " + ", ".join(column(name, kind) for name in columns)
    return text


def null_sql(kind: Kind, query: str, columns: Sequence[str]) -> str:
    """A row whose cursor is null: no look would ever find it."""
    nulls = " or ".join(f"{column(name, kind)} is null" for name in columns)
    return f"select * from ({_bare(query)}) {column('polled', kind)} where {nulls} limit 1"  # noqa: S608


def last_sql(kind: Kind, query: str, columns: Sequence[str]) -> str:
    """The newest value of a cursor."""
    first = column(columns[0], kind)
    table = f"({_bare(query)}) {column('polled', kind)}"
    return f"select {first} as last from {table} order by {first} desc limit 1"  # noqa: S608


def version(id_: Any, row: Row, columns: Sequence[str]) -> str:
    """What tells a row in one state from all others: its id and cursor, without id all of it."""
    parts = [to_text(id_), *(to_text(row[name]) for name in columns)] if id_ is not None else [row]
    return digest(parts)


def digest(value: Any) -> str:
    """A short name of plain data."""
    return hashlib.blake2b(json_text(value).encode(), digest_size=12).hexdigest()


def _bare(query: str) -> str:
    # A comment at the end must not swallow the bracket.
    return query.strip().rstrip(";") + "\n"


def _number(overlap: str | int | float | None, value: Any) -> int | float:
    if overlap is None:
        return NUMBER_OVERLAP
    if isinstance(overlap, str):
        raise DatabaseFailed(
            f"the cursor is the number {value}: its overlap is a number too, not {overlap}"
        )
    return overlap


def _span(overlap: str | int | float | None, value: Any) -> timedelta:
    if overlap is None:
        overlap = TIME_OVERLAP
    if isinstance(overlap, str):
        return timedelta(seconds=parse_duration(overlap))
    if overlap == 0:
        return timedelta()
    raise DatabaseFailed(
        f"the cursor is the time {value}: its overlap is a duration such as 5m, not {overlap}"
    )
