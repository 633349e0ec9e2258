"""What a function of the language is: a row that names, checks, documents and runs it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct

from reactor.errors import EvaluationError
from reactor.expr.values import Fuel, kind


class Required:
    """The default of a parameter that must be given."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Required()

_TYPES: dict[str, frozenset[type]] = {
    "text": frozenset({str}),
    "number": frozenset({int, float}),
    "integer": frozenset({int}),
    "boolean": frozenset({bool}),
    "list": frozenset({list}),
    "map": frozenset({dict}),
    "time": frozenset({datetime, str}),  # as text: RFC 3339
    "bytes": frozenset({bytes}),
    "any": frozenset({str, int, float, bool, list, dict, datetime, bytes}),
    "null": frozenset({type(None)}),
}


class Param(Struct, frozen=True):
    """One parameter: its kinds joined by ` or `; `rest` takes all further values.

    `any` is everything but null. A parameter called `tz` falls back to the default time zone.
    """

    name: str
    kind: str
    default: Any = REQUIRED
    rest: bool = False

    @property
    def types(self) -> frozenset[type]:
        """The types of the values that it takes."""
        return frozenset[type]().union(*(_TYPES[part] for part in self.kind.split(" or ")))


class Function(Struct, frozen=True):
    """One function: `call` gets the fuel and one checked value for each parameter.

    `example` evaluates to `result`; None as a result with an empty example text stands for chance.
    """

    name: str
    params: tuple[Param, ...]
    returns: str
    summary: str
    example: str
    result: Any
    call: Callable[..., Any]

    @property
    def signature(self) -> str:
        """How it is written: `truncate(text, length, end="…")`."""
        return f"{self.name}({', '.join(map(_param_text, self.params))})"


def guarded(function: Function) -> Callable[..., Any]:
    """The function as compiled expressions call it: kinds are checked before it runs."""
    call, name, params = function.call, function.name, function.params
    types = [param.types for param in params]
    first_types, second_types = types[0], types[-1]
    if params[-1].rest:
        return _guarded_rest(function)

    def run(fuel: Fuel, *values: Any) -> Any:
        for index, value in enumerate(values):
            if type(value) not in types[index]:
                raise _refused(name, params[index], value)
        return call(fuel, *values)

    def run_one(fuel: Fuel, value: Any) -> Any:
        if type(value) not in first_types:
            raise _refused(name, params[0], value)
        return call(fuel, value)

    def run_two(fuel: Fuel, first: Any, second: Any) -> Any:
        if type(first) not in first_types:
            raise _refused(name, params[0], first)
        if type(second) not in second_types:
            raise _refused(name, params[1], second)
        return call(fuel, first, second)

    return run_one if len(params) == 1 else run_two if len(params) == 2 else run


def _guarded_rest(function: Function) -> Callable[..., Any]:
    params = function.params
    last = len(params) - 1

    def run(fuel: Fuel, *values: Any) -> Any:
        for index, value in enumerate(values):
            param = params[min(index, last)]
            if type(value) not in param.types:
                raise _refused(function.name, param, value)
        return function.call(fuel, *values)

    return run


def _refused(name: str, param: Param, value: Any) -> EvaluationError:
    return EvaluationError(f"{name} takes {param.kind} as {param.name}, not {kind(value)}")


def _param_text(param: Param) -> str:
    if param.rest:
        return f"{param.name}…"
    if param.default is REQUIRED:
        return param.name
    value = (
        {True: "true", False: "false", None: "null"}.get(param.default)
        if not param.default
        else None
    )
    text = f'"{param.default}"' if isinstance(param.default, str) else str(param.default)
    if isinstance(param.default, bool):
        text = "true" if param.default else "false"
    return param.name if param.name == "tz" else f"{param.name}={value or text}"
