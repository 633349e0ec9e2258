"""MariaDB: changes from its binary log and upserts, beside readers and writers that do no more."""

import re
import time
from collections.abc import Mapping, Sequence
from itertools import count as count_up
from pathlib import Path
from typing import Any

import pymysql

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
from reactor.connectors.sql.binlog.source import mysql as source
from reactor.connectors.sql.statements import upsert_sql


def rows(size: Size, folder: Path) -> list[Row]:
    """Both rows, against a server of their own; none where MariaDB is not installed."""
    return against("mariadb", "Mariadb", lambda server: _rows(server, size, folder))


def _rows(server: Any, size: Size, folder: Path) -> list[Row]:
    line = {"host": "127.0.0.1", "port": server.port, "user": "root", "database": "shop"}
    return [_changes(line, server.dsn, size, folder), _upserts(line, server.dsn, size)]


def _changes(line: Mapping[str, Any], dsn: str, size: Size, folder: Path) -> Row:
    names = (f"t{number}" for number in count_up())

    async def emitted(count: int, state: Path | None) -> float:
        table = next(names)
        at = _prepare(line, table, count)
        config = {"dsn": dsn, "tables": [table], "snapshot": False}
        return await emit_changes(source, config, count, state, position={"gtid": at})

    async def only_read(count: int) -> float:
        table = next(names)
        return _only_read(line, _prepare(line, table, count), table, count)

    return change_row("binlog", "MariaDB", size, folder, emitted=emitted, only_read=only_read)


def _upserts(line: Mapping[str, Any], dsn: str, size: Size) -> Row:
    text = upsert_sql("mysql", "upserted", COLUMNS, ["id"], ["state"])
    with pymysql.connect(**line) as connection:
        connection.cursor().execute(f"create table upserted {TABLE}")

    def executemany(given: Sequence[Sequence[Any]]) -> None:
        with pymysql.connect(**line) as connection:
            connection.cursor().executemany(re.sub(r"\$\d", "%s", text), given)
            connection.commit()

    return upsert_row(
        "upsert-mariadb",
        "MariaDB",
        size,
        dsn=dsn,
        text=text,
        driver="pymysql",
        executemany=executemany,
    )


def _prepare(line: Mapping[str, Any], table: str, count: int) -> str:
    """A table, and changes that wait in the log; the place before them."""
    with pymysql.connect(**line, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"create table {table} {TABLE}")
        cursor.execute("select @@global.gtid_binlog_pos")
        ((at,),) = cursor.fetchall()
        text = f"insert into {table} select seq, 'new', seq * 1.5, repeat('x', 50) "
        for start in range(0, count, ROWS_A_TRANSACTION):
            cursor.execute(f"{text} from seq_{start}_to_{start + ROWS_A_TRANSACTION - 1}")
    return str(at)


def _only_read(line: Mapping[str, Any], at: str, table: str, count: int) -> float:
    """Read the same rows with the library that our source has, and do nothing with them."""
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.event import FormatDescriptionEvent
    from pymysqlreplication.row_event import WriteRowsEvent

    stream = BinLogStreamReader(
        connection_settings={key: value for key, value in line.items() if key != "database"},
        server_id=77,
        blocking=True,
        is_mariadb=True,
        auto_position=at,
        only_schemas=["shop"],
        only_tables=[table],
        only_events=[FormatDescriptionEvent, WriteRowsEvent],
        enable_logging=False,
    )
    stream.fetchone()  # the first thing of each log: now it is connected
    began, seen = time.perf_counter(), 0
    while seen < count:
        event = stream.fetchone()
        seen += len(event.rows) if isinstance(event, WriteRowsEvent) else 0
    secs = time.perf_counter() - began
    stream.close()
    return secs
