"""Rows of a query that were not seen before: read in pages, remembered with their events."""

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Annotated, Any, TypeVar

from msgspec import Struct

from reactor.connectors.sql.cursor import (
    digest,
    earlier,
    last_sql,
    later,
    null_sql,
    poll_sql,
    version,
)
from reactor.connectors.sql.database import Database, Row, Session
from reactor.errors import DatabaseFailed, EvaluationError
from reactor.expr.parse import Expression
from reactor.expr.values import to_text
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.spec import Config, doc
from reactor.units import format_duration

T = TypeVar("T")
_PAGE = 1000
_MOST_WITHOUT_CURSOR = 10_000
_BEGUN = "begun"  # a place that stays, also when the position is taken away


class Cursor(Config, frozen=True):
    """What tells new rows from old ones."""

    column: Annotated[
        str | list[str],
        doc(
            "A column of the query that grows: a number or a time. Of a list of two the first "
            "grows, and the second orders rows that are equal in it.",
            "changed_at",
            ["changed_at", "id"],
            form="literal",
        ),
    ]
    start: Annotated[
        str | int | float,
        doc(
            "Where the very first look begins: earliest, latest (only rows that come from now on), "
            "or a value of the column.",
            "latest",
            form="literal",
        ),
    ] = "earliest"
    overlap: Annotated[
        str | int | float | None,
        doc(
            "How far before the newest row each look begins, for rows that are committed late: a "
            "duration (1m) or, for numbers, a number (100).",
            "5m",
            form="literal",
        ),
    ] = None


class Query(Config, frozen=True):
    """What is asked."""

    query: Annotated[
        str,
        doc(
            "A select, without the condition on the cursor, which is added.",
            "select * from orders",
            form="literal",
            hint="a source's query is the same for all events: data has no place in it",
        ),
    ]
    cursor: Annotated[
        Cursor | None,
        doc(
            "What tells new rows from old ones; without it each look reads all rows, and those "
            f"that are new or changed since the last one are events (at most "
            f"{_MOST_WITHOUT_CURSOR} rows)."
        ),
    ] = None
    id: Annotated[
        Expression | None,
        doc(
            "What a row is about: with the cursor it tells repeats apart. Without it all of the "
            "row counts.",
            "event.data.id",
            form="deferred",
        ),
    ] = None


