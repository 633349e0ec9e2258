"""The one table of functions: names are checked against it, calls run from it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from reactor.expr import (
    functions_encoding,
    functions_list,
    functions_number,
    functions_text,
    functions_time,
)
from reactor.expr.function import Function, Param
from reactor.expr.values import Fuel


def _default(_fuel: Fuel, value: Any, fallback: Any) -> Any:
    return fallback if value is None else value


def _has(_fuel: Fuel, path: Any) -> bool:
    return path is not None


# Both are compiled in place: a fallback is computed only when needed, a path is never read.
_SPECIAL = (
    Function(
        "default", (Param("value", "any or null"), Param("fallback", "any or null", None)), "any",
        "The value, or the fallback where it is missing or null.", "null | default(0)", 0, _default,
    ),
    Function(
        "has", (Param("path", "any or null"),), "boolean",
        "Whether a path such as event.body.x exists, even as null.", "has(event.body)", False, _has,
    ),
)  # fmt: skip

TABLE: Mapping[str, Function] = MappingProxyType(
    {
        function.name: function
        for function in (
            *_SPECIAL,
            *functions_text.FUNCTIONS,
            *functions_number.FUNCTIONS,
            *functions_list.FUNCTIONS,
            *functions_encoding.FUNCTIONS,
            *functions_time.FUNCTIONS,
        )
    }
)
