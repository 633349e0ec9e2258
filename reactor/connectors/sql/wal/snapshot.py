"""The rows that are there before the first change, as they were at the slot's first moment."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Protocol

from reactor.connectors.sql.database import Kind, Session
from reactor.connectors.sql.postgresql import PostgresSession
from reactor.connectors.sql.statements import column
from reactor.connectors.sql.wal.messages import key_of, lsn_text
from reactor.connectors.sql.wal.tables import Lookup, Table
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext

_PAGE = 1000
_COLUMNS = """
select a.attname::text as name, a.atttypid::bigint as oid from pg_attribute a
where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
"""
DONE = "done"


async def tell_rows(
    session: PostgresSession,
    tables: Sequence[Table],
    emit: Emit,
    context: SourceContext,
    *,
    snapshot: str | None,
    lsn: int,
) -> None:
    """Emit every row of the tables as `op: snapshot`, in pages, ordered by primary key.

    With the name of an exported snapshot it is the state at which the slot begins. Without, after
    an interruption, the rows that are left are read as they are now: what changed meanwhile comes
    again as a change. How far each table was read is kept as a place.
    """
    places = await context.places()
    lookup = Lookup(session)
    for table in tables:
        told = await session.query(_COLUMNS, [table.oid], max_rows=10_000)
        oids = [row["oid"] for row in told]
        for oid, parse in zip(oids, await lookup.parsers(oids), strict=True):
            session.learn(oid, parse)
    async with session.transaction():
        await session.execute("set transaction isolation level repeatable read, read only")
        if snapshot is not None:
            await session.execute(f"set transaction snapshot '{snapshot}'")
        for table in tables:
            name = f"{table.schema}.{table.name}"
            if places.get(name) != DONE:
                fields = {"lsn": lsn_text(lsn), "xid": None, "committed": None}
                await tell_table(
                    session, table, emit, context, after=places.get(name), fields=fields
                )


class Told(Protocol):
    """A table whose rows are told."""

    @property
    def schema(self) -> str:
        """What the table belongs to."""
        ...

    @property
    def name(self) -> str:
        """Its name there."""
        ...

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of its primary key."""
        ...

    @property
    def quoted(self) -> str:
        """Its whole name in SQL."""
        ...


async def tell_table(
    session: Session,
    table: Told,
    emit: Emit,
    context: SourceContext,
    *,
    after: Sequence[Any] | None,
    fields: dict[str, Any],
    kind: Kind = "postgres",
) -> None:
    """Emit the rows of a table, those behind a key; each page keeps how far it got."""
    name = f"{table.schema}.{table.name}"
    keys = ", ".join(column(each, kind) for each in table.key)
    text, params = f"select * from {table.quoted}", list[Any]()  # noqa: S608
    if keys:
        if after is not None:
            params = list(after)
            marks = ", ".join(f"${number}" for number in range(1, len(params) + 1))
            text += f" where ({keys}) > ({marks})"
        text += f" order by {keys}"
    async with aclosing(session.pages(text, params, _PAGE)) as pages:
        async for page in pages:
            last = [page[-1][each] for each in table.key] or None
            batch = [
                Received(
                    data={
                        "op": "snapshot",
                        "schema": table.schema,
                        "table": table.name,
                        "old": None,
                        "new": row,
                    },
                    key=key_of(name, table.key, row),
                    fields=fields,
                    places={name: last} if row is page[-1] and last else {},
                )
                for row in page
            ]
            receipts = await emit.many(batch)
            if receipts[-1].event is None and last:
                await context.keep({name: last})
    await context.keep({name: DONE})
