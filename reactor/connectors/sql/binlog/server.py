"""What a server must be like so that its binary log says all: settings, rights, tables."""

import re

from msgspec import Struct

from reactor.connectors.sql.binlog.gtid import ahead, count
from reactor.connectors.sql.database import Session
from reactor.connectors.sql.statements import quoted
from reactor.errors import DatabaseFailed, SourceFailed

_SETTINGS = """
show global variables where variable_name in ('log_bin', 'binlog_format', 'binlog_row_image',
 'binlog_row_metadata', 'server_id', 'log_bin_compress', 'binlog_transaction_compression',
 'binlog_row_value_options', 'gtid_mode', 'version')
"""
_TABLE = """
select table_schema as schema_, table_name as name, table_type as type_
from information_schema.tables where table_schema = $1 and table_name = $2
"""
_COLUMNS = """
select column_name as name, data_type as type_
from information_schema.columns where table_schema = $1 and table_name = $2
order by ordinal_position
"""
_KEY = """
select column_name as name from information_schema.statistics
where table_schema = $1 and table_name = $2 and index_name = 'PRIMARY' order by seq_in_index
"""
_MOST = 10_000
_TRIES = 20
# Settings that may be mended while the server runs, with the value that they need.
_NEEDED = {
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
    "log_bin_compress": "OFF",
    "binlog_transaction_compression": "OFF",
    "binlog_row_value_options": "",
}
# Words of both servers for a place from which they cannot go on.
_GONE = re.compile(r"purged|GTID|not in the", re.IGNORECASE)


class Table(Struct, frozen=True):
    """A table that is followed."""

    schema: str
    name: str
    key: tuple[str, ...]
    types: dict[str, str]

    @property
    def quoted(self) -> str:
        """Its name in SQL."""
        return quoted(f"{self.schema}.{self.name}", "mysql")


class Server(Struct, frozen=True):
    """What answers, and what it lacks, as words and SQL."""

    mariadb: bool
    version: str
    lacks: tuple[str, ...]


async def look(session: Session) -> Server:
    """The server as it is set up."""
    rows = await session.query(_SETTINGS, max_rows=_MOST)
    found = {str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows}
    version = found.get("version", "")
    mariadb = "mariadb" in version.lower()
    lacks = []
    if found.get("log_bin") not in ("ON", "1"):
        lacks.append("log_bin = binlog in the [mysqld] part of its configuration (then restart it)")
    if found.get("server_id") == "0":
        lacks.append("SET GLOBAL server_id = 1")
    if "binlog_row_metadata" not in found:
        lacks.append("a version that knows binlog_row_metadata: MariaDB 10.5 or MySQL 8.0.1")
    for name, value in _NEEDED.items():
        if name in found and found[name].upper() != value:
            lacks.append(f"SET GLOBAL {name} = '{value}' (it is {found[name]})")
    if not mariadb and found.get("gtid_mode") != "ON":
        lacks.append("gtid_mode = ON and enforce_gtid_consistency = ON in its configuration")
    if (grant := await _missing_grant(session)) is not None:
        lacks.append(grant)
    return Server(mariadb, version, tuple(lacks))


async def check(session: Session) -> Server:
    """The same; raises `DatabaseFailed` where something is missing."""
    server = await look(session)
    if server.lacks:
        raise DatabaseFailed(
            "the server's binary log does not say all that is needed. What mends it: "
            + "; ".join(server.lacks)
            + ". Write settings into its configuration too, and let its clients connect anew"
        )
    return server


async def find_table(session: Session, written: str, schema: str | None) -> Table:
    """A table by its name; raises `DatabaseFailed` if it is not there."""
    before, _, name = written.rpartition(".")
    where = before or schema
    if not where:
        raise DatabaseFailed(
            f"table {written!r}: the dsn names no database: write it as database.table"
        )
    found = await session.query(_TABLE, [where, name], max_rows=1)
    if not found:
        user = await _user(session)
        raise DatabaseFailed(
            f"there is no table {where}.{name}, or no right to see it: "
            f"GRANT SELECT ON {quoted(f'{where}.{name}', 'mysql')} TO {user}"
        )
    if found[0]["type_"] != "BASE TABLE":
        raise DatabaseFailed(
            f"{where}.{name} is a {str(found[0]['type_']).lower()}: only tables have changes"
        )
    where, name = found[0]["schema_"], found[0]["name"]
    key = await session.query(_KEY, [where, name], max_rows=_MOST)
    columns = await session.query(_COLUMNS, [where, name], max_rows=_MOST)
    types = {row["name"]: str(row["type_"]).lower() for row in columns}
    return Table(where, name, tuple(row["name"] for row in key), types)


