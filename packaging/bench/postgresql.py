"""PostgreSQL: changes from its log and upserts, beside readers and writers that do no more."""

import time
from collections.abc import Sequence
from itertools import count as count_up
from pathlib import Path
from typing import Any

import psycopg

from databases import (
    COLUMNS,
    ROWS_A_TRANSACTION,
    TABLE,
    against,
    change_row,
    emit_changes,
    upsert_row,
)
from measure import Row, Size
from reactor.clock import SystemClock
from reactor.connectors.sql.changes import postgres as source
from reactor.connectors.sql.statements import upsert_sql
from reactor.connectors.sql.wal.messages import Commit, read
from reactor.connectors.sql.wal.stream import Stream


def rows(size: Size, folder: Path) -> list[Row]:
    """Both rows, against a server of their own; none where PostgreSQL is not installed."""
    return against("postgres", "Postgres", lambda server: _rows(server, size, folder))


def _rows(server: Any, size: Size, folder: Path) -> list[Row]:
    return [_changes(server.dsn, size, folder), _upserts(server.dsn, size)]


def _changes(dsn: str, size: Size, folder: Path) -> Row:
    names = (f"t{number}" for number in count_up())

    async def emitted(count: int, state: Path | None) -> float:
        table = next(names)
        _prepare(dsn, table, count)
        config = {"dsn": dsn, "tables": [table], "slot": table, "snapshot": False}
        return await emit_changes(source, config, count, state)

    async def only_read(count: int) -> float:
        table = next(names)
        _prepare(dsn, table, count)
        return await _only_read(dsn, table, count)

    return change_row("wal", "PostgreSQL", size, folder, emitted=emitted, only_read=only_read)


def _upserts(dsn: str, size: Size) -> Row:
    text = upsert_sql("postgres", "upserted", COLUMNS, ["id"], ["state"])
    with psycopg.connect(dsn, autocommit=True) as line:
        line.execute(f"create table upserted {TABLE}")

    def executemany(given: Sequence[Sequence[Any]]) -> None:
        with psycopg.connect(dsn) as line:
            psycopg.RawCursor(line).executemany(text.encode(), given)

    return upsert_row(
        "upsert",
        "PostgreSQL",
        size,
        dsn=dsn,
        text=text,
        driver="psycopg",
        executemany=executemany,
    )


def _prepare(dsn: str, table: str, count: int) -> None:
    """A table, a slot in place of the one before, and changes that wait in the log."""
    with psycopg.connect(dsn, autocommit=True) as line:
        line.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        line.execute(f"create table {table} {TABLE}")
        line.execute(f"create publication {table} for table {table}")
        line.execute(f"select pg_create_logical_replication_slot('{table}', 'pgoutput')")
        text = f"insert into {table} select n, 'new', n * 1.5, repeat('x', 50) "
        for start in range(0, count, ROWS_A_TRANSACTION):
            line.execute(
                f"{text} from generate_series({start}, {start + ROWS_A_TRANSACTION - 1}) n"
            )


async def _only_read(dsn: str, table: str, count: int) -> float:
    """Take the same messages in, tell commits from rows, and confirm."""
    stream = await Stream.open(dsn, SystemClock())
    await stream.start(table, table, 10_000)
    began, seen = time.perf_counter(), 0
    while seen < count:
        message = stream.take()
        if message is None:
            await stream.more()
        elif isinstance(message, bytes):
            seen += message[:1] == b"I"
            if message[:1] == b"C" and isinstance(commit := read(message, {}), Commit):
                await stream.confirm(commit.end)
    secs = time.perf_counter() - began
    await stream.close()
    return secs
