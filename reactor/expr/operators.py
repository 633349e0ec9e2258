"""What the operators do: Python's meaning where both sides fit, else an EvaluationError.

Compiled expressions call these; each takes plain values and never touches an attribute of a value
that the expression's text could name.
"""

import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.values import SMALL, SURE, Fuel, kind, number, to_text

_NUMBERS = (int, float)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def field(value: Any, name: str) -> Any:
    """The value under a map's key; null where the key or the map is missing."""
    if isinstance(value, dict):
        return value.get(name)
    if value is None:
        return None
    raise EvaluationError(f".{name} needs a map, not {kind(value)}")


def item(value: Any, key: Any) -> Any:
    """The element of a list, character of a text or value of a map; null where there is none.

    Keys of maps are text: 5 and "5" name the same one.
    """
    if value is None or key is None:
        return None
    if isinstance(value, dict):
        return value.get(key if type(key) is str else to_text(key))
    if type(value) in (list, str, bytes) and type(key) is int:
        try:
            return value[key]
        except IndexError:
            return None
    if type(value) in (list, str, bytes):
        raise EvaluationError(f"a position in a {kind(value)} is a number, not {kind(key)}")
    raise EvaluationError(f"[ ] needs a list, a map or a text, not {kind(value)}")


def cut(value: Any, start: Any, stop: Any, fuel: Fuel) -> Any:
    """A part of a list or text: `x[1:3]`."""
    if type(value) not in (list, str, bytes):
        raise EvaluationError(f"[:] needs a list or a text, not {kind(value)}")
    if any(bound is not None and type(bound) is not int for bound in (start, stop)):
        raise EvaluationError(f"the bounds in [:] are numbers, not {kind(start)} and {kind(stop)}")
    part = value[start:stop]
    fuel.build(len(part))
    return part


def has(value: Any, keys: Sequence[Any]) -> bool:
    """Whether the path exists, even when what stands there is null."""
    if not keys:
        return value is not None
    for key in keys:
        if isinstance(value, dict):
            name = key if type(key) is str else to_text(key)
            if name not in value:
                return False
            value = value[name]
        elif type(value) is list and type(key) is int and -len(value) <= key < len(value):
            value = value[key]
        else:
            return False
    return True


