"""What a flow that is called takes: its declared inputs, checked and completed."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from reactor.errors import UsageError
from reactor.expr.values import kind
from reactor.model.flow import Flow

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "list": (list,),
    "map": (dict,),
}


def checked(flow: Flow, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with defaults; UsageError for an unknown, a missing or a wrong one.

    A text is read as JSON where another type is taken, because a command line has only texts.
    """
    for name in given:
        if name not in flow.inputs:
            guess = next(iter(get_close_matches(name, flow.inputs, 1)), None)
            have = (
                f"did you mean {guess}" if guess else f"it has {', '.join(flow.inputs) or 'none'}"
            )
            raise UsageError(f"flow {flow.name!r} has no input {name!r}; {have}")
    return {name: _value(flow, name, rule or {}, given) for name, rule in flow.inputs.items()}


def _value(flow: Flow, name: str, rule: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    if name not in given:
        if "default" not in rule:
            message = f"flow {flow.name!r} needs the input {name!r}: give {name}=…"
            raise UsageError(message)
        return rule["default"]
    wanted = rule.get("type", "any")
    types = _TYPES.get(wanted)
    value = given[name]
    if types is None or _is(value, types):
        return value
    if isinstance(value, str):
        try:
            read = msgspec.json.decode(value)
        except msgspec.DecodeError:
            read = value
        if _is(read, types):
            return read
    message = f"flow {flow.name!r}: input {name!r} takes a {wanted}, not a {kind(value)}"
    raise UsageError(message)


def _is(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types)
