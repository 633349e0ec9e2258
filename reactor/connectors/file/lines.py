"""Lines as events: each whole line that is added to a log, through every rotation."""

import asyncio
from collections.abc import Mapping
from typing import Any

from reactor.connectors.file.pattern import Found, Pattern, Signature
from reactor.connectors.file.tail import Place, Read, Tail, bases, start_of
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext

_READS_AT_ONCE = 20  # of one log, before the others have their turn
_MOST_OPEN = 128
_KEEP_EVERY_SECS = 1.0


class Lines:
    """The logs of one pattern and the place in each, stored together with the events.

    An older generation (`app.log.1`) beside its log is not read by itself, only to its end when the
    log was rotated. Places behind lines that no flow wanted are stored once a second.
    """

    def __init__(self, pattern: Pattern, emit: Emit, context: SourceContext) -> None:
        self._pattern = pattern
        self._emit = emit
        self._context = context
        self._tails: dict[str, Tail] = {}
        self._open: dict[str, Tail] = {}
        self._unkept: dict[str, Place | None] = {}
        self._kept_secs = 0.0

    def begin(self, places: Mapping[str, Any]) -> None:
        """Go on from what is stored."""
        self._tails = {path: self._tail(path, Place(*place)) for path, place in places.items()}

    def first(self, found: Found) -> Mapping[str, Any]:
        """Begin at the end of what is there; what to store of it. Blocks."""
        for path, here in self._logs(found).items():
            tail = self._tails[path] = self._tail(path, start_of(here))
            try:
                tail.skip()
            except OSError as error:
                found.problems[path] = error.strerror or str(error)
                del self._tails[path]
            finally:
                tail.close()
        return {path: tail.place for path, tail in self._tails.items()}

    async def take(self, found: Found) -> float | None:
        """Emit the new lines; how many seconds until the next look is due."""
        logs = self._logs(found)
        for path, here in logs.items():
            if path not in self._tails:
                self._tails[path] = self._tail(path, self._moved_here(path, here, logs))
        soon: list[float] = []
        for path, tail in list(self._tails.items()):
            now = logs.get(path)
            if tail.rests(now) or (now is None and found.unsure(path)):
                continue
            try:
                soon += await self._follow(path, tail, now)
            except OSError as error:
                found.problems[path] = error.strerror or str(error)
        return min([*soon, *await self._keep()], default=None)

    def summary(self) -> str:
        """What the source is at, for people."""
        return f"{len(self._tails)} logs followed"

    def close(self) -> None:
        """Give all open files back."""
        for tail in self._open.values():
            tail.close()

    def _tail(self, path: str, place: Place) -> Tail:
        return Tail(self._pattern.place(path), place, follow_link=self._pattern.literal)

    def _logs(self, found: Found) -> dict[str, Signature]:
        files = found.files
        return {
            path: here
            for path, here in files.items()
            if not any(base in files or base in self._tails for base in bases(path))
        }

    def _moved_here(self, path: str, here: Signature, logs: Mapping[str, Signature]) -> Place:
        """Where to begin in a log with a new name: at its place if it had another name before."""
        for before, tail in self._tails.items():
            if tail.place.is_of(here) and not tail.place.is_of(logs.get(before)):
                place = self._unkept[path] = tail.place
                now = logs.get(before)
                self._forget(before)
                if now is not None:
                    self._tails[before] = self._tail(before, start_of(now))
                    self._unkept[before] = start_of(now)
                return place
        return start_of(here)

    async def _follow(self, path: str, tail: Tail, here: Signature | None) -> list[float]:
        for _ in range(_READS_AT_ONCE):
            now_secs = self._context.clock.monotonic_secs()
            read = await asyncio.to_thread(tail.read, here, now_secs)
            self._hold(path, tail)
            if read.lines:
                await self._tell(path, read)
            if read.lost:
                self._context.log.warning(
                    "a log was replaced and its old file is gone; lines may be missing",
                    extra={"path": self._pattern.shown + path},
                )
            if read.moved:
                self._unkept[path] = tail.place
            if read.gone:
                self._forget(path)
            if not read.more:
                return [] if read.again_secs is None else [read.again_secs]
        return [0.0]

    async def _tell(self, path: str, read: Read) -> None:
        shown, below = self._pattern.shown + path, self._pattern.below
        received = [
            Received(
                data=line.text,
                fields={"path": shown, "number": line.number, "below": below},
                places={path: line.place},
                undecodable="the line is not UTF-8" if isinstance(line.text, bytes) else None,
            )
            for line in read.lines
        ]
        receipts = await self._emit.many(received)
        if receipts[-1].event is None or receipts[-1].duplicate:
            self._unkept[path] = read.lines[-1].place
        else:
            self._unkept.pop(path, None)

    async def _keep(self) -> list[float]:
        """Store what no event carried, once a second; when that is due."""
        if not self._unkept:
            return []
        wait_secs = self._kept_secs + _KEEP_EVERY_SECS - self._context.clock.monotonic_secs()
        if wait_secs > 0:
            return [wait_secs]
        places, self._unkept = self._unkept, {}
        await self._context.keep(places)
        self._kept_secs = self._context.clock.monotonic_secs()
        return []

    def _hold(self, path: str, tail: Tail) -> None:
        """Keep the file open: it may be renamed to anywhere. Not more of them than we may have."""
        self._open.pop(path, None)
        self._open[path] = tail
        if len(self._open) > _MOST_OPEN:
            oldest = next(iter(self._open))
            self._open.pop(oldest).close()

    def _forget(self, path: str) -> None:
        self._tails.pop(path).close()
        self._open.pop(path, None)
        self._unkept[path] = None
