"""`connections:` of reactor.yaml: named, typed by their one key, with secrets filled in on use."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from reactor.plugin.spec import Complaint
from reactor.secrets import Secrets

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_SECRET = re.compile(r"\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


class ConnectionSettings(Struct, frozen=True):
    """One connection as written: `${{ secrets.NAME }}` is still text."""

    kind: str
    config: Mapping[str, Any]


def read_connections(plain: Any) -> dict[str, ConnectionSettings]:
    """The connections of a checked map."""
    return {
        name: ConnectionSettings(kind, config or {})
        for name, kinds in plain.items()
        for kind, config in kinds.items()
    }


def check_connections(plain: Any) -> Iterator[Complaint]:
    """What is wrong with a map of connections."""
    if not isinstance(plain, Mapping):
        yield (), 'connections is a map: main: {kafka: {brokers: ["localhost:9092"]}}'
        return
    for name, kinds in plain.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield (name,), f"{name!r} is no name of a connection: [a-z][a-z0-9_-]*"
        elif not isinstance(kinds, Mapping) or len(kinds) != 1:
            yield (name,), f"connection {name!r} has one key, its kind: {name}: {{kafka: {{...}}}}"
        else:
            ((kind, config),) = kinds.items()
            if config is not None and not isinstance(config, Mapping):
                yield (name, kind), f"connection {name!r}: {kind} takes a map"
            else:
                yield from _check_templates(config, (name, kind))


def resolve_connection(connection: ConnectionSettings, secrets: Secrets) -> dict[str, Any]:
    """The config of a connection with its secrets in place; raises `NotFound` if one is missing."""
    resolved: dict[str, Any] = _filled(connection.config, secrets)
    return resolved


def _filled(value: Any, secrets: Secrets) -> Any:
    if isinstance(value, str):
        return _SECRET.sub(lambda found: secrets.get(found[1]), value)
    if isinstance(value, Mapping):
        return {key: _filled(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, secrets) for inner in value]
    return value


def _check_templates(value: Any, path: tuple[str | int, ...]) -> Iterator[Complaint]:
    if isinstance(value, str) and "${{" in _SECRET.sub("", value):
        yield path, "a connection takes ${{ secrets.NAME }} and no other template"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _check_templates(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _check_templates(inner, (*path, index))
