"""What the server knows of tables: their columns' types, their keys, whether rows can be told."""

from collections.abc import Iterable, Sequence
from functools import partial

from msgspec import Struct

from reactor.connectors.sql.database import Session
from reactor.connectors.sql.values import Parse, parser, plain_array
from reactor.connectors.sql.wal.messages import Known, Relation
from reactor.errors import DatabaseFailed

# Below it type numbers are PostgreSQL's own and the same everywhere.
_FIRST_OWN = 16_384
_KEY = """
select a.attname as name from pg_index i
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indrelid = $1 and i.indisprimary order by array_position(i.indkey, a.attnum)
"""
_TYPES = """
select oid::bigint as oid, typtype::text as kind, typelem::bigint as element,
       typbasetype::bigint as base, typcategory::text as category
from pg_type where oid = any($1::oid[])
"""
_FOUND = """
select $1 as written, to_regclass($1)::oid::bigint as oid, n.nspname as schema,
       c.relname as table, c.relreplident::text as identity, c.relkind::text as kind
from (select 1) one left join pg_class c on c.oid = to_regclass($1)
left join pg_namespace n on n.oid = c.relnamespace
"""
_MOST = 10_000


class Table(Struct, frozen=True):
    """A table that is followed, as it is now."""

    oid: int
    schema: str
    name: str
    identity: str
    key: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """Its name in SQL."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in (self.schema, self.name))

    @property
    def told_by(self) -> bool:
        """Whether the server can say which row an update or a delete is about."""
        return self.identity in "fi" or (self.identity == "d" and bool(self.key))


class Lookup:
    """Asks the server for what messages of the log do not say, once for each type and table."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._parsers: dict[int, Parse] = {}

    async def know(self, relation: Relation) -> Known:
        """A table of the log, ready to read its rows."""
        parsers = await self.parsers([column.oid for column in relation.columns])
        key = await self.key(relation.oid)
        names = [column.name for column in relation.columns]
        return Known(
            relation,
            name=f"{relation.schema}.{relation.table}",
            columns=tuple(zip(names, parsers, strict=True)),
            key=tuple(name for name in key if name in names),
        )

    async def key(self, oid: int) -> tuple[str, ...]:
        """The columns of a table's primary key."""
        found = await self._session.query(_KEY, [oid], max_rows=_MOST)
        return tuple(row["name"] for row in found)

    async def table(self, written: str) -> Table:
        """A table by its name as SQL writes it; raises `DatabaseFailed` if it is not there."""
        (found,) = await self._session.query(_FOUND, [written], max_rows=1)
        if found["oid"] is None:
            raise DatabaseFailed(
                f"there is no table {written}, or no right to see it: write it as schema.table, "
                "with double quotes where it has capital letters"
            )
        key = await self.key(found["oid"])
        return Table(found["oid"], found["schema"], found["table"], found["identity"], key)

    async def parsers(self, oids: Sequence[int]) -> list[Parse]:
        """How values of these types are read."""
        unknown = {oid for oid in oids if oid >= _FIRST_OWN and oid not in self._parsers}
        while unknown:
            unknown = await self._learn(unknown)
        return [self._parsers.get(oid) or parser(oid) for oid in oids]

    async def _learn(self, oids: Iterable[int]) -> set[int]:
        """Learn types; those that are made of others wait for them, which are given back."""
        asked = sorted(oids)
        rows = await self._session.query(_TYPES, [asked], max_rows=_MOST)
        parts = {row["oid"]: row for row in rows}
        missing: set[int] = set()
        for oid in asked:
            row = parts.get(oid)
            part = 0
            if row is not None and row["kind"] == "d":
                part = row["base"]
            elif row is not None and row["category"] == "A":
                part = row["element"]
            if part >= _FIRST_OWN and part not in self._parsers:
                missing |= {oid, part}
                continue
            inner: Parse = self._parsers.get(part) or parser(part)
            # A type that is gone, an enum, a composite, a range: the text says it.
            array = row is not None and row["kind"] != "d" and part != 0
            self._parsers[oid] = partial(plain_array, parse=inner) if array else inner
        return missing
