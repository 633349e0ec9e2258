"""Why a condition came out as it did: its parts with the values they had."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.explain import reach
from reactor.expr.expression import Expression
from reactor.expr.grammar import Tree, constant_keys, read, source
from reactor.expr.values import MISSING


def trace(expression: Expression, names: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Each part worth showing, as written, with its value; the whole is last.

    A path that leads nowhere shows as "missing", a part that fails as its error.
    """
    tree = read(expression.text)
    shown: dict[str, Any] = {}
    for node in _parts(tree.root):
        written = source(tree.text, node)
        if written not in shown:
            shown[written] = _value(expression, tree, node, names)
    return list(shown.items())


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Constant):
        return
    if constant_keys(node) is None:
        for child in _children(node):
            yield from _parts(child)
    if not isinstance(node, ast.List | ast.Dict | ast.Slice):
        yield node


def _children(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.ListComp | ast.DictComp):
        return [node.generators[0].iter]  # what is inside has many values
    skipped = node.func if isinstance(node, ast.Call) else None
    return [
        each
        for each in ast.iter_child_nodes(node)
        if isinstance(each, ast.expr) and each is not skipped
    ]


def _value(expression: Expression, tree: Tree, node: ast.expr, names: Mapping[str, Any]) -> Any:
    if found := constant_keys(node):
        value = reach(names, (found[0].id, *found[1]))
        if value is MISSING or not isinstance(node, ast.Subscript):
            return value
    part = expression.part(source(tree.text, node))
    try:
        return part.evaluate(names)
    except EvaluationError as error:
        return f"error: {error}"
