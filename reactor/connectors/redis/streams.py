"""Entries of streams, read as a consumer group: acknowledged when they are stored."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from reactor.clock import instant
from reactor.connectors.redis.connection import Line, Word
from reactor.connectors.redis.consumer import consumer
from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import LONGEST
from reactor.units import format_size

_MOST = 128
_BLOCK_SECS = 2.0
_PATIENCE_SECS = 8.0
# What another consumer took and did not acknowledge for so long is ours: it may never come back.
_IDLE_SECS = 60.0
_LOOK_SECS = 10.0
# How long an entry's id is known after it was stored: repeats come from lost acknowledgements.
_KNOWN_SECS = 7 * 86_400.0
_ENTRY = re.compile(r"[0-9]+(-[0-9]+)?")

# An entry: its id and its fields and values in turn, None where it was trimmed.
Entry = tuple[bytes, list[bytes] | None]


async def follow_streams(
    line: Line,
    streams: Sequence[str],
    group: str,
    start: Literal["earliest", "latest"],
    *,
    emit: Emit,
    context: SourceContext,
) -> None:
    """Emit entries: first what we took before and did not acknowledge, then what is new."""
    reader = _Reader(line, group, start, emit, context)
    await reader.begin(streams)
    for stream in streams:
        await reader.take_own(stream)
    reader.up()
    look_secs = 0.0
    while True:
        if context.clock.monotonic_secs() >= look_secs:
            look_secs = context.clock.monotonic_secs() + _LOOK_SECS
            for stream in streams:
                await reader.take_idle(stream)
            await reader.look()
        await reader.take_new()


class _Reader:
    """One consumer of a group on one connection."""

    def __init__(
        self,
        line: Line,
        group: str,
        start: Literal["earliest", "latest"],
        emit: Emit,
        context: SourceContext,
    ) -> None:
        self._line = line
        self._group = group
        self._start = start
        self._emit = emit
        self._context = context
        self._streams: Sequence[str] = ()
        self._name = ""
        self._epoch = 0
        self._places: dict[str, Any] = {}
        self._trimmed = 0

    # ---- where to begin

    async def begin(self, streams: Sequence[str]) -> None:
        """Find or make the group on each stream, at the place that was asked for."""
        context = self._context
        self._streams = streams
        position = await context.position()
        self._places = await context.places()
        is_new = "consumer" not in self._places
        self._name = await consumer(context)
        self._epoch = self._places.get("epoch", 0)
        for stream in streams:
            await self._make(stream)
        if isinstance(position, str) or (position is None and not is_new):
            await self._move(self._start_of(position))
        if not isinstance(position, dict):
            since = {"since": instant(context.clock.now_ms())}
            await context.keep({"epoch": self._epoch}, position=since)

    def _start_of(self, position: Any) -> str:
        """Where a reset leads: `earliest` is no position at all."""
        if position is None or position == "earliest":
            return "0"
        if position == "latest":
            return "$"
        if not _ENTRY.fullmatch(str(position)):
            raise SourceFailed(
                f"position {position!r}: a stream is read from earliest, latest or an entry's id",
                fatal=True,
            )
        return str(position)

    async def _move(self, start: str) -> None:
        """Set the group back or forward; what comes again is told again."""
        self._epoch += 1
        for stream in self._streams:
            await self._line.ask("XGROUP", "SETID", stream, self._group, start)
        self._context.log.warning(
            "a consumer group was moved", extra={"group": self._group, "to": start}
        )

    async def _make(self, stream: str) -> None:
        """Make the group unless it is there; one that vanished begins where we were."""
        known = self._places.get(_place(stream))
        start = known or ("0" if self._start == "earliest" else "$")
        if known is not None and await self._is_anew(stream, known):
            start = "0"
        (reply,) = await self._line.ask_all(
            [("XGROUP", "CREATE", stream, self._group, start, "MKSTREAM")]
        )
        if isinstance(reply, Exception):
            if not str(reply).startswith("BUSYGROUP"):
                raise self._line.failed(reply) from reply
            await self._warn_of_gap(stream)
        elif known is not None:
            self._context.log.warning(
                "a consumer group was gone and is made again",
                extra={"stream": stream, "group": self._group, "from": start},
            )

    async def _is_anew(self, stream: str, known: str) -> bool:
        """Whether there is no stream, or its own ids are below our place: it is another one."""
        (reply,) = await self._line.ask_all([("XINFO", "STREAM", stream)])
        if isinstance(reply, Exception):
            return True
        last = _map(reply)[b"last-generated-id"].decode()
        return _number(last) < _number(known)

    async def _warn_of_gap(self, stream: str) -> None:
        """Say what was trimmed away before anybody of the group read it (since Redis 7)."""
        whole, groups = await self._line.ask_all(
            [("XINFO", "STREAM", stream), ("XINFO", "GROUPS", stream)]
        )
        if isinstance(whole, Exception) or isinstance(groups, Exception):
            return
        facts = _map(whole)
        group = next((g for g in map(_map, groups) if g[b"name"].decode() == self._group), {})
        read, added = group.get(b"entries-read"), facts.get(b"entries-added")
        first = facts.get(b"first-entry")
        if read is None or added is None:
            return
        if first and _number(group[b"last-delivered-id"].decode()) >= _number(first[0].decode()):
            return
        lost = added - read - facts[b"length"]
        if lost > 0:
            self._say_trimmed(stream, lost)

    # ---- what there is

    async def take_own(self, stream: str) -> None:
        """What we took in an earlier life and did not acknowledge."""
        after = "0"
        while entries := await self._read([stream], [after], block=False):
            after = entries[stream][-1][0].decode()
            await self._store(entries)

    async def take_idle(self, stream: str) -> None:
        """What other consumers took long ago and did not acknowledge."""
        cursor = b"0-0"
        while True:
            reply = await self._line.ask(
                *("XAUTOCLAIM", stream, self._group, self._name, round(_IDLE_SECS * 1000)),
                *(cursor, "COUNT", _MOST),
            )
            cursor, entries = reply[0], [_entry(entry) for entry in reply[1]]
            if len(reply) > 2 and reply[2]:
                self._say_trimmed(stream, len(reply[2]))
            if entries:
                await self._store({stream: entries})
            if cursor == b"0-0":
                return

    async def take_new(self) -> None:
        """What nobody of the group has seen; waits a moment for it."""
        entries = await self._read(self._streams, [">"] * len(self._streams), block=True)
        if entries:
            await self._store(entries)

    async def _read(
        self, streams: Sequence[str], after: Sequence[str], *, block: bool
    ) -> dict[str, list[Entry]]:
        command: list[str | int] = ["XREADGROUP", "GROUP", self._group, self._name, "COUNT", _MOST]
        if block:
            command += ["BLOCK", round(_BLOCK_SECS * 1000)]
        command += ["STREAMS", *streams, *after]
        (reply,) = await self._line.ask_all([command], within_secs=_PATIENCE_SECS)
        if isinstance(reply, Exception):
            if not str(reply).startswith(("NOGROUP", "UNBLOCKED")):
                raise self._line.failed(reply) from reply
            self._places = await self._context.places()
            for stream in self._streams:
                await self._make(stream)
            return {}
        found = {name.decode(): [_entry(entry) for entry in read] for name, read in reply or ()}
        return {name: entries for name, entries in found.items() if entries}

    async def _store(self, found: Mapping[str, Sequence[Entry]]) -> None:
        """Store entries, then acknowledge them."""
        received = [
            self._received(stream, entry, fields)
            for stream, entries in found.items()
            for entry, fields in entries
            if fields is not None
        ]
        if received:
            await self._emit.many(received)
        # Only now: what is acknowledged is on disk here.
        commands: list[list[Word]] = [
            ["XACK", stream, self._group, *(entry for entry, _ in entries)]
            for stream, entries in found.items()
        ]
        for reply in await self._line.ask_all(commands):
            if isinstance(reply, Exception):
                raise self._line.failed(reply) from reply
        for stream, entries in found.items():
            if gone := sum(fields is None for _, fields in entries):
                self._say_trimmed(stream, gone)

    def _received(self, stream: str, entry: bytes, fields: list[bytes]) -> Received:
        number = entry.decode()
        identity = f"{stream}:{number}"
        pairs = list(zip(fields[::2], fields[1::2], strict=True))
        problem = None
        try:
            data: dict[str, Any] = {name.decode(): value.decode() for name, value in pairs}
        except UnicodeDecodeError:
            data = {name.decode("utf-8", "replace"): value for name, value in pairs}
            problem = "a field of the entry is not UTF-8 text"
        if sum(map(len, fields)) > LONGEST:
            problem = f"the entry is over {format_size(LONGEST)}"
        return Received(
            data=data,
            fields={"stream": stream, "entry": number},
            identity=f"{self._epoch}/{identity}" if self._epoch else identity,
            known_secs=_KNOWN_SECS,
            time_ms=int(number.partition("-")[0]),
            places={_place(stream): number},
            undecodable=problem,
        )

    # ---- what is said of it

    async def look(self) -> None:
        """Measure what waits, and show it."""
        lag: int | None = 0
        for reply in await self._line.ask_all([("XINFO", "GROUPS", s) for s in self._streams]):
            if isinstance(reply, Exception):
                return  # the group is gone: the next read says so
            for group in map(_map, reply):
                if group[b"name"].decode() == self._group:
                    waits = group.get(b"lag")  # None where Redis cannot tell
                    lag = None if waits is None or lag is None else lag + waits
        if lag is not None:
            self._context.lag(lag)

    def up(self) -> None:
        """Show that it works."""
        names = ", ".join(self._streams)
        detail = f"reads {names} as {self._name} of group {self._group}"
        if self._trimmed:
            detail += f"; {self._trimmed} entries were trimmed before they were read"
        self._context.up(detail)

    def _say_trimmed(self, stream: str, count: int) -> None:
        self._trimmed += count
        self._context.log.warning(
            "entries of a stream were trimmed before they were stored here: they are lost",
            extra={"stream": stream, "group": self._group, "entries": count},
        )
        self.up()


def _place(stream: str) -> str:
    return f"at:{stream}"


def _number(entry: str) -> tuple[int, int]:
    ms, _, sequence = entry.partition("-")
    return int(ms), int(sequence or 0)


def _entry(raw: Any) -> Entry:
    return (raw[0], raw[1])


def _map(raw: Sequence[Any]) -> dict[bytes, Any]:
    """A map as the older protocol sends it: names and values in turn."""
    return dict(zip(raw[::2], raw[1::2], strict=True))
