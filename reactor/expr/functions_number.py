"""Functions on numbers, and those that turn values into numbers, texts and booleans."""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.function import Function, Param
from reactor.expr.operators import order
from reactor.expr.values import Fuel, kind, number, to_text

_MAX_DIGITS = 100
_BOOLEANS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False, "": False,
}  # fmt: skip


def _int(_fuel: Fuel, value: Any) -> int:
    if type(value) is not str:
        return int(number(int(number(value))))
    text = value.strip()
    try:
        if len(text) <= _MAX_DIGITS:
            return int(number(int(text)))
    except ValueError:
        pass
    raise EvaluationError(f"{_shown(value)} is no whole number")


def _float(_fuel: Fuel, value: Any) -> float:
    text = value.strip() if type(value) is str else value
    try:
        if type(text) is not str or len(text) <= _MAX_DIGITS:
            return float(number(float(text)))
    except (ValueError, OverflowError):
        pass
    raise EvaluationError(f"{_shown(value)} is no number")


def _str(fuel: Fuel, value: Any) -> str:
    text = to_text(value)
    fuel.build(len(text))
    return text


def _bool(_fuel: Fuel, value: Any) -> bool:
    if type(value) is str:
        known = _BOOLEANS.get(value.strip().lower()[:8])
        if known is None:
            raise EvaluationError(f"{_shown(value)} is neither true nor false")
        return known
    return bool(value)


def _round(_fuel: Fuel, value: float, digits: int) -> int | float:
    if not -30 <= digits <= 30:
        raise EvaluationError("round takes from -30 to 30 digits")
    number(value)
    exact = Decimal(repr(value))
    if exact.adjusted() + digits > 25:
        return number(int(value) if digits <= 0 else value)
    rounded = exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return number(int(rounded) if digits <= 0 else float(rounded))


def _abs(_fuel: Fuel, value: float) -> float:
    return number(abs(value))


def _smallest(fuel: Fuel, *values: Any) -> Any:
    return _best("min", "<", fuel, values)


def _largest(fuel: Fuel, *values: Any) -> Any:
    return _best("max", ">", fuel, values)


def _best(name: str, sign: str, fuel: Fuel, values: tuple[Any, ...]) -> Any:
    candidates = values[0] if len(values) == 1 else values
    if type(candidates) not in (list, tuple):
        raise EvaluationError(f"{name} takes a list or several values, not one {kind(candidates)}")
    fuel.spend(1 + 2 * len(candidates))
    best = None
    for value in candidates:
        if value is not None and (best is None or order(value, sign, best, fuel)):
            best = value
    return best


def _numbers(name: str, fuel: Fuel, values: list[Any]) -> int | float:
    fuel.spend(1 + 2 * len(values))
    total: int | float = 0
    for value in values:
        if type(value) is not int and type(value) is not float:
            raise EvaluationError(f"{name} takes a list of numbers, but one is {kind(value)}")
        total = number(total + value)
    return total


def _sum(fuel: Fuel, values: list[Any]) -> int | float:
    return _numbers("sum", fuel, values)


def _avg(fuel: Fuel, values: list[Any]) -> float | None:
    return _numbers("avg", fuel, values) / len(values) if values else None


def _counted(decide: Callable[[list[Any]], bool]) -> Callable[[Fuel, list[Any]], bool]:
    def run(fuel: Fuel, values: list[Any]) -> bool:
        fuel.spend(1 + len(values))
        return decide(values)

    return run


def _shown(value: Any) -> str:
    text = repr(value) if type(value) is str else to_text(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


_LIST = Param("list", "list")
_NUMBER = Param("number", "number")

FUNCTIONS = (
    Function(
        "int", (Param("value", "text or number or boolean"),), "number",
        "The whole number that a text holds, or a number without its fraction.",
        'int("17")', 17, _int,
    ),
    Function(
        "float", (Param("value", "text or number or boolean"),), "number",
        "The number that a text holds.", 'float("1.5")', 1.5, _float,
    ),
    Function(
        "str", (Param("value", "any"),), "text",
        "The text of a value, as in mixed text: JSON for maps and lists.", "str(17)", "17", _str,
    ),
    Function(
        "bool", (Param("value", "any or null"),), "boolean",
        "A text as true (true yes on 1) or false (false no off 0, empty); other values: whether "
        "they are not zero, empty or null.", 'bool("off")', False, _bool,
    ),
    Function(
        "round", (_NUMBER, Param("digits", "integer", 0)), "number",
        "The number rounded to so many digits after the point; a half goes away from zero.",
        "round(2.345, 2)", 2.35, _round,
    ),
    Function("abs", (_NUMBER,), "number", "The number without its sign.", "abs(-3)", 3, _abs),
    Function(
        "min", (Param("values", "any or null", rest=True),), "any",
        "The smallest element of a list, or of several values; nulls do not count.",
        "min([3, 1, 2])", 1, _smallest,
    ),
    Function(
        "max", (Param("values", "any or null", rest=True),), "any",
        "The largest element of a list, or of several values; nulls do not count.",
        "max(3, 10)", 10, _largest,
    ),
    Function("sum", (_LIST,), "number", "The sum of a list of numbers.", "sum([1, 2])", 3, _sum),
    Function(
        "avg", (_LIST,), "number or null", "The mean of a list of numbers; null for an empty one.",
        "avg([1, 2])", 1.5, _avg,
    ),
    Function(
        "any", (_LIST,), "boolean", "Whether at least one element is true.",
        "any(x > 2 for x in [1, 3])", True, _counted(any),
    ),
    Function(
        "all", (_LIST,), "boolean", "Whether every element is true; true for an empty list.",
        "all(x > 2 for x in [1, 3])", False, _counted(all),
    ),
)  # fmt: skip
