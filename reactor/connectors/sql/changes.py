"""The `postgres` source: changes from the write-ahead log, or notifications."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from reactor.connectors.sql.dsn import ConnectionName, Dsn, database, settings
from reactor.connectors.sql.notify import Also, listen
from reactor.connectors.sql.polling import check_query
from reactor.connectors.sql.rows import Query, Rows
from reactor.connectors.sql.wal.follow import Wanted, follow
from reactor.connectors.sql.wal.slot import Names
from reactor.errors import DatabaseFailed, SourceFailed
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.spec import Complaint, Config, Fields, doc, source
from reactor.units import Duration

Op = Literal["insert", "update", "delete", "truncate"]
_OPS: tuple[Op, ...] = ("insert", "update", "delete", "truncate")
_OF_WAL = ("tables", "ops", "snapshot", "slot", "publication")
_OF_NOTIFY = ("channels", "also")
_LOOK_SECS = 30.0


class CatchUp(Query, frozen=True):
    """The query that notifications say to ask."""

    every: Annotated[Duration, doc("So often it is asked without a notification too.", "1m")] = (
        Duration(60)
    )


class Postgres(Config, frozen=True):
    """Which changes of which database."""

    dsn: Dsn = None
    connection: ConnectionName = None
    mode: Annotated[
        Literal["wal", "notify"],
        doc("wal: each change of rows, from the log. notify: what others NOTIFY.", form="literal"),
    ] = "wal"
    tables: Annotated[
        list[str], doc("wal: the tables, as name or schema.name.", ["orders"], form="literal")
    ] = msgspec.field(default_factory=list)
    ops: Annotated[
        list[Op], doc("wal: which changes; all of them by default.", ["insert"], form="literal")
    ] = msgspec.field(default_factory=lambda: list(_OPS))
    snapshot: Annotated[
        bool,
        doc("wal: whether the rows that are there at the first start come first, as op snapshot."),
    ] = True
    slot: Annotated[
        str | None,
        doc(
            "wal: the replication slot; made if it is missing. A name of your own lives on when "
            "tables are added.",
            "shop_orders",
            form="literal",
        ),
    ] = None
    publication: Annotated[
        str | None,
        doc(
            "wal: the publication; made, or given the tables that it lacks. The slot's name by "
            "default.",
            "shop_orders",
            form="literal",
        ),
    ] = None
    channels: Annotated[
        list[str], doc("notify: the channels to listen to.", ["orders"], form="literal")
    ] = msgspec.field(default_factory=list)
    also: Annotated[
        CatchUp | None,
        doc(
            "notify: a query as of the sql source. Its new rows are the events then, and a "
            "notification only says when to look: nothing is lost."
        ),
    ] = None


class PostgresFields(Fields, frozen=True, kw_only=True):
    """What a change brings."""

    lsn: Annotated[str, doc("wal: where the transaction's commit stands in the log.")]
    xid: Annotated[int, doc("wal: the transaction's number; null in a snapshot.")]
    committed: Annotated[datetime, doc("wal: when it was committed; null in a snapshot.")]
    channel: Annotated[str, doc("notify: the channel.")]
    pid: Annotated[int, doc("notify: the process of the server that notified.")]


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a config as written, beyond types."""
    if "dsn" in written and "connection" in written:
        yield ("connection",), "dsn and connection exclude each other: drop one of them"
    notifies = written.get("mode") == "notify"
    needed, foreign = ("channels", _OF_WAL) if notifies else ("tables", _OF_NOTIFY)
    mode = "notify" if notifies else "wal"
    for name in foreign:
        if name in written:
            other = "wal" if notifies else "notify"
            yield (name,), f"{name} belongs to mode: {other}, and this is {mode}"
    if not written.get(needed):
        yield (needed,) if needed in written else (), f"mode: {mode} needs {needed}"
    if written.get("ops") == []:
        yield ("ops",), f"ops names at least one of {', '.join(_OPS)}"
    slot = written.get("slot")
    if isinstance(slot, str) and not _is_slot_name(slot):
        yield ("slot",), f"{slot!r} is no name of a slot: [a-z0-9_], at most 63 characters"
    if isinstance(also := written.get("also"), Mapping):
        yield from check_query(also, ("also",))


@source(
    "postgres",
    fields=PostgresFields,
    # Other ops are no reason to tell all rows again.
    identity=("dsn", "connection", "mode", "tables", "slot", "publication", "channels", "also"),
    check=_complaints,
    guarantee=(
        "wal: exactly once, in the order of commits: the place in the log is stored with the "
        "changes; notify: at most once, or as sure as the query of also"
    ),
    examples=[
        "postgres: {dsn: '${{ secrets.shop_dsn }}', tables: [orders]}",
        "postgres: {connection: shop, tables: [orders], ops: [insert], snapshot: false}",
        "postgres: {connection: shop, mode: notify, channels: [orders]}",
    ],
)
async def postgres(config: Postgres, emit: Emit, context: SourceContext) -> None:
    """Changes of tables in PostgreSQL, or its notifications.

    Data of a change is `{op schema table old new}`, of a notification its payload.
    """
    try:
        dsn = settings(config.dsn, config.connection, context).dsn
        place = database(dsn, context.files.base)
    except DatabaseFailed as error:
        raise SourceFailed(str(error), fatal=True) from error
    if place.kind != "postgres":
        raise SourceFailed("the dsn is not one of PostgreSQL: use the sql source", fatal=True)
    try:
        if config.mode == "wal":
            await follow(_wanted(config, dsn, context.instance), emit, context)
        else:
            await _listen(config, dsn, emit, context)
    except DatabaseFailed as error:
        raise SourceFailed(str(error), lost=error.transient) from error


def _wanted(config: Postgres, dsn: str, instance: str) -> Wanted:
    slot = config.slot or f"reactor_{instance.partition(':')[2] or instance}"
    return Wanted(
        dsn=dsn,
        tables=tuple(config.tables),
        ops=tuple(config.ops),
        snapshot=config.snapshot,
        names=Names(
            slot=slot,
            publication=config.publication or slot,
            own_publication=config.publication is None,
        ),
    )


async def _listen(config: Postgres, dsn: str, emit: Emit, context: SourceContext) -> None:
    also = None
    if config.also is not None:
        place = database(dsn, context.files.base)
        rows = Rows(config.also, place, emit, context, limit_secs=_LOOK_SECS)
        also = Also(rows, float(config.also.every))
    try:
        await listen(dsn, config.channels, also, emit, context)
    finally:
        if also is not None:
            await also.rows.close()


def _is_slot_name(name: str) -> bool:
    return 0 < len(name) <= 63 and all(
        each in "abcdefghijklmnopqrstuvwxyz0123456789_" for each in name
    )
