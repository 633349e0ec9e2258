"""Files as events: each that came, changed or went, once it rests."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from reactor.clock import instant
from reactor.connectors.file.pattern import Found, Pattern, Signature
from reactor.connectors.file.settling import Change, Kind, Settling
from reactor.connectors.file.writers import written_now
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext

AT_ONCE = 500
_LOOK_AGAIN_SECS = 0.2  # at a file that somebody has open


class Changes:
    """What is known of the files of one pattern, stored together with the events.

    A file is known by its path and signature; what differs from that, also after the daemon was
    down, is an event. What no flow wanted is known as well, a moment later.
    """

    def __init__(
        self,
        pattern: Pattern,
        events: Collection[Kind],
        settled_secs: float,
        emit: Emit,
        context: SourceContext,
    ) -> None:
        self._pattern = pattern
        self._events = frozenset(events)
        self._settled_secs = settled_secs
        self._emit = emit
        self._context = context
        self._settling = Settling({}, settled_secs)

    def begin(self, places: Mapping[str, Any]) -> None:
        """Go on from what is stored."""
        known = {path: Signature(*place) for path, place in places.items()}
        self._settling = Settling(known, self._settled_secs)

    def first(self, found: Found) -> Mapping[str, Any]:
        """Only note what is there; what to store of it. Blocks."""
        self._settling = Settling(dict(found.files), self._settled_secs)
        return found.files

    async def take(self, found: Found) -> float | None:
        """Emit what has come to rest; how many seconds until the next look is due."""
        now_secs = self._context.clock.monotonic_secs()
        rested = self._settling.see(found.files, found.unsure, now_secs)
        if any(change.now is not None for change in rested):
            rested = await self._closed(rested, now_secs)
        for start in range(0, len(rested), AT_ONCE):
            await self._tell(rested[start : start + AT_ONCE])
        due_secs = self._settling.due_secs(self._context.clock.monotonic_secs())
        return None if due_secs is None else max(due_secs, _LOOK_AGAIN_SECS)

    def summary(self) -> str:
        """What the source is at, for people."""
        return f"{len(self._settling)} files known"

    async def _closed(self, rested: list[Change], now_secs: float) -> list[Change]:
        written = await asyncio.to_thread(written_now)
        closed = []
        for change in rested:
            if change.now is not None and (change.now.device, change.now.inode) in written:
                self._settling.wait_on(change.path, now_secs)
            else:
                closed.append(change)
        return closed

    async def _tell(self, changes: list[Change]) -> None:
        wanted = [change for change in changes if change.kind in self._events]
        stored: set[str] = set()
        if wanted:
            receipts = await self._emit.many([self._received(change) for change in wanted])
            stored = {
                change.path
                for change, receipt in zip(wanted, receipts, strict=True)
                if receipt.event is not None and not receipt.duplicate
            }
        unwanted = {change.path: change.now for change in changes if change.path not in stored}
        if unwanted:
            await self._context.keep(unwanted)
        for change in changes:
            self._settling.know(change)

    def _received(self, change: Change) -> Received:
        last = change.now or change.before
        path = self._pattern.shown + change.path
        folder, _, name = path.rpartition("/")
        return Received(
            data={
                "path": path,
                "name": name,
                "folder": folder or ("/" if path.startswith("/") else "."),
                "size": None if last is None else last.size,
                "change": change.kind,
                "mtime": None if last is None else instant(last.mtime_ns // 1_000_000),
            },
            fields={"below": self._pattern.below},
            places={change.path: change.now},
        )
