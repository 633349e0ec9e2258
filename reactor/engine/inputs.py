"""What a flow that is called takes, and what a form asks for: checked and completed."""

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
    """The inputs with defaults; UsageError for an unknown, a missing or a wrong one."""
    return completed(f"flow {flow.name!r}", "input", flow.inputs, given)


def completed(
    what: str, noun: str, rules: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Declared values with their defaults; UsageError for an unknown, a missing or a wrong one.

    A text is read as JSON where another type is taken, because a command line has only texts.
    """
    for name in given:
        if name not in rules:
            guess = next(iter(get_close_matches(name, rules, 1)), None)
            have = f"did you mean {guess}" if guess else f"it has {', '.join(rules) or 'none'}"
            raise UsageError(f"{what} has no {noun} {name!r}; {have}")
    return {name: _value((what, noun), name, rule or {}, given) for name, rule in rules.items()}


def _value(
    place: tuple[str, str], name: str, rule: Mapping[str, Any], given: Mapping[str, Any]
) -> Any:
    what, noun = place
    if name not in given:
        if "default" not in rule:
            raise UsageError(f"{what} needs the {noun} {name!r}: give {name}=…")
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
    raise UsageError(f"{what}: {noun} {name!r} takes a {wanted}, not a {kind(value)}")


def _is(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types)
