"""The `sql` source: a query asked again and again, each new row an event."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from reactor.connectors.sql.dsn import ConnectionName, Dsn, database, settings
from reactor.connectors.sql.rows import Query, Rows
from reactor.errors import DatabaseFailed, SourceFailed
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.spec import Complaint, doc, source
from reactor.units import Duration, parse_duration


class Poll(Query, frozen=True, kw_only=True):
    """Which rows of which database."""

    every: Annotated[Duration, doc("How long after a look the next one begins.", "30s")]
    dsn: Dsn = None
    connection: ConnectionName = None
    statement_timeout: Annotated[
        Duration, doc("How long the database may take for a page of rows.", "5m")
    ] = Duration(30)


def check_query(written: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterable[Complaint]:
    """What is wrong with a query to poll, beyond types."""
    cursor = written.get("cursor")
    if isinstance(cursor, Mapping):
        columns = cursor.get("column")
        if isinstance(columns, list) and not 1 <= len(columns) <= 2:
            yield (*path, "cursor", "column"), "a cursor is one column, or a list of two"
        overlap = cursor.get("overlap")
        if isinstance(overlap, str):
            try:
                parse_duration(overlap)
            except ValueError as error:
                yield (*path, "cursor", "overlap"), f"overlap: {error}"
        elif isinstance(overlap, int | float) and overlap < 0:
            yield (*path, "cursor", "overlap"), "overlap is not negative"
    query = written.get("query")
    if isinstance(query, str) and "$1" in query:
        message = "the query is written without $1: the cursor's condition and order are added"
        yield (*path, "query"), message


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from check_query(written)
    if "dsn" in written and "connection" in written:
        yield ("connection",), "dsn and connection exclude each other: drop one of them"


@source(
    "sql",
    # How often and how patiently is no reason to read all rows again.
    identity=("dsn", "connection", "query", "cursor", "id"),
    check=_complaints,
    guarantee=(
        "exactly once: what was seen is stored with the event; rows that are committed later than "
        "the overlap, and states between two looks, are missed"
    ),
    examples=[
        (
            "sql:\n  query: select id, total, changed_at from orders\n"
            "  cursor: {column: changed_at, overlap: 5m}\n  id: event.data.id\n  every: 30s"
        ),
        (
            "sql:\n  dsn: sqlite:shop.db\n  query: select * from orders\n"
            "  cursor: {column: id, start: latest}\n  every: 1m"
        ),
        "sql: {connection: shop, query: select name from muted, id: event.data.name, every: 10s}",
    ],
)
async def sql(config: Poll, emit: Emit, context: SourceContext) -> None:
    """Rows of a query that are new, or have a newer cursor; data is the row as a map."""
    try:
        found = settings(config.dsn, config.connection, context)
        place = database(found.dsn, context.files.base)
    except DatabaseFailed as error:
        raise SourceFailed(str(error), fatal=True) from error
    rows = Rows(config, place, emit, context, limit_secs=float(config.statement_timeout))
    try:
        await rows.begin()
        while True:
            began_ms = context.clock.now_ms()
            await rows.look()
            context.up(rows.summary())
            await context.wait_until(began_ms + round(float(config.every) * 1000))
    except DatabaseFailed as error:
        raise SourceFailed(str(error), lost=error.transient) from error
    finally:
        await rows.close()
