"""What is done every second, every few seconds and every minute."""

import logging
from collections.abc import Awaitable, Callable

from reactor.engine.core import Engine
from reactor.logs import Limiter
from reactor.settings import Settings

RECONCILE_EVERY = 5  # in ticks of one second
PRUNE_EVERY = 60
CHECK_EVERY, CHECK_FIRST = 86_400, 30
CHUNKS = 200  # of at most 500 rows a minute
DAY_SECS = 86_400.0


class Upkeep:
    """Keeps the store small, the engine honest and the secrets fresh (`renew`)."""

    def __init__(
        self, engine: Engine, settings: Settings, *, renew: Callable[[], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._renew = renew
        self._settings = settings
        self._warnings = Limiter(engine.clock, every_secs=DAY_SECS)
        self._log = logging.getLogger("reactor.upkeep")

    async def run(self, wait: Callable[[float], Awaitable[None]]) -> None:
        """Work until cancelled."""
        # What the last run left waiting may be due.
        await self._engine.desk.reconcile()
        tick = 0
        while True:
            await wait(1.0)
            tick += 1
            self._engine.flush_unwanted()
            if tick % RECONCILE_EVERY == 0:
                await self._engine.desk.reconcile()
                await self._renew()
            if tick % PRUNE_EVERY == 0:
                await self._engine.hearing.tidy()
                await self.prune()
            if tick % CHECK_EVERY == CHECK_FIRST:
                await self._check()

    async def prune(self) -> int:
        """Delete what is past its time, in chunks; how many rows went."""
        store, now_ms = self._engine.store, self._engine.clock.now_ms()
        keep = self._settings.keep
        ok_before = {"": now_ms - round(keep.ok * 1000)}
        failed_before = {"": now_ms - round(keep.failed * 1000)}
        for flow in self._engine.intake.router.flows.values():
            ok_before[flow.name] = now_ms - round(flow.keep.ok_secs * 1000)
            failed_before[flow.name] = now_ms - round(flow.keep.failed_secs * 1000)
        gone = 0
        for _ in range(CHUNKS):
            found = await store.prune(
                ok_before=ok_before, failed_before=failed_before, now_ms=now_ms
            )
            gone += found
            if not found:
                break
        return gone + await self._shrink()

    async def _check(self) -> None:
        """Look the database over, beside other work; a person must know of damage early."""
        fault = await self._engine.store.check()
        if fault is not None:
            facts = {"fault": fault}
            self._log.error(
                "the store is damaged: make a backup and restore a good one", extra=facts
            )

    async def _shrink(self) -> int:
        gone = 0
        for _ in range(CHUNKS):
            found = await self._engine.store.shrink(self._settings.store.max_size)
            gone += found
            if not found:
                break
        if gone:
            said = "the store is full: the oldest history was dropped"
            facts = {"executions": gone, "max_size": int(self._settings.store.max_size)}
            self._warnings.warning(self._log, "full", said, **facts)
        return gone