class Rows:
    """Looks at a query and emits what it has not seen.

    What was seen within the overlap is kept as places, each in the commit of its event; a look that
    finds nothing writes nothing.
    """

    def __init__(
        self,
        query: Query,
        place: Database,
        emit: Emit,
        context: SourceContext,
        *,
        limit_secs: float,
    ) -> None:
        self._query = query
        self._cursor = query.cursor
        self._columns: list[str] = []
        if query.cursor is not None:
            named = query.cursor.column
            self._columns = [named] if isinstance(named, str) else list(named)
        self._place = place
        self._emit = emit
        self._context = context
        self._limit_secs = limit_secs
        self._session: Session | None = None
        self._at: Any = None
        self._stored: Any = None
        self._seen: dict[str, Any] = {}
        self._found = 0

    async def begin(self) -> None:
        """Go on from what is stored; at the very first start, store where it begins."""
        position, places = await self._context.position(), await self._context.places()
        begun = places.pop(_BEGUN, False)
        if isinstance(position, dict):
            self._at = self._stored = position.get("at")
            self._seen = places
            return
        start = self._cursor.start if self._cursor is not None else "earliest"
        if position is not None or begun:  # it was reset; to earliest, if there is no position
            start = position or "earliest"
        known: dict[str, Any] = {**dict.fromkeys(places), _BEGUN: True}
        if start == "latest":
            known |= await self._note()
        elif start != "earliest":
            self._at = start
        await self._context.keep(known, position={"at": self._at})
        self._stored = self._at

    async def look(self) -> None:
        """Emit the rows that are new, page by page."""
        if self._session is None:
            self._session = await self._place.connect()
        session, query = self._session, self._query.query
        low = self._low(self._at)
        if self._columns:
            nulls = session.query(null_sql(self._place.kind, query, self._columns), max_rows=1)
            if found := await self._bounded(nulls):
                raise DatabaseFailed(
                    f"the cursor {' or '.join(self._columns)} is null in {_shown(found[0])}: "
                    "choose a column that is never null, or leave such rows out of the query"
                )
        text = poll_sql(self._place.kind, query, self._columns, bounded=low is not None)
        looked: set[str] = set()
        pages = session.pages(text, [] if low is None else [low], _PAGE)
        async with aclosing(pages):
            while page := await self._bounded(anext(pages, None)):
                await self._take(page, looked)
        if self._cursor is None and (gone := self._seen.keys() - looked):
            await self._context.keep(dict.fromkeys(gone))
            for name in gone:
                del self._seen[name]

    def summary(self) -> str:
        """What the source is at, for people."""
        at = "" if self._at is None else f"at {to_text(self._at)}, "
        return f"{at}{self._found} rows since the start"

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _low(self, at: Any) -> Any:
        return None if self._cursor is None else earlier(at, self._cursor.overlap)

    async def _bounded(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._limit_secs):
                return await work
        except TimeoutError as error:
            raise DatabaseFailed(
                f"the query took longer than {format_duration(self._limit_secs)}: "
                "an index on the cursor helps, or a longer statement_timeout",
                transient=True,
            ) from error

    async def _take(self, page: list[Row], looked: set[str]) -> None:
        """Emit what is new of a page; all that is to be known of it is stored afterwards."""
        if self._columns:
            looked.clear()  # of earlier pages the overlap is known, and the rest is behind us
        fresh = [named for row in page if (named := self._named(row, looked)) is not None]
        if not fresh:
            return
        at = self._at
        for one in fresh:
            at = later(at, one.value) if self._columns else None
        low, gone = self._low(at), self._passed(at)
        position = {"at": at}
        batch: list[Received] = []
        for one in fresh:
            # What the next look will not read again need not be remembered.
            places = {one.name: one.value} if low is None or _reaches(one.value, low) else {}
            if not batch:
                places |= dict.fromkeys(gone)
            batch.append(Received(data=one.row, key=one.key, position=position, places=places))
        receipts = await self._emit.many(batch)
        unwanted = [one for one, got in zip(batch, receipts, strict=True) if got.event is None]
        if unwanted:
            known = {name: place for one in unwanted for name, place in one.places.items()}
            await self._context.keep(known, position=position)
        self._at = at
        self._found += len(fresh)
        for sent in batch:
            self._seen.update(sent.places)
        for name in gone:
            del self._seen[name]

    def _passed(self, at: Any) -> list[str]:
        """What was seen and lies before the overlap of this value."""
        low = self._low(at)
        if low is None:
            return []
        return [name for name, value in self._seen.items() if not _reaches(value, low)]

    def _named(self, row: Row, looked: set[str]) -> "_Named | None":
        """A row with its name, if it was not seen."""
        try:
            asked = self._query.id
            id_ = None if asked is None else asked.evaluate({"event": {"data": row}})
        except EvaluationError as error:
            raise DatabaseFailed(f"id: {error}") from error
        if self._columns:
            name, value = version(id_, row, self._columns), row[self._columns[0]]
        else:
            value = digest(row)
            name = value if id_ is None else digest(id_)
            if len(looked) >= _MOST_WITHOUT_CURSOR:
                raise DatabaseFailed(
                    f"the query gives more than {_MOST_WITHOUT_CURSOR} rows: give it a cursor"
                )
        known = name in looked or (
            name in self._seen if self._columns else self._seen.get(name) == value
        )
        looked.add(name)
        key = None if id_ is None else to_text(id_)
        return None if known else _Named(name, value, key, row)

    async def _note(self) -> dict[str, Any]:
        """Take all that is there as seen."""
        if self._session is None:
            self._session = await self._place.connect()
        session, kind, query = self._session, self._place.kind, self._query.query
        if self._columns:
            newest = session.query(last_sql(kind, query, self._columns), max_rows=1)
            last = await self._bounded(newest)
            self._at = last[0]["last"] if last else None
        low = self._low(self._at)
        text = poll_sql(kind, query, self._columns, bounded=low is not None)
        looked: set[str] = set()
        pages = session.pages(text, [] if low is None else [low], _PAGE)
        async with aclosing(pages):
            while page := await self._bounded(anext(pages, None)):
                for row in page:
                    if (one := self._named(row, looked)) is not None:
                        self._seen[one.name] = one.value
        return dict(self._seen)


class _Named(Struct, frozen=True):
    """A row, what it is called, and the cursor's value or the row's digest."""

    name: str
    value: Any
    key: str | None
    row: Row


def _reaches(value: Any, low: Any) -> bool:
    """Whether a look from `low` on reads this value; in doubt it does."""
    try:
        return bool(value >= low)
    except TypeError:
        return True


def _shown(row: Row) -> str:
    text = ", ".join(f"{name} {to_text(value)}" for name, value in list(row.items())[:3])
    return f"the row {text}"