def equal(left: Any, right: Any, fuel: Fuel) -> bool:
    """Whether two values are the same, all the way down; never a type error."""
    if type(left) is str and type(right) is str:
        if len(left) > SMALL and len(left) == len(right):
            fuel.scan(len(left))
        return left == right
    if type(left) is list and type(right) is list:
        fuel.spend(1 + 4 * len(left))
        return len(left) == len(right) and all(
            equal(a, b, fuel) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        fuel.spend(1 + 6 * len(left))
        return left.keys() == right.keys() and all(
            equal(left[key], right[key], fuel) for key in left
        )
    return bool(left == right)


def order(left: Any, sign: str, right: Any, fuel: Fuel) -> bool:
    """`< <= > >=`: false with null, a type error where the kinds differ."""
    if type(left) is str and type(right) is str:
        if len(left) > SMALL and len(right) > SMALL:
            fuel.scan(min(len(left), len(right)))
    elif type(left) is list and type(right) is list:
        fuel.spend(1 + 4 * min(len(left), len(right)))
        for a, b in zip(left, right, strict=False):
            if not equal(a, b, fuel):
                return order(a, sign, b, fuel)
        return _ORDERS[sign](len(left), len(right))
    try:
        return bool(_ORDERS[sign](left, right))
    except TypeError:
        if left is None or right is None:
            return False
        raise EvaluationError(
            f"{kind(left)} {sign} {kind(right)} has no answer{_order_hint(left, right)}"
        ) from None


def compare(fuel: Fuel, left: Any, *rest: Any) -> bool:
    """A chain such as `a < b <= c`, given as value, sign, value, sign, value."""
    for sign, right in zip(rest[::2], rest[1::2], strict=True):
        if sign == "==":
            holds = equal(left, right, fuel)
        elif sign == "!=":
            holds = not equal(left, right, fuel)
        elif sign == "in":
            holds = contains(right, left, fuel)
        elif sign == "not in":
            holds = not contains(right, left, fuel)
        else:
            holds = order(left, sign, right, fuel)
        if not holds:
            return False
        left = right
    return True


def contains(box: Any, value: Any, fuel: Fuel) -> bool:
    """`value in box`: part of a text, element of a list, key of a map; false with null."""
    if box is None or value is None:
        return False
    if type(box) is str:
        if type(value) is not str:
            raise EvaluationError(f"a text contains texts, not {kind(value)}")
        if len(box) > SMALL:
            fuel.scan(len(box))
        return value in box
    if isinstance(box, dict):
        if type(value) in (list, dict):
            raise EvaluationError(f"the keys of a map are texts, not {kind(value)}")
        return (value if type(value) is str else to_text(value)) in box
    if type(box) is list:
        fuel.spend(1 + len(box))
        if type(value) in (str, list, dict):
            return any(equal(each, value, fuel) for each in box)
        return value in box
    raise EvaluationError(f"in needs a list, a map or a text, not {kind(box)}")


def add(left: Any, right: Any, fuel: Fuel) -> Any:
    """The sum of numbers, or texts or lists one after the other."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        result = left + right
        return result if -SURE < result < SURE else number(result)
    if type(left) is type(right) and type(left) in (str, list, bytes):
        size = len(left) + len(right)
        if size > SMALL or type(left) is list:
            fuel.build(size if type(left) is not list else 8 * size)
        return left + right
    raise EvaluationError(f"{kind(left)} + {kind(right)} has no answer{_add_hint(left, right)}")


def subtract(left: Any, right: Any) -> Any:
    """The difference of numbers, or the seconds between two times."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        result = left - right
        return result if -SURE < result < SURE else number(result)
    if type(left) is datetime and type(right) is datetime:
        return (left - right).total_seconds()
    if type(left) is datetime:
        raise EvaluationError(f'time - {kind(right)} has no answer: use add_time(t, "-5m")')
    raise EvaluationError(f"{kind(left)} - {kind(right)} has no answer")


def multiply(left: Any, right: Any) -> Any:
    """The product of numbers."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        try:
            result = left * right
            return result if -SURE < result < SURE else number(result)
        except OverflowError:
            raise EvaluationError("the result is no finite number") from None
    raise _no_numbers(left, "*", right)


def divide(left: Any, right: Any) -> Any:
    """The quotient of numbers."""
    return _quotient(left, "/", right, operator.truediv)


def divide_down(left: Any, right: Any) -> Any:
    """The quotient of numbers, rounded down."""
    return _quotient(left, "//", right, operator.floordiv)


def remainder(left: Any, right: Any) -> Any:
    """What is left of a division of numbers."""
    return _quotient(left, "%", right, operator.mod)


def negative(value: Any) -> Any:
    """The number with the other sign."""
    if type(value) not in _NUMBERS:
        raise EvaluationError(f"- takes a number, not {kind(value)}")
    return number(-value)


def positive(value: Any) -> Any:
    """The number itself."""
    if type(value) not in _NUMBERS:
        raise EvaluationError(f"+ takes a number, not {kind(value)}")
    return value


def iterate(value: Any, fuel: Fuel, weight: int) -> Any:
    """A list's elements or a map's keys for a loop, paid for with the size of its body."""
    if type(value) is not list and not isinstance(value, dict):
        hint = ": use default([])" if value is None else ""
        raise EvaluationError(f"for runs over a list or a map, not {kind(value)}{hint}")
    fuel.spend(1 + len(value) * weight)
    return value


def built(value: Any, fuel: Fuel) -> Any:
    """A list or map that a loop made, paid for."""
    fuel.spend(2 + 2 * len(value) if type(value) is list else 16 + 24 * len(value))
    return value


def key(value: Any) -> str:
    """A key of a new map; only texts are keys."""
    if type(value) is not str:
        raise EvaluationError(f"the keys of a map are texts, not {kind(value)}: use str(…)")
    return value


def default(value: Any, fallback: Any) -> Any:
    """The value, or the fallback where it is missing or null."""
    return fallback if value is None else value


def default_later(value: Any, fallback: Callable[[], Any]) -> Any:
    """As `default`, with a fallback that is computed only when it is needed."""
    return fallback() if value is None else value


def _quotient(left: Any, sign: str, right: Any, divide: Callable[[Any, Any], Any]) -> Any:
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        raise _no_numbers(left, sign, right)
    try:
        return number(divide(left, right))
    except ZeroDivisionError:
        raise EvaluationError("division by zero") from None
    except OverflowError:
        raise EvaluationError("the numbers are too large to divide") from None


def _no_numbers(left: Any, sign: str, right: Any) -> EvaluationError:
    return EvaluationError(f"{kind(left)} {sign} {kind(right)} has no answer: {sign} takes numbers")


def _order_hint(left: Any, right: Any) -> str:
    kinds = {kind(left), kind(right)}
    if kinds == {"text", "number"}:
        return ": use int(…) or float(…)"
    if kinds == {"text", "time"}:
        return ": use parse_date(…)"
    if kinds == {"number", "time"}:
        return ": the difference of two times is a number of seconds"
    return ""


def _add_hint(left: Any, right: Any) -> str:
    kinds = {kind(left), kind(right)}
    if "null" in kinds:
        return ""
    if "time" in kinds:
        return ': use add_time(t, "5m")'
    if "text" in kinds:
        return ": use str(…)"
    return ""
