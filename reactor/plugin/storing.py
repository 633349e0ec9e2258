"""Stores what a broker has sent, and keeps the broker content while that takes long."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from reactor.errors import Overloaded
from reactor.model.event import Received
from reactor.plugin.context import Emit

PATIENCE_SECS = 1.0
LAST_SECS = 0.3


async def store_held(
    emit: Emit,
    batch: Sequence[Received],
    held: Callable[[], Awaitable[None]],
    *,
    every_secs: float = PATIENCE_SECS,
    stored: Callable[[], None] = lambda: None,
) -> None:
    """Return when a batch is stored, however long there is no room for it.

    While it takes long `held` is awaited every `every_secs`. If that raises, or we are cancelled,
    the batch has a last moment: if `stored` was called it is stored, else it may be or not.
    """
    storing = asyncio.create_task(_store(emit, batch, stored))
    try:
        while not (await asyncio.wait([storing], timeout=every_secs))[0]:
            await held()
        storing.result()
    finally:
        try:
            # What is on its way to the disk will be there: who knows it can tell the broker.
            await asyncio.wait([storing], timeout=LAST_SECS)
        finally:
            storing.cancel()
            await asyncio.gather(storing, return_exceptions=True)


async def _store(emit: Emit, batch: Sequence[Received], stored: Callable[[], None]) -> None:
    while True:
        try:
            await emit.many(batch)
        except Overloaded:
            continue  # there was room when it asked; it waits for the next
        stored()
        return
