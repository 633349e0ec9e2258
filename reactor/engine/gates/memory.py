"""`remember`: values of an event that are kept as `state` in the commit that accepts it."""

from collections.abc import Mapping
from typing import Any

from reactor.engine.state import SharedState, detached
from reactor.errors import EvaluationError
from reactor.expr.parse import Expression
from reactor.expr.values import to_key
from reactor.model.gates import Remember
from reactor.store import StateValue


def remembered(
    entries: tuple[Remember, ...], names: Mapping[str, Any], shared: SharedState, now_ms: int
) -> list[StateValue]:
    """The values that are new; EvaluationError says which entry has none.

    A value of which a part is missing is not remembered, null deletes.
    """
    found = []
    for entry in entries:
        try:
            value = entry.value.evaluate(names)
            key = "" if entry.key is None else to_key(entry.key.evaluate(names)) or ""
        except EvaluationError as error:
            raise EvaluationError(f"remember {entry.name}: {error}") from error
        if entry.keyed:
            key = names["event"]["key"] or ""
        if value is None and _lacks(entry.value, names):
            continue
        until_ms = None if entry.ttl_ms is None else now_ms + entry.ttl_ms
        if until_ms is None and _known(shared.latest, entry.name, key) == value:
            continue
        found.append(StateValue(entry.name, key, detached(value), until_ms))
    return found


def _known(state: Mapping[str, Any], name: str, key: str) -> Any:
    value = state.get(name)
    if key == "":
        return value
    return value.get(key) if isinstance(value, dict) else None


def _lacks(expression: Expression, names: Mapping[str, Any]) -> bool:
    """Whether a path that it reads of the event is not there."""
    return any(path[0] == "event" and not _is_there(path, names) for path in expression.paths)


def _is_there(path: tuple[str, ...], names: Mapping[str, Any]) -> bool:
    value: Any = names
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True
