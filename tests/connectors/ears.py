"""A daemon's end of a source's context: it commits what it is given, stops, and starts again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack

from reactor.clock import SystemClock
from reactor.errors import NotFound
from reactor.model.event import Receipt, Received
from reactor.plugin.context import Accepted, Connection, Files, Network
from reactor.plugin.decode import decode
from reactor.plugin.spec import Spec

PATIENCE_SECS = 30.0


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

    instance = "source:test"
    log = logging.getLogger("reactor.source.test")

    def __init__(self, ears: Ears, base: Path) -> None:
        self.ears = ears
        self.clock = SystemClock()
        self.files = Files(base=str(base))
        self.network = Network()
        self.shared: Any = None
        self.connections: dict[str, Connection] = {}
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
        self.ears.position = self.ears.position if position is None else position
        self.ears.happened.set()

    async def set_position(self, value: Any) -> None:
        self.ears.position = value

    async def wait_until(self, ms: int) -> None:
        await asyncio.sleep((ms - self.clock.now_ms()) / 1000)

    def chance(self) -> float:
        return 0.5

    def connection(self, kind: str, name: str | None) -> Connection:
        if name not in self.connections:
            raise NotFound(f"no connection {name!r} of kind {kind}")
        return self.connections[name]


@asynccontextmanager
async def running(spec: Spec, config: dict[str, Any], context: Context) -> AsyncIterator[Ears]:
    """A source at work, from when it says that it is up; what it raises comes out at the end."""
    ears = context.ears
    context.detail, ears.ended = "", False
    assert spec.run is not None
    task = asyncio.create_task(spec.run(decode(config, spec.config), ears, context))
    task.add_done_callback(ears.end)
    try:
        await ears.until(lambda: context.detail or task.done(), "the first sign of life")
        yield ears
    finally:
        if task.done():
            task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
