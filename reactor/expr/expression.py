"""A checked expression: compiled at its first evaluation, evaluated within bounds."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.compile import FILENAME, Code, Run
from reactor.expr.explain import explain
from reactor.expr.grammar import read
from reactor.expr.values import MAX_RESULT, Fuel, weigh

# What the quick form meets in an event of another shape, and what slips through the careful one.
_SURPRISES = (
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    ValueError,
    RecursionError,
    MemoryError,
)
_LARGE = (list, dict)


class Expression:
    """A checked question to plain data.

    `roots` are the names it reads, `paths` the longest constant paths (`("event", "body", "id")`),
    `constant` says that it reads none.
    """

    __slots__ = ("_code", "_loops", "_quick", "_spends", "constant", "paths", "roots", "text", "tz")

    def __init__(
        self, text: str, roots: frozenset[str], paths: frozenset[tuple[str, ...]], tz: str
    ) -> None:
        self.text = text
        self.roots = roots
        self.paths = paths
        self.tz = tz
        self.constant = not roots
        self._code: Code | None = None
        self._quick: Run = self._compile_first
        self._spends = self._loops = False

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Expression, (self.text, self.roots, self.paths, self.tz)

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """The value for these names; EvaluationError names the failing part, paths and kinds."""
        try:
            value = self._quick(names, Fuel() if self._spends else None)
            if type(value) in _LARGE and self._loops:
                weigh(value, MAX_RESULT)
        except EvaluationError as error:
            raise self._explained(error, names) from None
        except _SURPRISES:
            return self._carefully(names)
        return value

    def test(self, names: Mapping[str, Any]) -> bool:
        """Whether the condition holds: missing, null, false, zero and what is empty do not."""
        try:
            return bool(self._quick(names, Fuel() if self._spends else None))
        except EvaluationError as error:
            raise self._explained(error, names) from None
        except _SURPRISES:
            return bool(self._carefully(names))

    def part(self, text: str) -> "Expression":
        """A part of this expression's text as one of its own, for showing its value."""
        return Expression(text, self.roots, self.paths, self.tz)

    def _compile_first(self, names: Any, fuel: Fuel | None) -> Any:
        code = self._compiled()
        return code.quick(names, Fuel())

    def _compiled(self) -> Code:
        if self._code is None:
            self._code = Code(read(self.text), self.tz)
            self._loops = self._code.loops
            self._spends = self._code.spends
            self._quick = self._code.quick
        return self._code

    def _carefully(self, names: Mapping[str, Any]) -> Any:
        try:
            value = self._compiled().careful(names, Fuel())
            if type(value) in _LARGE and self._loops:
                weigh(value, MAX_RESULT)
        except EvaluationError as error:
            raise self._explained(error, names) from None
        except RecursionError:
            raise EvaluationError(f"{self.text}: the data is nested too deeply") from None
        except _SURPRISES as error:
            raise EvaluationError(f"{self.text}: {error}") from error
        return value

    def _explained(self, error: EvaluationError, names: Mapping[str, Any]) -> EvaluationError:
        return explain(error, self.text, names, _place(error.__traceback__))


def _place(trace: TracebackType | None) -> tuple[int, int] | None:
    """Where in the text the innermost running part of an expression stands."""
    place = None
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == FILENAME:
            start, end = list(code.co_positions())[trace.tb_lasti // 2][2:]
            if start is not None and end is not None:
                place = (start - 1, end - 1)
        trace = trace.tb_next
    return place
