"""Connections of kind sql: where a database is, and what it lacks for what flows want of it."""

import asyncio
from typing import Annotated

import msgspec

from reactor.connectors.sql.binlog.server import look
from reactor.connectors.sql.database import Session
from reactor.connectors.sql.dsn import FORMS, database
from reactor.errors import DatabaseFailed, SourceFailed
from reactor.plugin.spec import Config, connection, doc

_ANSWER_SECS = 4.0
_ROLE = """
select current_user::text as name, rolreplication or rolsuper as replicates,
       has_database_privilege(current_database(), 'CREATE') as creates,
       current_setting('wal_level') as wal_level, current_setting('server_version') as version
from pg_roles where rolname = current_user
"""
_SLOTS = """
select slot_name::text as name, active, wal_status,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint as kept
from pg_replication_slots where database = current_database()
"""


class Sql(Config, frozen=True):
    """A database."""

    dsn: Annotated[str, doc(f"Where it is: {FORMS}.", "${{ secrets.shop_dsn }}")]
    max: Annotated[
        int, msgspec.Meta(ge=1, le=1000), doc("The most connections that steps may use at once.")
    ] = 5


@connection("sql")
async def sql(config: Sql) -> str:
    """A database: PostgreSQL, MySQL, MariaDB or SQLite."""
    try:
        async with asyncio.timeout(_ANSWER_SECS):
            place = database(config.dsn, ".")
            session = await place.connect()
            try:
                if place.kind == "postgres":
                    return await _postgres(session)
                if place.kind == "mysql":
                    return await _mysql(session)
                return await _sqlite(session)
            finally:
                await session.close()
    except DatabaseFailed as error:
        raise SourceFailed(str(error)) from error


async def _sqlite(session: Session) -> str:
    (found,) = await session.query("select sqlite_version() as is_", max_rows=1)
    return f"sqlite answers: version {found['is_']}"


async def _mysql(session: Session) -> str:
    """What answers; then what the `mysql` source would need, with the SQL that gives it."""
    server = await look(session)
    needs = "; ".join(server.lacks)
    ready = f"the mysql trigger needs {needs}" if needs else "ready for the mysql trigger"
    return f"mysql answers: version {server.version}; {ready}"


async def _postgres(session: Session) -> str:
    """What answers; then what the `postgres` source would need, with the SQL that gives it."""
    (role,) = await session.query(_ROLE, max_rows=1)
    said = [f"postgres answers: version {role['version']}"]
    lacks = []
    if role["wal_level"] != "logical":
        lacks.append("ALTER SYSTEM SET wal_level = 'logical' (then restart PostgreSQL)")
    quoted = '"' + role["name"].replace('"', '""') + '"'
    if not role["replicates"]:
        lacks.append(f"ALTER ROLE {quoted} REPLICATION")
    if not role["creates"]:
        lacks.append(f"GRANT CREATE ON DATABASE … TO {quoted} (or make the publication for it)")
    said.append(f"mode: wal needs {'; '.join(lacks)}" if lacks else "ready for mode: wal")
    for slot in await session.query(_SLOTS, max_rows=1000):
        kept = f"keeps {(slot['kept'] or 0) >> 20} MiB of the log"
        if slot["wal_status"] == "lost":
            drop = f"SELECT pg_drop_replication_slot('{slot['name']}')"
            said.append(f"slot {slot['name']} is invalid: {drop}")
        else:
            said.append(f"slot {slot['name']} {'is read' if slot['active'] else 'is idle'}, {kept}")
    return "; ".join(said)
