"""The source of files against a daemon's end that a test can look into, stop and start again."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from msgspec import msgpack

from reactor.clock import SystemClock
from reactor.connectors.file.source import file
from reactor.model.event import Receipt, Received
from reactor.plugin.context import Accepted, Files
from reactor.plugin.decode import decode

PATIENCE_SECS = 30.0
NOBODY = 65534


class Crashed(Exception):
    """The daemon ended after a commit and before it could answer."""


class Ears:
    """What a daemon keeps of one subscription: events, positions. Commits what it is given."""

    def __init__(self) -> None:
        self.heard: list[Received] = []
        self.batches: list[int] = []
        self.position: Any = None
        self.places: dict[str, Any] = {}
        self.kept = 0
        self.wanted: Callable[[Received], bool] = lambda _: True
        self.crash_after: int | None = None
        self.ended = False
        self.happened = asyncio.Event()

    async def __call__(self, received: Received) -> Receipt:
        return (await self.many([received]))[0]

    async def many(self, received: Sequence[Received]) -> list[Receipt]:
        receipts = []
        for one in received:
            wanted = self.wanted(one)
            if wanted:
                self.heard.append(one)
                self.store(dict(one.places))
            receipts.append(Receipt(len(self.heard) if wanted else None))
        self.batches.append(len(received))
        self.happened.set()
        if self.crash_after is not None and len(self.batches) >= self.crash_after:
            self.crash_after = None
            raise Crashed
        return receipts

    def nowait(self, received: Received, done: Accepted) -> None:
        raise NotImplementedError

    def store(self, places: dict[str, Any]) -> None:
        """What the store does with places: as bytes, None is gone."""
        for name, place in places.items():
            if place is None:
                self.places.pop(name, None)
            else:
                self.places[name] = msgpack.decode(msgpack.encode(place))

    def end(self, _: "asyncio.Task[None]") -> None:
        """The source has ended."""
        self.ended = True
        self.happened.set()

    @property
    def data(self) -> list[Any]:
        """What the events hold."""
        return [one.data for one in self.heard]

    @property
    def names(self) -> list[tuple[str, str]]:
        """Change and path of each event."""
        return [(one["change"], one["path"]) for one in self.data]

    async def until(self, fact: Callable[[], Any], what: str) -> None:
        """Return when a fact holds."""
        try:
            async with asyncio.timeout(PATIENCE_SECS):
                while not fact():
                    self.happened.clear()
                    await self.happened.wait()
        except TimeoutError:
            pytest.fail(
                f"{what}: not within {PATIENCE_SECS} s; heard {len(self.heard)}: {self.data[-9:]}"
            )


class Context:
    """A `SourceContext` over what `Ears` keeps."""

    instance = "file:test"
    clock = SystemClock()
    log = logging.getLogger("reactor.source.file")

    def __init__(self, ears: Ears, base: Path) -> None:
        self.ears = ears
        self.files = Files(base=str(base))
        self.detail = ""

    def up(self, detail: str = "") -> None:
        self.detail = detail
        self.ears.happened.set()

    async def position(self) -> Any:
        return self.ears.position

    async def places(self) -> dict[str, Any]:
        return dict(self.ears.places)

    async def keep(self, places: dict[str, Any], *, position: Any = None) -> None:
        self.ears.store(dict(places))
        self.ears.kept += 1
        self.ears.position = position or self.ears.position
        self.ears.happened.set()

    async def set_position(self, value: Any) -> None:
        self.ears.position = value

    async def wait_until(self, ms: int) -> None:
        await asyncio.sleep((ms - self.clock.now_ms()) / 1000)

    def chance(self) -> float:
        return 0.5


class Folder:
    """A base folder with `inbox` in it, and the source that watches it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.inbox = base / "inbox"
        self.inbox.mkdir()
        self.ears = Ears()
        self.context = Context(self.ears, base)

    @asynccontextmanager
    async def watched(self, path: str = "inbox/*.csv", **config: Any) -> AsyncIterator[Ears]:
        """The source at work, from its first look on."""
        config = {"path": path, "settled": "50ms", **config}
        self.context.detail = ""
        assert file.run is not None
        run = file.run(decode(config, file.config), self.ears, self.context)
        task = asyncio.create_task(run)
        self.ears.ended = False
        task.add_done_callback(self.ears.end)
        try:
            await self.ears.until(lambda: self.context.detail or task.done(), "the first look")
            yield self.ears
        finally:
            if task.done():
                task.result()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def drop(self, name: str, text: str = "x\n") -> Path:
        """Put a whole file into the inbox."""
        path = self.inbox / name
        path.write_text(text)
        return path

    async def detail(self, fact: Callable[[str], Any]) -> None:
        """Return when the source says something."""
        await self.ears.until(lambda: fact(self.context.detail), "the detail")


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    """An empty inbox."""
    return Folder(tmp_path)


@pytest.fixture
async def plain_user(folder: Folder) -> AsyncIterator[None]:
    """Rights count for this test, also where root runs it."""
    if os.geteuid() != 0:
        yield
        return
    async with folder.watched("inbox/warm") as ears:  # what is imported late is now
        folder.drop("warm")
        await ears.until(lambda: ears.heard, "the source at work")
    with TemporaryDirectory() as open_to_all:  # the folders above the test's own are root's alone
        folder.base = Path(open_to_all)
        folder.inbox = folder.base / "inbox"
        folder.inbox.mkdir()
        for path in (folder.base, folder.inbox):
            os.chown(path, NOBODY, NOBODY)
        folder.ears = Ears()
        folder.context = Context(folder.ears, folder.base)
        os.seteuid(NOBODY)
        yield
        os.seteuid(0)
