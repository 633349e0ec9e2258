"""SQL that is generated: quoted names, upserts, the table of keys done."""

from collections.abc import Mapping, Sequence
from typing import Any

from reactor.connectors.sql.database import Kind
from reactor.errors import DatabaseFailed

# SQLite takes "…" for a text where there is no such column; `…` is always a name.
_MARKS: Mapping[Kind, str] = {"postgres": '"', "mysql": "`", "sqlite": "`"}
BATCH = 1000


def quoted(name: str, kind: Kind) -> str:
    """A name of a table or column, `schema.table` too, that no text can break out of."""
    mark = _MARKS[kind]
    parts = name.split(".")
    if not all(parts) or "\x00" in name:
        raise DatabaseFailed(f"{name!r} is no name of a table or column")
    return ".".join(mark + part.replace(mark, mark * 2) + mark for part in parts)


def column(name: str, kind: Kind) -> str:
    """A name of a column, in which a dot is part of the name."""
    mark = _MARKS[kind]
    if not name or "\x00" in name:
        raise DatabaseFailed(f"{name!r} is no name of a column")
    return mark + name.replace(mark, mark * 2) + mark


def upsert_sql(
    kind: Kind, table: str, columns: Sequence[str], conflict: Sequence[str], set_: Sequence[str]
) -> str:
    """An insert of one row that changes the columns of `set_` where the row is there already."""
    names = [column(name, kind) for name in columns]
    marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    # Values of a list of parameters stand in one pair of brackets: pymysql makes batches of that.
    sql = f"insert into {quoted(table, kind)} ({', '.join(names)}) values ({marks})"  # noqa: S608
    if not conflict:
        return sql
    targets = ", ".join(column(name, kind) for name in conflict)
    changed = [column(name, kind) for name in set_]
    if kind == "mysql":
        kept = column(conflict[0], kind)
        sets = ", ".join(f"{name} = values({name})" for name in changed) or f"{kept} = {kept}"
        return f"{sql} on duplicate key update {sets}"
    sets = ", ".join(f"{name} = excluded.{name}" for name in changed)
    does = f"do update set {sets}" if changed else "do nothing"
    return f"{sql} on conflict ({targets}) {does}"


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that all rows have."""
    columns = list(rows[0])
    for number, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            odd = ", ".join(sorted(row.keys() ^ rows[0].keys()))
            raise DatabaseFailed(
                f"row {number} has other columns than row 0 ({odd}): give all rows the same, "
                "null where there is no value"
            )
    return columns


def once_table_sql(kind: Kind, table: str) -> str:
    """The table in which keys of steps are kept that were done."""
    key = "varchar(255)" if kind == "mysql" else "text"
    text = "longtext" if kind == "mysql" else "text"
    done = "timestamptz" if kind == "postgres" else "timestamp"
    return (
        f"create table if not exists {quoted(table, kind)} ("
        f"{column('key', kind)} {key} not null primary key, {column('output', kind)} {text}, "
        f"{column('done', kind)} {done} not null default current_timestamp)"
    )


def once_claim_sql(kind: Kind, table: str) -> str:
    """Claim a key; it touches no row where the key is there already."""
    name, key = quoted(table, kind), column("key", kind)
    if kind == "mysql":
        return f"insert ignore into {name} ({key}) values ($1)"  # noqa: S608
    return f"insert into {name} ({key}) values ($1) on conflict do nothing"  # noqa: S608


def once_output_sql(kind: Kind, table: str) -> str:
    """What a key's statements gave."""
    output, key = column("output", kind), column("key", kind)
    return f"select {output} as found from {quoted(table, kind)} where {key} = $1"  # noqa: S608


def once_keep_sql(kind: Kind, table: str) -> str:
    """Keep what a key's statements gave."""
    output, key = column("output", kind), column("key", kind)
    return f"update {quoted(table, kind)} set {output} = $2 where {key} = $1"  # noqa: S608
