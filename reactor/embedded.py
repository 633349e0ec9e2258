"""Flows inside a Python program: the whole daemon on the program's own event loop."""

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from reactor.daemon.serving import Daemon
from reactor.engine import again
from reactor.errors import InvalidFlow, ReactorError, UsageError
from reactor.model.event import Receipt
from reactor.plugin.spec import Spec
from reactor.problem import render_text
from reactor.secrets import Redactor
from reactor.settings.shape import Plugins, SecretsSettings, Server, Settings

T = TypeVar("T")


def flow(name: str, *, when: Any, do: Iterable[Any] = (), **more: Any) -> str:
    """The text of a flow whose parts are Python values: `flow("hi", when={...}, do=[...])`.

    A key that is a word of Python is written with `_` behind it: `finally_`.
    """
    keys = {key.removesuffix("_"): value for key, value in more.items()}
    return json.dumps({"flow": name, "when": when, **keys, "do": list(do)})


class Reactor:
    """Runs flows while the context is open; what it has accepted survives the program.

    `flows` is a folder that is watched, `state` a folder for this program alone. `specs` are made
    by the decorators `source` and `action`. Webhooks are heard at `listen` (port 0: any free one,
    the attribute `listen` tells it). The commands `reactor runs`, `show` and the others work on the
    same state folder.
    """

    def __init__(
        self,
        *,
        flows: Path | str = "flows",
        state: Path | str = "state",
        listen: str = "127.0.0.1:0",
        secrets: Path | str = "secrets",
        plugins: Path | str = "plugins",
        specs: Iterable[Spec] = (),
    ) -> None:
        settings = Settings(
            flows=Path(flows),
            state=Path(state),
            server=Server(listen=listen),
            secrets=SecretsSettings(dir=Path(secrets)),
            plugins=Plugins(dir=Path(plugins)),
        )
        # Without an environment: what systemd or a shell tells is meant for the program.
        self._daemon = Daemon(settings, Redactor(), {}, specs=specs)
        self._stack = AsyncExitStack()
        self._serves = False

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._daemon.serving())
        self._serves = True
        return self

    async def __aexit__(self, *error: object) -> None:
        self._serves = False
        await self._stack.aclose()
        if self._daemon.failure is not None:
            raise self._daemon.failure

    @property
    def listen(self) -> str | None:
        """Where webhooks are heard."""
        return self._daemon.listen

    async def add(self, text: str, *, name: str | None = None) -> None:
        """Serve the flows of a text too; one added before under the same name is replaced.

        Raises InvalidFlow with every problem; then nothing has changed. The text is not kept: add
        it again after a restart.
        """
        book = self._running().served.book
        name = f"added-{len(book.given) + 1}" if name is None else name
        before = book.given.get(name)
        book.given[name] = text
        await self._answered(self._daemon.reload())
        errors = [each for each in book.pages[name].said if each.severity == "error"]
        if not errors:
            return
        if before is None:
            del book.given[name]
        else:
            book.given[name] = before
        await self._answered(self._daemon.reload())
        raise InvalidFlow("\n".join(map(render_text, errors)))

    async def emit(
        self,
        type: str,
        data: Any = None,
        *,
        key: str | None = None,
        id: str | None = None,
    ) -> Receipt:
        """Emit an event, as `reactor emit` does; on disk when it answers."""
        return await self._answered(again.emit(self._running().engine, type, data, key=key, id_=id))

    async def start(
        self,
        flow: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        trigger: str | None = None,
        data: Any = None,
    ) -> Receipt:
        """Start a flow by hand, as `reactor start` does; on disk when it answers."""
        work = again.start(
            self._running().engine, flow, trigger=trigger, data=data, inputs=inputs or {}
        )
        return await self._answered(work)

    def _running(self) -> Daemon:
        if not self._serves:
            raise UsageError("the reactor does not run: write `async with Reactor(...) as reactor`")
        return self._daemon

    async def _answered(self, work: Awaitable[T]) -> T:
        """The answer; what made the store stop is raised instead of waiting for ever."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._daemon.stopping.wait())
        try:
            await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self._daemon.failure or ReactorError("the reactor has stopped")
        finally:
            task.cancel()
            stopped.cancel()
