"""The publication and the slot: made where they are missing, looked at before they are used."""

import logging
from collections.abc import Sequence

from msgspec import Struct

from reactor.connectors.sql.database import Session
from reactor.connectors.sql.wal.messages import lsn_number, lsn_text
from reactor.connectors.sql.wal.stream import Stream
from reactor.connectors.sql.wal.tables import Table
from reactor.errors import DatabaseFailed, SourceFailed
from reactor.units import format_size

WARN_BYTES = 1 << 30
_SETTINGS = """
select current_setting('wal_level') as level,
       (select setting from pg_settings where name = 'wal_sender_timeout') as patience
"""
_SLOT = """
select plugin::text as plugin, slot_type, database::text as database, wal_status, active,
       active_pid, confirmed_flush_lsn::text as confirmed,
       current_database()::text as here
from pg_replication_slots where slot_name = $1
"""
_LAG = """
select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint as behind,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint as kept, wal_status,
       safe_wal_size
from pg_replication_slots where slot_name = $1
"""
_LEFT = """
select slot_name::text as slot from pg_replication_slots
where slot_name like 'reactor\\_%' and not active and slot_name <> $1
      and database = current_database()
"""
_PUBLISHED = """
select schemaname::text as schema, tablename::text as name from pg_publication_tables
where pubname = $1
"""
_MOST = 10_000


class Names(Struct, frozen=True):
    """The slot and the publication of a source; `own` ones were not named by the flow."""

    slot: str
    publication: str
    own_publication: bool


async def check_server(session: Session) -> int:
    """How many ms the server waits for a word of ours (0: for ever).

    Raises `DatabaseFailed` with what to change where the server cannot decode its log.
    """
    (found,) = await session.query(_SETTINGS, max_rows=1)
    if found["level"] == "logical":
        return int(found["patience"])
    raise DatabaseFailed(
        f"wal_level is {found['level']}: run ALTER SYSTEM SET wal_level = 'logical' and restart "
        "PostgreSQL"
    )


def check_tables(tables: Sequence[Table], ops: Sequence[str]) -> None:
    """Whether updates and deletes of the tables can be published at all.

    PostgreSQL refuses such statements on a published table whose rows nothing tells apart, so
    publishing it would break those who write to it.
    """
    if not {"update", "delete"} & set(ops):
        return
    for table in tables:
        if not table.told_by:
            raise DatabaseFailed(
                f"table {table.schema}.{table.name} has no primary key: give it one, or run "
                f"ALTER TABLE {table.quoted} REPLICA IDENTITY FULL, or write ops: [insert]"
            )


async def make_publication(
    session: Session,
    names: Names,
    tables: Sequence[Table],
    ops: Sequence[str],
    log: logging.Logger,
) -> None:
    """Make the publication, or add to it what it lacks."""
    name = '"' + names.publication.replace('"', '""') + '"'
    listed = ", ".join(table.quoted for table in tables)
    publish = f"publish = '{', '.join(ops)}'"
    there = await session.query(
        "select 1 as one from pg_publication where pubname = $1", [names.publication], max_rows=1
    )
    if not there:
        text = (
            f"CREATE PUBLICATION {name} FOR TABLE {listed} "
            f"WITH ({publish}, publish_via_partition_root = true)"
        )
        await _do(session, text)
        log.warning("made a publication in PostgreSQL", extra={"sql": text})
        return
    published = await session.query(_PUBLISHED, [names.publication], max_rows=_MOST)
    has = {(row["schema"], row["name"]) for row in published}
    lacks = [table for table in tables if (table.schema, table.name) not in has]
    if lacks:
        text = f"ALTER PUBLICATION {name} ADD TABLE {', '.join(t.quoted for t in lacks)}"
        await _do(session, text)
        log.warning("added tables to a publication in PostgreSQL", extra={"sql": text})
    if names.own_publication:
        await _do(session, f"ALTER PUBLICATION {name} SET ({publish})")


async def find_slot(session: Session, name: str) -> bool:
    """Whether the slot is there; raises `SourceFailed` where it is no use any more."""
    found = await session.query(_SLOT, [name], max_rows=1)
    if not found:
        return False
    slot = found[0]
    if slot["plugin"] != "pgoutput" or slot["database"] != slot["here"]:
        raise SourceFailed(
            f"slot {name!r} is another one ({slot['slot_type']} {slot['plugin'] or ''} of database "
            f"{slot['database']}): name another slot",
            fatal=True,
        )
    if slot["wal_status"] == "lost":
        raise SourceFailed(
            f"slot {name!r} is invalid: PostgreSQL has dropped the log that it needed "
            f"(max_slot_wal_keep_size), so changes since {slot['confirmed']} are lost here. To "
            f"begin anew run SELECT pg_drop_replication_slot('{name}') in the database, then "
            "reactor sources reset ID --to earliest (all rows again) or latest (only what comes)",
            fatal=True,
        )
    return True


def lost_slot(name: str, lsn: int) -> SourceFailed:
    """What to say when a slot that was used is gone."""
    return SourceFailed(
        f"slot {name!r} is gone: changes since {lsn_text(lsn)} are lost here. To begin anew run "
        "reactor sources reset ID --to earliest (all rows again) or latest (only what comes)",
        fatal=True,
    )


async def make_slot(stream: Stream, name: str, log: logging.Logger) -> tuple[int, str]:
    """Make a slot; where it begins, and the name of the snapshot of that very moment.

    The snapshot lives until the next command on the stream.
    """
    told = await stream.command(
        f'CREATE_REPLICATION_SLOT "{name}" LOGICAL pgoutput EXPORT_SNAPSHOT'
    )
    log.warning(
        "made a replication slot in PostgreSQL; while Reactor is away it keeps the log there",
        extra={"slot": name, "drop": f"SELECT pg_drop_replication_slot('{name}')"},
    )
    return lsn_number(told[1]), told[2]


async def advance_slot(session: Session, name: str) -> None:
    """Move a slot to the present: what came before is passed over."""
    await session.query(
        "select pg_replication_slot_advance($1, pg_current_wal_lsn())::text as moved",
        [name],
        max_rows=1,
    )


async def behind(session: Session, name: str) -> tuple[int, str | None]:
    """How many bytes of the log are not confirmed, and a warning if there is reason for one."""
    found = await session.query(_LAG, [name], max_rows=1)
    if not found or found[0]["behind"] is None:
        return 0, None
    row = found[0]
    warning = None
    if row["wal_status"] in ("unreserved", "lost"):
        warning = (
            f"slot {name!r} is about to be dropped by PostgreSQL: it is "
            f"{format_size(row['behind'])} behind and over max_slot_wal_keep_size"
        )
    elif (row["kept"] or 0) > WARN_BYTES:
        warning = f"slot {name!r} makes PostgreSQL keep {format_size(row['kept'])} of its log"
    return row["behind"], warning


async def left_behind(session: Session, name: str) -> list[str]:
    """Slots that look like ours and that nobody reads: they fill the server's disk."""
    return [row["slot"] for row in await session.query(_LEFT, [name], max_rows=_MOST)]


async def _do(session: Session, text: str) -> None:
    try:
        await session.execute(text)
    except DatabaseFailed as error:
        if error.transient:
            raise
        message = f"{error}: have it done by the tables' owner: {text}"
        raise DatabaseFailed(message, code=error.code) from error
