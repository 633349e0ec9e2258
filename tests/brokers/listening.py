"""A source at work against a daemon's end that a test can look into, hold, crash and start again.

It runs under the real supervisor: what is lost comes back as it does in the daemon.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import msgpack

from reactor.clock import SystemClock
from reactor.engine.supervisor import SourceState, Supervisor
from reactor.errors import NotFound
from reactor.model.event import Receipt, Received
from reactor.plugin.context import Connection, Files
from reactor.plugin.decode import decode
from reactor.plugin.spec import Spec

PATIENCE_SECS = 30.0
INSTANCE = "source:test"


class Ears:
    """What a daemon keeps of one subscription: events by identity, position, places."""

    def __init__(self) -> None:
        self.heard: list[Received] = []
        self.duplicates = 0
        self.batches: list[int] = []
        self.identities: set[str] = set()
        self.position: Any = None
        self.places: dict[str, Any] = {}
        self.wanted: Callable[[Received], bool] = lambda _: True
        # Cleared: nothing is committed, as when the disk is full.
        self.open = asyncio.Event()
        self.open.set()
        # Called after a commit and before the source hears of it.
        self.committed: Callable[[], None] = lambda: None
        self.happened = asyncio.Event()

    async def __call__(self, received: Received) -> Receipt:
        return (await self.many([received]))[0]

    async def many(self, received: Sequence[Received]) -> list[Receipt]:
        await self.open.wait()
        receipts = [self._accept(one) for one in received]
        self.batches.append(len(received))
        self.happened.set()
        self.committed()
        return receipts

    def store(self, places: Mapping[str, Any]) -> None:
        """What the store does with places: as bytes, None is gone."""
        for name, place in places.items():
            if place is None:
                self.places.pop(name, None)
            else:
                self.places[name] = msgpack.decode(msgpack.encode(place))

    @property
    def data(self) -> list[Any]:
        """What the events hold."""
        return [one.data for one in self.heard]

    async def until(self, fact: Callable[[], Any], what: str, secs: float = PATIENCE_SECS) -> None:
        """Return when a fact holds."""
        try:
            async with asyncio.timeout(secs):
                while not fact():
                    self.happened.clear()
                    await self.happened.wait()
        except TimeoutError:
            pytest.fail(f"{what}: not within {secs} s; heard {len(self.heard)}: {self.data[-9:]}")

    async def until_heard(self, count: int) -> None:
        """Return when so many events are stored."""
        await self.until(lambda: len(self.heard) >= count, f"{count} events")

    def _accept(self, one: Received) -> Receipt:
        if one.identity is not None and one.identity in self.identities:
            self.duplicates += 1
            return Receipt(1, duplicate=True)
        if not (self.wanted(one) or one.undecodable):
            return Receipt(None)
        if one.identity is not None:
            self.identities.add(one.identity)
        self.heard.append(one)
        self.store(one.places)
        if one.position is not None:
            self.position = one.position
        return Receipt(len(self.heard))


class Context:
    """A `SourceContext` over what `Ears` keeps."""

    instance = INSTANCE
    clock = SystemClock()
    log = logging.getLogger("reactor.source.test")
    files = Files(base=".")

    def __init__(self, ears: Ears, supervisor: Supervisor) -> None:
        self.ears = ears
        self.supervisor = supervisor
        self.connections: dict[str, Connection] = {}
        self.lags: list[float] = []

    def up(self, detail: str = "") -> None:
        self.supervisor.up(self.instance, detail)
        self.ears.happened.set()

    def lag(self, events: float) -> None:
        self.lags.append(events)
        self.ears.happened.set()

    async def position(self) -> Any:
        return self.ears.position

    async def places(self) -> dict[str, Any]:
        return dict(self.ears.places)

    async def keep(self, places: Mapping[str, Any], *, position: Any = None) -> None:
        self.ears.store(places)
        if position is not None:
            self.ears.position = msgpack.decode(msgpack.encode(position))
        self.ears.happened.set()

    async def set_position(self, value: Any) -> None:
        self.ears.position = value

    async def wait_until(self, ms: int) -> None:
        await asyncio.sleep((ms - self.clock.now_ms()) / 1000)

    def chance(self) -> float:
        return random.random()

    def connection(self, kind: str, name: str | None) -> Connection:
        for connection in self.connections.values():
            if connection.kind == kind and name in (None, connection.name):
                return connection
        raise NotFound(f"there is no {kind} connection {name!r} in reactor.yaml")


class Listening:
    """One source under supervision."""

    def __init__(self, ears: Ears, context: Context, supervisor: Supervisor) -> None:
        self.ears = ears
        self.context = context
        self._supervisor = supervisor

    @property
    def state(self) -> SourceState:
        """How it does."""
        (state,) = self._supervisor.states()
        return state

    async def up(self) -> None:
        """Return when it works."""
        await self.ears.until(lambda: self.state.state == "up", "up")

    async def stop(self) -> None:
        """End it as a reload would."""
        await self._supervisor.stop(INSTANCE)

    async def failed(self, words: str, secs: float = 10.0) -> str:
        """Return when it has failed and its error says this; the error."""

        async def says() -> bool:
            return words in (self.state.error or "")

        await eventually(says, f"a failure with {words!r}", secs)
        return self.state.error or ""


async def _hurried(secs: float) -> None:
    """The supervisor's waits, a tenth as long."""
    await asyncio.sleep(secs / 10)


@asynccontextmanager
async def listening(
    spec: Spec,
    config: Mapping[str, Any],
    ears: Ears,
    *,
    connections: Mapping[str, Connection] | None = None,
    wait: Callable[[float], Any] = _hurried,
) -> AsyncIterator[Listening]:
    """The source at work while inside; started again over the same ears it goes on."""
    typed = decode(config, spec.config)
    run = spec.run
    assert run is not None
    supervisor = Supervisor(clock=SystemClock(), chance=random.random, wait=wait, redact=str)
    context = Context(ears, supervisor)
    context.connections |= connections or {}
    async with supervisor:
        supervisor.start(INSTANCE, lambda: run(typed, ears, context))
        yield Listening(ears, context, supervisor)


async def eventually(look: Callable[[], Awaitable[bool]], what: str, secs: float = 10.0) -> None:
    """Return when a fact at a server holds, of which nobody tells us."""
    try:
        async with asyncio.timeout(secs):
            while not await look():  # noqa: ASYNC110 -- nobody tells
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"{what}: not within {secs} s")
