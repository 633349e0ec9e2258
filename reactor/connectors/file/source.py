"""Files that start flows: when they come, change or go, and each line added to them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Annotated, Any, Protocol

import msgspec

from reactor.clock import instant
from reactor.connectors.file.changes import Changes
from reactor.connectors.file.lines import Lines
from reactor.connectors.file.pattern import Found, Pattern, complaint
from reactor.connectors.file.settling import Kind
from reactor.errors import SourceFailed
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.spec import Complaint, Config, Fields, doc, source
from reactor.plugin.watching import hints
from reactor.units import Duration

RESCAN_SECS = 30.0
_QUIET_SECS = 0.05
_RESTLESS_SECS = 0.5
_LEAST_PAUSE_SECS = 0.05
# A look at many files takes long; between two of them there is four times as long for the rest.
_PAUSES = 4
_KINDS: tuple[Kind, ...] = ("created", "modified", "deleted")


class Watch(Config, frozen=True):
    """Which files, and what about them."""

    path: Annotated[
        str,
        doc(
            "Which files: * ? [ab] inside a name, ** for folders of any depth. Relative paths "
            "start at the flows' base. Wildcards leave out links, and hidden files unless the "
            "pattern begins with a dot.",
            "inbox/*.csv",
            strict=True,
        ),
    ]
    events: Annotated[
        list[Kind], doc("Which changes are events; all of them by default.", ["created"])
    ] = msgspec.field(default_factory=lambda: list(_KINDS))
    settled: Annotated[
        Duration,
        doc(
            "How long a file must stay as it is, and not be open for writing as far as can be "
            "known, before its change is an event.",
            "5s",
        ),
    ] = Duration(1)
    existing: Annotated[
        bool,
        doc(
            "Whether files that are there at the very first start are events. With false they are "
            "only noted; with lines, what they hold is passed over."
        ),
    ] = True
    recursive: Annotated[bool, doc("Whether folders below are searched too.")] = False
    lines: Annotated[
        bool, doc("Follow the files as logs: each line added is an event, through rotation.")
    ] = False


class FileFields(Fields, frozen=True, kw_only=True):
    """What a file brings."""

    path: Annotated[str, doc("With lines: the file of the line.")]
    number: Annotated[int, doc("With lines: the line's number in its file, from 1.")]
    below: Annotated[
        str,
        doc("The part of the trigger's path before the first wildcard: all its files are there."),
    ]


class Following(Protocol):
    """What is known of the files, and what becomes of a look at them."""

    def begin(self, places: Mapping[str, Any]) -> None:
        """Go on from what is stored."""
        ...

    def first(self, found: Found) -> Mapping[str, Any]:
        """Pass over what is there; what to store of it. Blocks."""
        ...

    async def take(self, found: Found) -> float | None:
        """Emit what is new; how many seconds until the next look is due."""
        ...

    def summary(self) -> str:
        """What the source is at, for people."""
        ...


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    path = written.get("path")
    if isinstance(path, str) and "${{" not in path and (wrong := complaint(path)) is not None:
        yield ("path",), wrong
    if written.get("events") == []:
        yield ("events",), f"events names at least one of {', '.join(_KINDS)}"
    if written.get("lines") is True and "events" in written:
        yield ("events",), "with lines each new line is an event: drop events"


@source(
    "file",
    fields=FileFields,
    # Other values of `settled` and `existing` are no reason to take all files for new ones.
    identity=("path", "events", "recursive", "lines"),
    check=_check,
    guarantee="exactly once: what is known of a file is stored with its event",
    examples=[
        "file: {path: inbox/*.csv}",
        "file: {path: /srv/drop/*, events: [created], settled: 5s, recursive: true}",
        "file: {path: /var/log/app.log, lines: true, existing: false}",
    ],
)
async def file(config: Watch, emit: Emit, context: SourceContext) -> None:
    """Files that come, change or go, or the lines added to them.

    Data of a file is `{path name folder size change mtime}`, of a line the line.
    """
    if (wrong := complaint(config.path)) is not None:
        raise SourceFailed(f"path {config.path!r}: {wrong}", fatal=True)
    pattern = Pattern(config.path, context.files.base, recursive=config.recursive)
    if config.lines:
        lines = Lines(pattern, emit, context)
        try:
            await _run(config, pattern, lines, context)
        finally:
            lines.close()
    else:
        changes = Changes(pattern, config.events, float(config.settled), emit, context)
        await _run(config, pattern, changes, context)


async def _run(
    config: Watch, pattern: Pattern, following: Following, context: SourceContext
) -> None:
    said: dict[str, str] = {}
    await _begin(config, pattern, following, context)
    async with _hinted(pattern) as (hinted, check):
        while True:
            hinted.clear()
            began_secs = context.clock.monotonic_secs()
            found = await asyncio.to_thread(pattern.look)
            took_secs = context.clock.monotonic_secs() - began_secs
            due_secs = await following.take(found)
            check()
            _say(found, said, following, pattern, context)
            pause_secs = max(_LEAST_PAUSE_SECS, took_secs * _PAUSES)
            await context.wait_until(context.clock.now_ms() + round(pause_secs * 1000))
            with suppress(TimeoutError):
                async with asyncio.timeout(RESCAN_SECS if due_secs is None else due_secs):
                    await hinted.wait()


async def _begin(
    config: Watch, pattern: Pattern, following: Following, context: SourceContext
) -> None:
    """Go on from what is stored; at the very first start store that there was one."""
    position, places = await context.position(), await context.places()
    if isinstance(position, str) and position != "latest":
        raise SourceFailed(
            f"position {position!r}: files can be read from earliest or latest", fatal=True
        )
    if position is not None and position != "latest":
        following.begin(places)
        return
    known: dict[str, Any] = dict.fromkeys(places)
    # Places without a position are left of a reset to earliest, which tells everything again.
    if position == "latest" or not (config.existing or places):
        found = await asyncio.to_thread(pattern.look)
        known |= await asyncio.to_thread(following.first, found)
    await context.keep(known, position={"since": instant(context.clock.now_ms())})


@asynccontextmanager
async def _hinted(pattern: Pattern) -> AsyncIterator[tuple[asyncio.Event, Callable[[], None]]]:
    """An event that is set when it is worth to look, and a check that raises what ended that."""
    hinted = asyncio.Event()

    async def listen() -> None:
        told = hints(
            pattern.watched(),
            quiet_secs=_QUIET_SECS,
            restless_secs=_RESTLESS_SECS,
            rescan_secs=RESCAN_SECS,
            recursive=pattern.deep,
        )
        async with aclosing(told):
            async for _ in told:
                hinted.set()

    listening = asyncio.create_task(listen())
    listening.add_done_callback(lambda _: hinted.set())
    try:
        yield hinted, lambda: listening.result() if listening.done() else None
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def _say(
    found: Found,
    said: dict[str, str],
    following: Following,
    pattern: Pattern,
    context: SourceContext,
) -> None:
    """Show what cannot be read, and log each such thing once."""
    for place, problem in found.problems.items():
        if said.get(place) != problem:
            context.log.warning(
                "a file or folder cannot be read; the others go on",
                extra={"path": pattern.shown + place, "error": problem},
            )
    said.clear()
    said.update(found.problems)
    detail = following.summary()
    if found.problems:
        place, problem = next(iter(found.problems.items()))
        detail += f"; {pattern.shown}{place}: {problem}"
        if len(found.problems) > 1:
            detail += f" (and {len(found.problems) - 1} more)"
    elif not pattern.watched().is_dir():
        detail += f"; {pattern.shown or '.'} is not there"
    context.up(detail)
