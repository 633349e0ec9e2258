"""Word → Spec. A connector is imported when a flow first uses one of its words."""

import importlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Literal

from reactor.plugin.spec import Outlet, Spec

# Each word of the language and the connector that has it. PyInstaller reads this table too.
SOURCES: Mapping[str, str] = {
    "http": "reactor.connectors.http.source",
    "file": "reactor.connectors.file.source",
    "schedule": "reactor.connectors.schedule.source",
    "poll": "reactor.connectors.http.poll",
    "exec": "reactor.connectors.exec",
    "sql": "reactor.connectors.sql.polling",
    "postgres": "reactor.connectors.sql.changes",
    "kafka": "reactor.connectors.kafka.source",
    "nats": "reactor.connectors.nats.source",
    "mysql": "reactor.connectors.sql.binlog.source",
    "redis": "reactor.connectors.redis.source",
    "mqtt": "reactor.connectors.mqtt.source",
    "call": "reactor.connectors.own",
    "event": "reactor.connectors.own",
    "flow": "reactor.connectors.own",
    "join": "reactor.connectors.own",
    "startup": "reactor.connectors.own",
}
ACTIONS: Mapping[str, str] = {
    "log": "reactor.connectors.own",
    "set": "reactor.connectors.own",
    "vars": "reactor.connectors.own",
    "map": "reactor.connectors.own",
    "emit": "reactor.connectors.own",
    "reply": "reactor.connectors.own",
    "fail": "reactor.connectors.own",
    "stop": "reactor.connectors.own",
    "http": "reactor.connectors.http.action",
    "shell": "reactor.connectors.shell",
    "file.read": "reactor.connectors.file.actions",
    "file.write": "reactor.connectors.file.actions",
    "file.append": "reactor.connectors.file.actions",
    "file.move": "reactor.connectors.file.actions",
    "file.copy": "reactor.connectors.file.actions",
    "file.delete": "reactor.connectors.file.actions",
    "file.list": "reactor.connectors.file.actions",
    "csv.read": "reactor.connectors.csv",
    "csv.write": "reactor.connectors.csv",
    "python": "reactor.connectors.python",
    "email.send": "reactor.connectors.email.action",
    "sql": "reactor.connectors.sql.action",
    "kafka.publish": "reactor.connectors.kafka.action",
    "nats.publish": "reactor.connectors.nats.actions",
    "nats.request": "reactor.connectors.nats.actions",
    "redis.publish": "reactor.connectors.redis.actions",
    "redis.xadd": "reactor.connectors.redis.actions",
    "redis.push": "reactor.connectors.redis.actions",
    "redis.command": "reactor.connectors.redis.actions",
    "mqtt.publish": "reactor.connectors.mqtt.action",
}
# Each kind of connection that can be tried, and the connector that has it.
CONNECTIONS: Mapping[str, str] = {
    "redis": "reactor.connectors.redis.connection",
    "sql": "reactor.connectors.sql.connection",
    "mqtt": "reactor.connectors.mqtt.action",
    "kafka": "reactor.connectors.kafka.source",
    "nats": "reactor.connectors.nats.source",
}
# Words of the language that this build does not have yet; the loader says so.
LATER_SOURCES = frozenset({"grpc"})


class Catalog:
    """Finds the Spec of a word.

    Built in, or brought by a plugin (which may not take a built-in word).
    """

    def __init__(self, plugins: Iterable[Spec] = ()) -> None:
        self._plugins = {(spec.kind, spec.word): spec for spec in plugins}
        self._found: dict[tuple[str, str], Spec] = {}

    def find(self, kind: Literal["source", "action"], word: str) -> Spec | None:
        """The Spec of a word, importing its connector if needed; None if there is no such word."""
        if (spec := self._found.get((kind, word))) is not None:
            return spec
        module = (SOURCES if kind == "source" else ACTIONS).get(word)
        spec = (
            self._plugins.get((kind, word)) if module is None else _specs(module).get((kind, word))
        )
        if spec is not None:
            self._found[kind, word] = spec
        return spec

    def outlet(self, kind: str) -> Outlet | None:
        """How connections of a kind are read and tried; None where nobody knows the kind."""
        module = CONNECTIONS.get(kind)
        if module is None:
            return None
        found = vars(importlib.import_module(module)).values()
        return next(one for one in found if isinstance(one, Outlet) and one.kind == kind)

    def words(self, kind: Literal["source", "action"]) -> list[str]:
        """Every word of a kind, sorted."""
        built_in = SOURCES if kind == "source" else ACTIONS
        return sorted({*built_in, *(word for of, word in self._plugins if of == kind)})

    def later(self, kind: Literal["source", "action"], word: str) -> bool:
        """Whether the language has the word but this build does not."""
        return kind == "source" and word in LATER_SOURCES

    def nearest(self, kind: Literal["source", "action"], word: str) -> str | None:
        """The word that was probably meant."""
        return next(iter(get_close_matches(word, self.words(kind), 1)), None)


def specs_of(module: ModuleType) -> list[Spec]:
    """The Specs that a module declares."""
    return [value for value in vars(module).values() if isinstance(value, Spec)]


def _specs(module: str) -> dict[tuple[str, str], Spec]:
    found = specs_of(importlib.import_module(module))
    return {(spec.kind, spec.word): spec for spec in found}
