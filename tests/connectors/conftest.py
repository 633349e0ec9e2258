"""A daemon's end of an action's context, for tests that run one action by itself."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

import pytest

from reactor.clock import SystemClock
from reactor.errors import NotFound
from reactor.plugin.context import Connection, Files, Network
from reactor.plugin.decode import decode
from reactor.plugin.spec import Spec

T = TypeVar("T")


class FixedClock(SystemClock):
    """A clock whose wall stands still."""

    def __init__(self, ms: int) -> None:
        self._ms = ms

    def now_ms(self) -> int:
        return self._ms


class OpenedOnce:
    """Shared things that live as long as the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.found: dict[str, Any] = {}

    async def __call__(self, key: str, open_: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        if key not in self.found:
            self.found[key] = await self._stack.enter_async_context(open_())
        found: T = self.found[key]
        return found


class Attempt:
    """An `ActionContext` whose answers the test writes down."""

    def __init__(self, shared: OpenedOnce, base: str) -> None:
        self.shared = shared
        self.key = "exe_1/do.0"
        self.flow = "sample"
        self.execution = "exe_1"
        self.step = "step"
        self.attempt = 1
        self.clock = FixedClock(1_700_000_000_000)
        self.log = logging.getLogger("test")
        self.event: Mapping[str, Any] = {"id": "evt_1", "data": {"name": "ann"}}
        self.network = Network()
        self.files = Files(base=base)
        self.authored: dict[str, str] = {}
        self.connections: dict[str, Connection] = {}

    def connection(self, kind: str, name: str | None) -> Connection:
        of_kind = [c for c in self.connections.values() if c.kind == kind]
        if name is None and len(of_kind) == 1:
            return of_kind[0]
        if name in self.connections:
            return self.connections[name]
        raise NotFound(f"no connection {name!r} of kind {kind}")

    async def do(self, spec: Spec, written: Any, *, data: Mapping[str, str] | None = None) -> Any:
        """Run an action as the engine would: `data` holds what the author wrote of a field."""
        config = decode(written, spec.config)
        self.authored = {**authored_in(written), **(data or {})}
        assert spec.run is not None
        return await spec.run(config, self)


def authored_in(written: Any, path: str = "") -> dict[str, str]:
    """All of the text, as where no data takes part."""
    if isinstance(written, str):
        return {path: written}
    entries = (
        written.items()
        if isinstance(written, dict)
        else enumerate(written)
        if isinstance(written, list)
        else ()
    )
    found: dict[str, str] = {}
    for name, value in entries:
        found |= authored_in(value, f"{path}.{name}" if path else str(name))
    return found


@pytest.fixture
async def attempt(tmp_path) -> AsyncIterator[Attempt]:
    """One attempt of a step, in an empty folder."""
    async with AsyncExitStack() as stack:
        yield Attempt(OpenedOnce(stack), str(tmp_path))
