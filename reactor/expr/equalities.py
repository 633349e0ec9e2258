"""What a condition demands outright: the equalities by which routers and waits look flows up."""

import ast
from collections.abc import Iterator
from typing import Any

from reactor.expr.expression import Expression
from reactor.expr.grammar import constant_keys, literal, read

Path = tuple[str, ...]


def equalities(expression: Expression) -> tuple[tuple[Path, Any], ...]:
    """The `path == constant` that must hold for the whole to hold (null is left out)."""
    found = []
    for left, right in _equal_sides(read(expression.text).root):
        for path, other in ((_path(left), right), (_path(right), left)):
            value = literal(other)
            if path is not None and value is not other and value is not None:
                found.append((path, value))
    return tuple(found)


def joins(expression: Expression, left_root: str, right_root: str) -> tuple[tuple[Path, Path], ...]:
    """The `left_root.x == right_root.y` that must hold, in either order of writing."""
    found = []
    for left, right in _equal_sides(read(expression.text).root):
        one, other = _path(left), _path(right)
        if one is None or other is None:
            continue
        if one[0] == right_root and other[0] == left_root:
            one, other = other, one
        if one[0] == left_root and other[0] == right_root:
            found.append((one, other))
    return tuple(found)


def _equal_sides(node: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for each in node.values:
            yield from _equal_sides(each)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
        yield node.left, node.comparators[0]


def _path(node: ast.expr) -> Path | None:
    # A position in a list is left out: a path of the index is made of keys.
    found = constant_keys(node)
    if found is None or not all(isinstance(key, str) for key in found[1]):
        return None
    return (found[0].id, *map(str, found[1]))
