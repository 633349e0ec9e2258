"""Who waits until an execution has stored a result: what runs alone after crashes."""

import asyncio

from reactor.engine.timers import Timers


class Progress:
    """Whoever waits until an execution has stored more than it had; `awaited` is mostly empty."""

    def __init__(self, spans: Timers) -> None:
        self._spans = spans
        self.awaited: dict[int, tuple[asyncio.Event, int]] = {}

    def stored(self, execution: int, entries: int, *, ended: bool) -> None:
        """So many entries of its journal are on disk now."""
        if execution in self.awaited:
            signal, before = self.awaited[execution]
            if ended or entries > before:
                signal.set()

    async def beyond(self, execution: int, entries: int, limit_secs: float) -> None:
        """Return when more than these are on disk, when it ended, or when the time is over."""
        signal = asyncio.Event()
        self.awaited[execution] = (signal, entries)
        timer = self._spans.after(limit_secs, signal.set)
        await signal.wait()
        timer.cancel()
        del self.awaited[execution]
