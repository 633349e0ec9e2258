"""The `mysql` source: changes from the binary log of MySQL and MariaDB."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from reactor.connectors.sql.binlog.follow import Wanted, follow
from reactor.connectors.sql.dsn import ConnectionName, Dsn, database, settings
from reactor.connectors.sql.mysql import MysqlDatabase
from reactor.errors import DatabaseFailed, SourceFailed
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.spec import Complaint, Config, Fields, doc, source

Op = Literal["insert", "update", "delete", "truncate"]
_OPS: tuple[Op, ...] = ("insert", "update", "delete", "truncate")


class Mysql(Config, frozen=True, kw_only=True):
    """Which changes of which database."""

    dsn: Dsn = None
    connection: ConnectionName = None
    tables: Annotated[
        list[str], doc("The tables, as name or database.name.", ["orders"], form="literal")
    ]
    ops: Annotated[
        list[Op], doc("Which changes; all of them by default.", ["insert"], form="literal")
    ] = msgspec.field(default_factory=lambda: list(_OPS))
    snapshot: Annotated[
        bool, doc("Whether the rows that are there at the first start come first, as op snapshot.")
    ] = True


class MysqlFields(Fields, frozen=True, kw_only=True):
    """What a change brings."""

    gtid: Annotated[str, doc("The transaction's GTID; in a snapshot the place it begins at.")]
    committed: Annotated[datetime, doc("When it was committed; null in a snapshot.")]


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a config as written, beyond types."""
    if "dsn" in written and "connection" in written:
        yield ("connection",), "dsn and connection exclude each other: drop one of them"
    if written.get("tables") == []:
        yield ("tables",), "tables names at least one"
    if written.get("ops") == []:
        yield ("ops",), f"ops names at least one of {', '.join(_OPS)}"


@source(
    "mysql",
    fields=MysqlFields,
    # Other ops are no reason to tell all rows again.
    identity=("dsn", "connection", "tables"),
    check=_complaints,
    guarantee=(
        "exactly once, in the order of commits: the GTID and the row's number are stored with the "
        "changes"
    ),
    examples=[
        "mysql: {dsn: '${{ secrets.shop_dsn }}', tables: [orders]}",
        "mysql: {connection: shop, tables: [orders, billing.invoices], ops: [insert, delete]}",
        "mysql: {connection: shop, tables: [orders], snapshot: false}",
    ],
)
async def mysql(config: Mysql, emit: Emit, context: SourceContext) -> None:
    """Changes of tables in MySQL or MariaDB; data is `{op schema table old new}`."""
    try:
        dsn = settings(config.dsn, config.connection, context).dsn
        place = database(dsn, context.files.base)
    except DatabaseFailed as error:
        raise SourceFailed(str(error), fatal=True) from error
    if not isinstance(place, MysqlDatabase):
        raise SourceFailed("the dsn is not one of MySQL: use the sql source", fatal=True)
    wanted = Wanted(
        database=place,
        tables=tuple(config.tables),
        ops=tuple(config.ops),
        snapshot=config.snapshot,
    )
    try:
        await follow(wanted, emit, context)
    except DatabaseFailed as error:
        raise SourceFailed(str(error), lost=error.transient) from error
