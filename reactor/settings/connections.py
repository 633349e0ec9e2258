"""`connections:` of reactor.yaml: named, of the kind of their one key, secrets filled in on use."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from reactor.plugin.spec import Complaint
from reactor.secrets import Secrets

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_SECRET = re.compile(r"\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def check_connections(connections: Mapping[str, Any]) -> Iterator[Complaint]:
    """What is wrong with a map of connections, each with the path to it."""
    for name, kinds in connections.items():
        if not _NAME.fullmatch(name):
            yield (name,), f"{name!r} is no name of a connection: [a-z][a-z0-9_-]*"
        elif not isinstance(kinds, Mapping) or len(kinds) != 1:
            yield (name,), f"connection {name!r} has one key, its kind: {name}: {{kafka: {{…}}}}"
        else:
            yield from _check_templates(kinds, (name,))


def resolve_connection(config: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    """The config of a connection with its secrets in place; `NotFound` where one is missing."""
    resolved: dict[str, Any] = _filled(config, secrets)
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
