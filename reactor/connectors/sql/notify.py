"""LISTEN: what others NOTIFY, or the rows that a notification says to look for."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from reactor.connectors.sql.postgresql import open_connection, translated
from reactor.connectors.sql.rows import Rows
from reactor.connectors.sql.values import from_json
from reactor.connectors.sql.wal.stream import until_first_ends
from reactor.errors import DatabaseFailed
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext

# So often an idle connection is asked whether it lives.
_PROBE_SECS = 15.0
_ANSWER_SECS = 10.0


class Also(Struct, frozen=True):
    """The query that makes notifications lossless: they only say when to look."""

    rows: Rows
    every_secs: float


async def listen(
    dsn: str, channels: Sequence[str], also: Also | None, emit: Emit, context: SourceContext
) -> None:
    """Run until cancelled; raises `DatabaseFailed`."""
    hinted = asyncio.Event()
    connection = await open_connection(dsn)
    try:
        with translated():
            for channel in channels:
                quoted = channel.replace('"', '""')
                await connection.execute(f'LISTEN "{quoted}"')
        context.up(f"listening to {', '.join(channels)}")
        hearing = _hear(connection, None if also else emit, hinted)
        work = [hearing] if also is None else [hearing, _look(also, hinted, context)]
        tasks = [asyncio.create_task(one) for one in work]
        await until_first_ends(tasks, connection.pgconn.finish)
    finally:
        await connection.close()


async def _hear(connection: Any, emit: Emit | None, hinted: asyncio.Event) -> None:
    while True:
        with translated():
            batch = [
                heard async for heard in connection.notifies(timeout=_PROBE_SECS, stop_after=1)
            ]
            batch += [heard async for heard in connection.notifies(timeout=0)]
        if batch:
            hinted.set()
            if emit is not None:
                await emit.many(
                    [
                        Received(
                            data=_payload(heard.payload),
                            fields={"channel": heard.channel, "pid": heard.pid},
                        )
                        for heard in batch
                    ]
                )
            continue
        try:
            async with asyncio.timeout(_ANSWER_SECS):
                with translated():
                    await connection.execute("select 1")
        except TimeoutError as error:
            raise DatabaseFailed("the server does not answer", transient=True) from error


async def _look(also: Also, hinted: asyncio.Event, context: SourceContext) -> None:
    """Look after each notification, and every so often without one."""
    await also.rows.begin()
    while True:
        hinted.clear()
        await also.rows.look()
        context.up(also.rows.summary())
        try:
            async with asyncio.timeout(also.every_secs):
                await hinted.wait()
        except TimeoutError:
            continue


def _payload(text: str) -> object:
    """JSON objects and lists as their value, all else as text."""
    return from_json(text) if text[:1] in ("{", "[") else text
