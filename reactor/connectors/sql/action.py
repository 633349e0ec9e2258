"""The `sql` action: statements with bound parameters, upserts, transactions, effects once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from reactor.connectors.sql.database import Kind, Session
from reactor.connectors.sql.dsn import ConnectionName, Dsn, settings
from reactor.connectors.sql.pool import Pool, pool_of
from reactor.connectors.sql.statements import (
    BATCH,
    columns_of,
    once_claim_sql,
    once_keep_sql,
    once_output_sql,
    once_table_sql,
    upsert_sql,
)
from reactor.connectors.sql.values import from_json, json_text
from reactor.errors import ActionFailed, DatabaseFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.spec import Complaint, Config, action, doc

ONCE_TABLE = "reactor_once"
_MOST_ROWS = 100_000
_DATA = 'data goes through params: {}: "… = $1", params: ["{}"]'
_WAYS = ("query", "execute", "upsert")


class Upsert(Config, frozen=True):
    """Rows that are inserted, or changed where they are there already."""

    table: Annotated[str, doc("The table, as name or schema.name.", "orders", form="literal")]
    rows: Annotated[
        list[dict[str, Any]], doc("The rows, all with the same columns.", [{"id": 1, "state": "a"}])
    ]
    conflict: Annotated[
        list[str],
        doc(
            "The columns of the primary key or unique index that say whether a row is there; "
            "without them all rows are inserted.",
            ["id"],
            form="literal",
        ),
    ] = msgspec.field(default_factory=list)
    set: Annotated[
        list[str] | None,
        doc(
            "The columns that change in a row that is there: by default all but those of conflict; "
            "[] leaves it as it is.",
            ["state"],
            form="literal",
        ),
    ] = None


class Statement(Config, frozen=True):
    """One statement of a transaction: query, execute or upsert."""

    query: Annotated[
        str | None,
        doc(
            "A statement whose rows are wanted; data stands in params.",
            "select * from orders where id = $1",
            form="literal",
            hint=_DATA.format("query", "${{ … }}"),
        ),
    ] = None
    execute: Annotated[
        str | None,
        doc(
            "A statement whose rows are not wanted.",
            "update orders set seen = true where id = $1",
            form="literal",
            hint=_DATA.format("execute", "${{ … }}"),
        ),
    ] = None
    params: Annotated[
        list[Any],
        doc("The values of $1, $2, … in the statement.", ["${{ event.data.id }}"]),
    ] = msgspec.field(default_factory=list)
    upsert: Annotated[
        Upsert | None,
        doc("Rows to insert or change.", {"table": "orders", "conflict": ["id"], "rows": []}),
    ] = None


class Sql(Statement, frozen=True):
    """What to do in which database."""

    dsn: Dsn = None
    connection: ConnectionName = None

    transaction: Annotated[
        list[Statement] | None,
        doc(
            "Statements that happen all or not at all.",
            [{"execute": "delete from cart where id = $1", "params": [1]}],
        ),
    ] = None
    max_rows: Annotated[
        int,
        msgspec.Meta(ge=1, le=_MOST_ROWS),
        doc("The most rows that a query may give, else the step fails.", 10_000),
    ] = 10_000
    once_key: Annotated[
        bool | str,
        doc(
            "Write the step's key into this table of the database in the same transaction, so that "
            f"the effect happens exactly once; true is the table {ONCE_TABLE}.",
            "reactor_once",
            form="literal",
        ),
    ] = False


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with statements as written, beyond types."""
    if "dsn" in written and "connection" in written:
        yield ("connection",), "dsn and connection exclude each other: drop one of them"
    if "params" in written and "query" not in written and "execute" not in written:
        yield ("params",), "params belong to a query or an execute beside them"
    for number, each in enumerate(written.get("transaction") or ()):
        given = [name for name in _WAYS if isinstance(each, Mapping) and name in each]
        if len(given) != 1:
            yield ("transaction", number), "a statement has exactly one of query, execute, upsert"
    if written.get("transaction") == []:
        yield ("transaction",), "a transaction has at least one statement"


