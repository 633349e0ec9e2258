"""Expressions: parsed and name-checked at load, compiled at their first evaluation."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.check import Checked
from reactor.expr.compile import FILENAME, Code
from reactor.expr.explain import explain
from reactor.expr.grammar import read
from reactor.expr.scope import ExpressionInvalid, Mistake, Scope
from reactor.expr.tokens import closing
from reactor.expr.values import MAX_RESULT, Fuel, weigh

__all__ = ["Expression", "ExpressionInvalid", "Mistake", "Scope", "parse"]

# What the quick form meets in an event of another shape, and what slips through the careful one.
_SURPRISES = (LookupError, TypeError, AttributeError, ArithmeticError, ValueError, RecursionError, MemoryError)


class Expression:
    """A checked question to plain data.

    `roots` are the names it reads, `paths` the longest constant paths (`("event", "body", "total")`),
    `constant` says that it reads none.
    """

    __slots__ = ("_code", "constant", "paths", "roots", "text", "tz")

    def __init__(self, text: str, roots: frozenset[str], paths: frozenset[tuple[str, ...]], tz: str) -> None:
        self.text = text
        self.roots = roots
        self.paths = paths
        self.tz = tz
        self.constant = not roots
        self._code: Code | None = None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Expression, (self.text, self.roots, self.paths, self.tz)

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """The value for these names; EvaluationError names the part that failed, the path and the kinds."""
        code = self._code or self._compiled()
        try:
            if code.quick is code.careful:
                return self._carefully(code, names)
            return code.quick(names, Fuel() if code.spends else None)
        except EvaluationError as error:
            raise explain(error, self.text, names, _place(error.__traceback__)) from None
        except _SURPRISES:
            return self._settled(code, names)

    def test(self, names: Mapping[str, Any]) -> bool:
        """Whether the condition holds: missing, null, false, zero and what is empty do not."""
        return bool(self.evaluate(names))

    def part(self, text: str) -> "Expression":
        """A part of this expression's text as one of its own, for showing its value."""
        return Expression(text, self.roots, self.paths, self.tz)

    def _compiled(self) -> Code:
        self._code = Code(read(self.text), self.tz)
        return self._code

    def _settled(self, code: Code, names: Mapping[str, Any]) -> Any:
        try:
            return self._carefully(code, names)
        except EvaluationError as error:
            raise explain(error, self.text, names, _place(error.__traceback__)) from None
        except RecursionError:
            raise EvaluationError(f"{self.text}: the data is nested too deeply") from None
        except _SURPRISES as error:
            raise EvaluationError(f"{self.text}: {error}") from error

    def _carefully(self, code: Code, names: Mapping[str, Any]) -> Any:
        value = code.careful(names, Fuel())
        if code.quick is code.careful and type(value) in (list, dict):
            weigh(value, MAX_RESULT)
        return value


def parse(text: str, scope: Scope) -> Expression:
    """The expression that a text says, with or without `${{ }}` around the whole.

    Raises ExpressionInvalid with every unknown name at once, each with its remedy.
    """
    inner, start = _unwrapped(text)
    try:
        tree = read(inner)
    except ExpressionInvalid as error:
        raise _placed(error.mistakes, text, inner, start) from None
    checked = Checked(tree, scope)
    if checked.mistakes:
        raise _placed(tuple(checked.mistakes), text, inner, start)
    paths = frozenset(tuple(map(str, path)) for path in checked.paths)
    return Expression(inner, frozenset(checked.roots), paths, scope.tz)


def _unwrapped(text: str) -> tuple[str, int]:
    # A text that only begins with a template is left whole: its mistake is told there.
    bare = text.strip()
    start = text.find(bare)
    if bare.startswith("${{"):
        end = closing(bare, 3)
        if end is not None and end + 2 == len(bare):
            inner = bare[3:end]
            return inner.strip(), start + 3 + len(inner) - len(inner.lstrip())
    return bare, start


def _placed(mistakes: tuple[Mistake, ...], text: str, inner: str, start: int) -> ExpressionInvalid:
    head, tail = text[:start], text[start + len(inner) :]
    return ExpressionInvalid(
        tuple(
            Mistake(
                each.offset + start,
                each.length,
                each.message,
                None if each.repaired is None else head + each.repaired + tail,
            )
            for each in sorted(mistakes, key=lambda each: each.offset)
        )
    )


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
