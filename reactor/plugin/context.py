"""What a source or an action may ask of the daemon."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from reactor.clock import Clock
from reactor.model.event import Receipt, Received
from reactor.model.http import Reply, Request

Respond = Callable[[Reply], None]
Answer = Callable[[Request, Respond], None]
Accepted = Callable[[Receipt | BaseException], None]
T = TypeVar("T")


class Emit(Protocol):
    """Hands events to the router; what was emitted is on disk when it answers."""

    async def __call__(self, received: Received) -> Receipt:
        """Store one event and say what became of it.

        Raises `Overloaded` when nothing was stored.
        """
        ...

    async def many(self, received: Sequence[Received]) -> list[Receipt]:
        """Store a batch in one commit; order is kept."""
        ...

    def nowait(self, received: Received, done: Accepted) -> None:
        """Like a call, without a task.

        `done` is called once, after the commit or with the error.
        """
        ...


class Cors(Struct, frozen=True, kw_only=True):
    """Which browsers' pages may call a route."""

    origins: tuple[str, ...]
    headers: tuple[str, ...] = ("content-type",)
    max_age_secs: int = 600


class Route(Struct, frozen=True, kw_only=True):
    """A path of the webhook listener.

    `/hooks/{tenant}`; a longer body than `max_body` bytes is answered 413.
    """

    method: str
    path: str
    max_body: int
    cors: Cors | None = None


class Routes(Protocol):
    """The paths of the webhook listener."""

    def add(self, route: Route, answer: Answer) -> AbstractAsyncContextManager[None]:
        """Serve a route while the context is open.

        `answer` is called on the event loop with each complete request and must call `respond`
        exactly once,
        now or later; it must not block.
        """
        ...


class Network(Struct, frozen=True, kw_only=True):
    """`net.allow`.

    Host names, addresses and networks that data may name although they are not public.
    """

    allow: tuple[str, ...] = ()


class Files(Struct, frozen=True, kw_only=True):
    """Where files may be touched: relative paths start at `base`, `roots` is `files.roots`.

    `flows` is the folder of the flows, beside which `python` finds its modules (empty: `base`).
    """

    base: str
    roots: tuple[str, ...] = ()
    flows: str = ""


class Connection(Struct, frozen=True, kw_only=True):
    """One entry of `connections`.

    Its kind (`http`, `kafka`, …) and its plain config with secrets resolved.
    """

    name: str
    kind: str
    config: Mapping[str, Any]


class Shared(Protocol):
    """Things opened once and closed by the daemon."""

    async def __call__(self, key: str, open_: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """The thing under `key`, opened by the first who asks."""
        ...


class SourceContext(Protocol):
    """What a running source may ask."""

    @property
    def instance(self) -> str:
        """The subscription's name, stable over restarts."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def log(self) -> logging.Logger:
        """The source's logger."""
        ...

    @property
    def routes(self) -> Routes:
        """The webhook listener's paths."""
        ...

    @property
    def allow_unauthenticated(self) -> bool:
        """Whether `verify: none` may be served on an address that is not loopback."""
        ...

    @property
    def listens_on_loopback(self) -> bool:
        """Whether the webhook listener is reachable from this machine only."""
        ...

    @property
    def shared(self) -> Shared:
        """Connections opened once."""
        ...

    @property
    def files(self) -> Files:
        """Where relative paths start."""
        ...

    @property
    def network(self) -> Network:
        """Which hosts an answer may lead to."""
        ...

    def up(self, detail: str = "") -> None:
        """Say that the source works; until then it counts as starting."""
        ...

    def lag(self, events: float) -> None:
        """Say how many events (of a log: transactions, bytes) wait at the peer, for metrics."""
        ...

    async def position(self) -> Any:
        """The last position stored with an event of this instance, or None."""
        ...

    async def places(self) -> dict[str, Any]:
        """The positions by name (`Received.places`) of this instance."""
        ...

    async def keep(self, places: Mapping[str, Any], *, position: Any = None) -> None:
        """Store positions that no event carries, in one commit: what no flow wanted was seen too.

        A place of None is forgotten; a position of None stays as it was.
        """
        ...

    async def set_position(self, value: Any) -> None:
        """Store a position that comes with no event; it is on disk when this returns."""
        ...

    async def wait_until(self, ms: int) -> None:
        """Return when the clock shows this time, or was set back meanwhile.

        That the clock was set, or the machine slept, is noticed within half a minute.
        """
        ...

    def chance(self) -> float:
        """A number from [0, 1), drawn anew."""
        ...

    def connection(self, kind: str, name: str | None) -> Connection:
        """A configured connection; without a name the only one of its kind. Raises `NotFound`."""
        ...


class ActionContext(Protocol):
    """What one attempt of a step may ask."""

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt of this step of this execution."""
        ...

    @property
    def flow(self) -> str:
        """The flow's name."""
        ...

    @property
    def execution(self) -> str:
        """The execution's public id."""
        ...

    @property
    def step(self) -> str:
        """The step's id."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def log(self) -> logging.Logger:
        """The step's logger."""
        ...

    @property
    def event(self) -> Mapping[str, Any]:
        """The event as expressions see it (`$REACTOR_EVENT_FILE` is its JSON)."""
        ...

    @property
    def network(self) -> Network:
        """Which hosts data may name."""
        ...

    @property
    def files(self) -> Files:
        """Which files may be touched."""
        ...

    @property
    def authored(self) -> Mapping[str, str]:
        """For each `authored` field: the beginning of its text that no event data wrote.

        Equal to the whole text where no data takes part.
        """
        ...

    @property
    def shared(self) -> Shared:
        """Connections opened once."""
        ...

    def connection(self, kind: str, name: str | None) -> Connection:
        """A configured connection; without a name the only one of its kind. Raises `NotFound`."""
        ...


SourceRun = Callable[[Any, Emit, SourceContext], Awaitable[None]]
ActionRun = Callable[[Any, ActionContext], Awaitable[Any]]