@action(
    "sql",
    examples=[
        'sql: {query: "select * from orders where state = $1", params: [open]}',
        (
            "sql:\n  connection: shop\n  execute: delete from carts where id = $1\n"
            '  params: ["${{ event.body.id }}"]'
        ),
        "sql: {upsert: {table: orders, conflict: [id], rows: '${{ vars.orders }}'}}",
    ],
    one_of=[(*_WAYS, "transaction")],
    check=_complaints,
)
async def sql(config: Sql, context: ActionContext) -> Any:
    """Run statements in PostgreSQL, MySQL, MariaDB or SQLite.

    A query gives its rows as a list of maps, the others `{rows}`, how many rows they touched; a
    transaction the list of what its statements gave. A lost connection, a deadlock, a failed
    serialization and a server without room may be tried again.
    """
    if config.dsn is not None and context.authored.get("dsn", "") != config.dsn:
        raise ActionFailed(
            "dsn: data may not choose the database: name a connection", kind="denied"
        )
    try:
        pool = await pool_of(settings(config.dsn, config.connection, context), context)
        async with pool.session() as session:
            return await _done(config, session, pool, context)
    except DatabaseFailed as error:
        raise ActionFailed(
            str(error), kind="sql", transient=error.transient, output={"code": error.code}
        ) from error


async def _done(config: Sql, session: Session, pool: Pool, context: ActionContext) -> Any:
    work = _Work(session, pool, config.max_rows)
    if config.once_key is not False and config.once_key != "":
        table = ONCE_TABLE if config.once_key is True else str(config.once_key)
        return await work.once(config, table, context.key)
    if config.transaction is None and config.upsert is None:
        return await work.statement(config)
    async with session.transaction():
        return await work.all(config)


class _Work:
    """Statements of one step in one session."""

    def __init__(self, session: Session, pool: Pool, max_rows: int) -> None:
        self._session = session
        self._pool = pool
        self._max_rows = max_rows

    async def all(self, config: Sql) -> Any:
        """All statements of a step."""
        if config.transaction is None:
            return await self.statement(config)
        return [await self.statement(each) for each in config.transaction]

    async def statement(self, one: Statement) -> Any:
        """One statement."""
        if one.query is not None:
            rows = await self._session.query(one.query, one.params, max_rows=self._max_rows)
            if len(rows) > self._max_rows:
                raise DatabaseFailed(
                    f"the query gives more than {self._max_rows} rows: add a limit to it, "
                    "or raise max_rows"
                )
            return rows
        if one.upsert is not None:
            return await self._upsert(one.upsert)
        return {"rows": await self._session.execute(one.execute or "", one.params)}

    async def once(self, config: Sql, table: str, key: str) -> Any:
        """The statements and the key in one transaction; a key that is there is answered."""
        session, kind = self._session, self._pool.kind
        if table not in self._pool.made:
            await _make(session, kind, table)
            self._pool.made.add(table)
        async with session.transaction():
            if not await session.execute(once_claim_sql(kind, table), [key]):
                found = await session.query(once_output_sql(kind, table), [key], max_rows=1)
                return from_json(found[0]["found"]) if found else None
            output = await self.all(config)
            await session.execute(once_keep_sql(kind, table), [key, json_text(output)])
            return output

    async def _upsert(self, upsert: Upsert) -> dict[str, int]:
        if not upsert.rows:
            return {"rows": 0}
        columns = columns_of(upsert.rows)
        if missing := [name for name in upsert.conflict if name not in columns]:
            raise DatabaseFailed(
                f"conflict: the rows have no column {missing[0]!r}, only {', '.join(columns)}"
            )
        others = [name for name in columns if name not in upsert.conflict]
        set_ = others if upsert.set is None else upsert.set
        if unknown := [name for name in set_ if name not in columns]:
            raise DatabaseFailed(
                f"set: the rows have no column {unknown[0]!r}, only {', '.join(columns)}"
            )
        text = upsert_sql(self._pool.kind, upsert.table, columns, upsert.conflict, set_)
        for batch in _batches(upsert.rows):
            await self._session.many(text, [[row[name] for name in columns] for row in batch])
        return {"rows": len(upsert.rows)}


def _batches(rows: Sequence[dict[str, Any]]) -> Iterable[Sequence[dict[str, Any]]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


async def _make(session: Session, kind: Kind, table: str) -> None:
    """Make the table of keys if it is missing; who may not must have it made."""
    if await _is_there(session, kind, table):
        return
    text = once_table_sql(kind, table)
    try:
        await session.execute(text)
    except DatabaseFailed as error:
        # Another step may have made it at the same moment.
        if error.transient:
            raise
        if await _is_there(session, kind, table):
            return
        raise DatabaseFailed(
            f"the table of once_key cannot be made ({error}): have it made with: {text}",
            code=error.code,
        ) from error


async def _is_there(session: Session, kind: Kind, table: str) -> bool:
    try:
        await session.query(once_output_sql(kind, table), [""], max_rows=1)
    except DatabaseFailed as error:
        if error.transient:
            raise
        return False
    return True
