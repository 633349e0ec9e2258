"""`connections:` of reactor.yaml: named, of the kind of their one key, secrets filled in on use."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from reactor.plugin.spec import Complaint
from reactor.secrets import Secrets
from reactor.units import parse_rate

# How connections stand in the file: name, kind, config.
Written = Mapping[str, Mapping[str, Mapping[str, Any]]]

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_SECRET = re.compile(r"\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


class ConnectionSettings(Struct, frozen=True):
    """One connection: its kind (`http`, `kafka`, …) and its config as written."""

    kind: str
    config: Mapping[str, Any]


def read_connections(written: Written) -> dict[str, ConnectionSettings]:
    """The connections of a checked map."""
    return {
        name: ConnectionSettings(kind, config)
        for name, kinds in written.items()
        for kind, config in kinds.items()
    }


def check_connections(connections: Written) -> Iterator[Complaint]:
    """What is wrong with a map of connections, each with the path to it."""
    for name, kinds in connections.items():
        if not _NAME.fullmatch(name):
            yield (name,), f"{name!r} is no name of a connection: [a-z][a-z0-9_-]*"
        elif len(kinds) != 1:
            yield (name,), f"connection {name!r} has one key, its kind: {name}: {{kafka: {{…}}}}"
        else:
            yield from _check_templates(kinds, (name,))
            yield from _check_rate(name, kinds)


def resolve_connection(connection: ConnectionSettings, secrets: Secrets) -> dict[str, Any]:
    """The config of a connection with its secrets in place; `NotFound` where one is missing."""
    resolved: dict[str, Any] = _filled(connection.config, secrets)
    return resolved


def _check_rate(name: str, kinds: Mapping[str, Mapping[str, Any]]) -> Iterator[Complaint]:
    for kind, config in kinds.items():
        if "rate" in config:
            try:
                parse_rate(config["rate"])
            except ValueError as error:
                yield (name, kind, "rate"), f"rate: {error}"


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
