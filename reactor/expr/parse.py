"""Text to a checked expression: every mistake at once, each with its place and its remedy."""

from reactor.expr.check import Checked
from reactor.expr.equalities import equalities, joins
from reactor.expr.expression import Expression
from reactor.expr.grammar import read
from reactor.expr.scope import ExpressionInvalid, Mistake, Scope
from reactor.expr.tokens import closing

__all__ = ["Expression", "ExpressionInvalid", "Mistake", "Scope", "equalities", "joins", "parse"]


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