async def begin_snapshot(session: Session, *, mariadb: bool) -> str:
    """Begin a transaction that sees one moment; the place of that moment in the log."""
    await session.execute("set transaction isolation level repeatable read")
    if mariadb:
        # Exact, and without a lock: gtid_binlog_pos is ahead of what the tables show.
        await session.execute("start transaction with consistent snapshot")
        rows = await session.query("show status like 'binlog_snapshot_%'", max_rows=_MOST)
        told = {str(row["Variable_name"]).lower(): row["Value"] for row in rows}
        params = [told["binlog_snapshot_file"], int(told["binlog_snapshot_position"])]
        (row,) = await session.query("select binlog_gtid_pos($1, $2) as gtid", params, max_rows=1)
        if row["gtid"] is None:
            raise DatabaseFailed("the log was rotated meanwhile", transient=True)
        return str(row["gtid"])
    # A moment in which nothing is committed; else the earlier place: what was committed in
    # between comes as a row and again as a change, and nothing is missed.
    for left in reversed(range(_TRIES)):
        before = await latest(session, mariadb=False)
        await session.execute("start transaction with consistent snapshot")
        if not left or before == await latest(session, mariadb=False):
            return before
        await session.execute("rollback")
    raise AssertionError


async def latest(session: Session, *, mariadb: bool) -> str:
    """The place of the present."""
    name = "gtid_binlog_pos" if mariadb else "gtid_executed"
    (row,) = await session.query(f"select @@global.{name} as gtid", max_rows=1)
    found = str(row["gtid"] or "").replace("\n", "")
    if not found and not mariadb:
        # The library takes no place for the present, which is later than the snapshot.
        raise DatabaseFailed("gtid_executed is empty: any transaction will fill it")
    return found


async def behind(session: Session, at: str, *, mariadb: bool) -> int:
    """How many transactions of the log come after a place."""
    if mariadb:
        return ahead(await latest(session, mariadb=True), at)
    text = "select gtid_subtract(@@global.gtid_executed, $1) as more"
    (row,) = await session.query(text, [at], max_rows=1)
    return count(str(row["more"]))


def explained(error: DatabaseFailed, at: str) -> DatabaseFailed | SourceFailed:
    """The server's refusal to send its log, with what it means."""
    text = str(error)
    if error.code in ("1236", "1945", "1955") and re.search(
        r"purged|GTID|not in the", text, re.IGNORECASE
    ):
        return SourceFailed(
            f"the binary log has no longer what came after {at or 'the beginning'} ({text}): "
            "changes since then are lost here. To begin anew run reactor sources reset ID --to "
            "earliest (all rows again) or latest (only what comes), and let the server keep its "
            "log for longer (binlog_expire_logs_seconds)",
            fatal=True,
        )
    if error.code in ("1227", "1045") and "REPLICATION" in text.upper():
        return DatabaseFailed(f"{text}: GRANT REPLICATION SLAVE ON *.* TO this user", code="1227")
    return error


async def _missing_grant(session: Session) -> str | None:
    rows = await session.query("show grants", max_rows=_MOST)
    grants = [str(next(iter(row.values()))).upper() for row in rows]
    allowed = any(
        " ON *.* " in one
        and ("REPLICATION SLAVE" in one or "REPLICATION REPLICA" in one or "ALL PRIVILEGES" in one)
        for one in grants
    )
    # What a role of MySQL allows is not said here.
    if allowed or any(" ON " not in one for one in grants):
        return None
    return f"GRANT REPLICATION SLAVE ON *.* TO {await _user(session)}"


async def _user(session: Session) -> str:
    (row,) = await session.query("select current_user() as name", max_rows=1)
    name, _, host = str(row["name"]).rpartition("@")
    return f"'{name}'@'{host}'"
