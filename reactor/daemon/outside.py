"""What actions and sources are lent by the daemon: connections by name, things opened once."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

from msgspec import json

from reactor.clock import Clock
from reactor.engine.rates import Rate
from reactor.errors import NotFound
from reactor.model.flow import Flow
from reactor.plugin.context import Connection
from reactor.secrets import Command, Redactor, Secrets
from reactor.settings import ConnectionSettings, Settings, resolve_connection
from reactor.units import parse_rate

T = TypeVar("T")
_METHODS = ("get", "post", "put", "patch", "delete")
# secrets.name and secrets["name"], the latter with its quotes escaped.
_NAMED = re.compile(r"""secrets(?:\.(\w+)|\[\\?["']([\w.-]+))""")


class Opened:
    """Things opened by the first who asks and closed with the daemon, last opened first."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._things: dict[str, Any] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def __call__(self, key: str, open_: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """The thing under `key`; who asks while it opens waits, and tries next if that failed."""
        async with self._opening.setdefault(key, asyncio.Lock()):
            if key not in self._things:
                self._things[key] = await self._stack.enter_async_context(open_())
            thing: T = self._things[key]
            return thing

    async def close(self) -> None:
        """Close everything."""
        self._things.clear()
        await self._stack.aclose()


def find_secrets(
    settings: Settings, redactor: Redactor, clock: Clock, environ: Mapping[str, str]
) -> Secrets:
    """Where the settings say that secrets are."""
    command = settings.secrets.exec
    return Secrets(
        redactor=redactor,
        clock=clock,
        environ=environ,
        folder=settings.secrets.dir,
        variables=settings.secrets.env,
        command=Command(args=command.args, timeout_secs=command.timeout, keep_secs=command.keep),
    )


def named_secrets(flows: Iterable[Flow], settings: Settings) -> set[str]:
    """The secrets that flows and connections name; of a text that only looks so, too."""
    written = [flow.document for flow in flows]
    text = json.encode([written, settings.connections], enc_hook=str).decode()
    return {found[1] or found[2] for found in _NAMED.finditer(text)}


class Connections:
    """`connections:` of reactor.yaml, with their secrets filled in when they are used."""

    def __init__(self, settings: Mapping[str, ConnectionSettings], secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._rates = {
            name: Rate(name, *parse_rate(found.config["rate"]))
            for name, found in settings.items()
            if "rate" in found.config
        }

    def rate(self, word: str, config: Any) -> Rate | None:
        """The rate of the connection that an action of this word and config uses, if any."""
        if not self._rates or not isinstance(config, Mapping):
            return None
        name = config.get("connection")
        if name is None and _may_use_the_only_one(word, config):
            kind = word.partition(".")[0]
            of_kind = [each for each, found in self._settings.items() if found.kind == kind]
            name = of_kind[0] if len(of_kind) == 1 else None
        return None if name is None else self._rates.get(name)

    def find(self, kind: str, name: str | None) -> Connection:
        """The connection of a name, or the only one of its kind; `NotFound` says what there is."""
        if name is None:
            of_kind = [each for each, found in self._settings.items() if found.kind == kind]
            if len(of_kind) != 1:
                have = f"there are {', '.join(of_kind)}" if of_kind else "there is none"
                message = (
                    f"no connection is named and {have} of kind {kind}: write connection: NAME"
                )
                raise NotFound(message)
            name = of_kind[0]
        found = self._settings.get(name)
        if found is None or found.kind != kind:
            have = ", ".join(sorted(self._settings)) or "none"
            message = f"there is no {kind} connection {name!r} in reactor.yaml (it has {have})"
            raise NotFound(message)
        return Connection(name=name, kind=kind, config=resolve_connection(found, self._secrets))


def _may_use_the_only_one(word: str, config: Mapping[str, Any]) -> bool:
    """Whether no connection was named and one is used: a request to a whole URL uses none."""
    return word != "http" or any(str(config.get(method, "")).startswith("/") for method in _METHODS)
