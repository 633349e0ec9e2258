"""A checked tree becomes code: once quick and trusting, once careful; both give the same value.

The quick form reads paths with Python's own subscripts and compares with Python's own operators.
Where an event is not of the expected form these raise, and the careful form, made of guarded calls,
decides. In loops the quick form compares by itself only with constants, whose size is known. Code
of either form sees no builtins and no attribute of a value but `dict.get`.
"""

import ast
import itertools
from collections.abc import Callable
from types import CodeType
from typing import Any

from reactor.expr import operators
from reactor.expr.call import arrange
from reactor.expr.function import guarded
from reactor.expr.functions import TABLE
from reactor.expr.grammar import Tree, literal
from reactor.expr.values import Fuel

Run = Callable[[Any, Fuel | None], Any]

FILENAME = "<expression>"  # by which errors find the place in the text

_GLOBALS: dict[str, Any] = {
    "__builtins__": {},
    "_empty": {},
    "_field": operators.field,
    "_item": operators.item,
    "_cut": operators.cut,
    "_has": operators.has,
    "_compare": operators.compare,
    "_equal": operators.equal,
    "_order": operators.order,
    "_contains": operators.contains,
    "_add": operators.add,
    "_subtract": operators.subtract,
    "_multiply": operators.multiply,
    "_divide": operators.divide,
    "_divide_down": operators.divide_down,
    "_remainder": operators.remainder,
    "_negative": operators.negative,
    "_positive": operators.positive,
    "_iterate": operators.iterate,
    "_built": operators.built,
    "_key": operators.key,
    "_default": operators.default,
    "_default_later": operators.default_later,
    **{f"call_{name}": guarded(function) for name, function in TABLE.items()},
}
_ARITHMETIC: dict[type[ast.AST], tuple[str, bool]] = {  # its function, and whether it spends fuel
    ast.Add: ("_add", True),
    ast.Sub: ("_subtract", False),
    ast.Mult: ("_multiply", False),
    ast.Div: ("_divide", False),
    ast.FloorDiv: ("_divide_down", False),
    ast.Mod: ("_remainder", False),
}
_SIGNS: dict[type[ast.AST], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}


class Code:
    """The runnable forms of one expression."""

    __slots__ = ("careful", "loops", "quick", "spends")

    def __init__(self, tree: Tree, tz: str) -> None:
        self.loops = any(
            isinstance(node, ast.ListComp | ast.DictComp) for node in ast.walk(tree.root)
        )
        careful = _Writer(tz, quick=False, loops=self.loops)
        self.careful = _function(careful, tree.root)
        quick = _Writer(tz, quick=True, loops=self.loops)
        self.quick = _function(quick, tree.root)
        self.spends = quick.spends


def _function(writer: "_Writer", root: ast.expr) -> Run:
    body = writer.write(root)
    parameters = ast.arguments([], [ast.arg("names"), ast.arg("fuel")], None, [], [], None, [])
    whole = ast.Expression(ast.copy_location(ast.Lambda(parameters, body), root))
    code: CodeType = compile(ast.fix_missing_locations(whole), FILENAME, "eval")
    run: Run = eval(code, dict(_GLOBALS))  # noqa: S307 a tree of our own making, without builtins
    return run


class _Writer:
    """Writes the Python tree of one form."""

    def __init__(self, tz: str, *, quick: bool, loops: bool) -> None:
        self._tz = tz
        self._quick = quick
        self._loops = loops
        self._stops = 0
        self._locals: list[str] = []
        self._in_loop = False
        self.spends = False

    def write(self, node: ast.expr) -> ast.expr:
        """The tree that computes a node."""
        kinds: dict[type[ast.AST], Callable[[Any], ast.expr]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Subscript: self._subscript,
            ast.BoolOp: self._both_or_either,
            ast.IfExp: self._choice,
            ast.List: self._list,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._arithmetic,
            ast.Compare: self._comparison,
            ast.Dict: self._map,
            ast.ListComp: self._loop,
            ast.DictComp: self._loop,
            ast.Call: self._function_call,
        }
        return ast.copy_location(kinds[type(node)](node), node)

    def _fuel(self) -> ast.expr:
        self.spends = True
        return _load("fuel")

    def _constant(self, node: ast.Constant) -> ast.expr:
        return ast.Constant(node.value)

    def _name(self, node: ast.Name) -> ast.expr:
        if node.id in self._locals:
            return _load(f"each_{node.id}")
        if self._quick:
            return ast.Subscript(_load("names"), ast.Constant(node.id), ast.Load())
        return _get(_load("names"), node.id)

    def _attribute(self, node: ast.Attribute) -> ast.expr:
        if self._quick:
            return _get(self._base(node.value), node.attr)
        return _call("_field", self.write(node.value), ast.Constant(node.attr))

    def _base(self, node: ast.expr) -> ast.expr:
        """A node that is asked for a key.

        A field of a root is nearly always there. Further in null is common (`head_commit`), and
        going on with an empty map costs less than an exception; inside loops Python does not allow
        that form.
        """
        if isinstance(node, ast.Attribute):
            base, key = node.value, node.attr
        elif isinstance(node, ast.Subscript) and type(literal(node.slice)) is str:
            base, key = node.value, str(literal(node.slice))
        else:
            return self.write(node)
        found: ast.expr
        if self._loops or isinstance(base, ast.Name):
            found = ast.Subscript(self._base(base), ast.Constant(key), ast.Load())
        else:
            self._stops += 1
            stop = f"stop_{self._stops}"
            named = ast.NamedExpr(ast.Name(stop, ast.Store()), _get(self._base(base), key))
            there = ast.Compare(named, [ast.IsNot()], [ast.Constant(None)])
            found = ast.IfExp(there, _load(stop), _load("_empty"))
        return ast.copy_location(found, node)

    def _subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.slice, ast.Slice):
            bounds = [
                ast.Constant(None) if each is None else self.write(each)
                for each in (node.slice.lower, node.slice.upper)
            ]
            return _call("_cut", self.write(node.value), *bounds, self._fuel())
        key = literal(node.slice)
        if self._quick and type(key) is str:
            return _get(self._base(node.value), key)
        if self._quick and type(key) is int:
            return ast.Subscript(self._base(node.value), ast.Constant(key), ast.Load())
        return _call("_item", self.write(node.value), self.write(node.slice))

    def _both_or_either(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(node.op, [self.write(each) for each in node.values])

    def _choice(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.write(node.test), self.write(node.body), self.write(node.orelse))

    def _list(self, node: ast.List) -> ast.expr:
        return self._paid(
            ast.copy_location(ast.List([self.write(each) for each in node.elts], ast.Load()), node)
        )

    def _map(self, node: ast.Dict) -> ast.expr:
        keys = [
            each if isinstance(each, ast.Constant) else _call("_key", self.write(each))
            for each in node.keys
            if each
        ]
        return self._paid(
            ast.copy_location(ast.Dict([*keys], [self.write(each) for each in node.values]), node)
        )

    def _paid(self, made: ast.expr) -> ast.expr:
        return _call("_built", made, self._fuel()) if self._in_loop else made

    def _unary(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.write(node.operand)
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(ast.Not(), operand)
        value = literal(node)
        if value is not node:
            return ast.Constant(value)  # type: ignore[arg-type]
        return _call("_negative" if isinstance(node.op, ast.USub) else "_positive", operand)

    def _arithmetic(self, node: ast.BinOp) -> ast.expr:
        name, spends = _ARITHMETIC[type(node.op)]
        sides = [self.write(node.left), self.write(node.right)]
        return _call(name, *sides, *([self._fuel()] if spends else []))

    def _comparison(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            return self._membership(node.left, node.ops[0], node.comparators[0])
        values = [self.write(node.left), *map(self.write, node.comparators)]
        if self._quick and self._is_cheap(node):
            return ast.Compare(values[0], node.ops, values[1:])
        if len(node.ops) == 1:
            return self._guarded_comparison(values[0], node.ops[0], values[1])
        rest: list[ast.expr] = []
        for sign, value in zip(node.ops, values[1:], strict=True):
            rest += [ast.Constant(_SIGNS[type(sign)]), value]
        return _call("_compare", self._fuel(), values[0], *rest)

    def _is_cheap(self, node: ast.Compare) -> bool:
        if any(isinstance(sign, ast.In | ast.NotIn) for sign in node.ops):
            return False
        plain = [_is_plain(each) for each in (node.left, *node.comparators)]
        return not self._in_loop or all(one or other for one, other in itertools.pairwise(plain))

    def _guarded_comparison(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> ast.expr:
        if isinstance(sign, ast.Eq):
            return _call("_equal", left, right, self._fuel())
        if isinstance(sign, ast.NotEq):
            return ast.UnaryOp(ast.Not(), _call("_equal", left, right, self._fuel()))
        return _call("_order", left, ast.Constant(_SIGNS[type(sign)]), right, self._fuel())

    def _membership(self, value: ast.expr, sign: ast.cmpop, box: ast.expr) -> ast.expr:
        if isinstance(box, ast.List) and all(_is_plain(each) for each in box.elts):
            # Python keeps such a list as a constant.
            listed = ast.copy_location(
                ast.List([self.write(each) for each in box.elts], ast.Load()), box
            )
            return ast.Compare(self.write(value), [sign], [listed])
        found = _call("_contains", self.write(box), self.write(value), self._fuel())
        return found if isinstance(sign, ast.In) else ast.UnaryOp(ast.Not(), found)

    def _loop(self, node: ast.ListComp | ast.DictComp) -> ast.expr:
        loop = node.generators[0]
        target = loop.target
        weight = _weight(node)
        over = _call("_iterate", self.write(loop.iter), self._fuel(), ast.Constant(weight))
        ast.copy_location(over, loop.iter)
        outer, self._in_loop = self._in_loop, True
        self._locals.append(target.id)  # type: ignore[attr-defined]
        place = ast.Name(f"each_{target.id}", ast.Store())  # type: ignore[attr-defined]
        turns = [ast.comprehension(place, over, [self.write(each) for each in loop.ifs], 0)]
        made: ast.expr
        if isinstance(node, ast.ListComp):
            made = ast.ListComp(self.write(node.elt), turns)
        else:
            made = ast.DictComp(_call("_key", self.write(node.key)), self.write(node.value), turns)
        self._locals.pop()
        self._in_loop = outer
        return _call("_built", ast.copy_location(made, node), self._fuel())

    def _function_call(self, node: ast.Call) -> ast.expr:
        name = node.func.id  # type: ignore[attr-defined]
        arguments = arrange(TABLE[name], node, self._tz)
        if name == "has":
            return self._asked(arguments[0])
        if name == "default":
            value, fallback = arguments
            if literal(fallback) is not fallback:
                return _call("_default", self.write(value), self.write(fallback))
            none = ast.arguments([], [], None, [], [], None, [])
            return _call(
                "_default_later", self.write(value), ast.Lambda(none, self.write(fallback))
            )
        return _call(f"call_{name}", self._fuel(), *map(self.write, arguments))

    def _asked(self, node: ast.expr) -> ast.expr:
        keys: list[ast.expr] = []
        while isinstance(node, ast.Attribute | ast.Subscript):
            keys.append(
                ast.Constant(node.attr)
                if isinstance(node, ast.Attribute)
                else self.write(node.slice)
            )
            node = node.value
        return _call("_has", self.write(node), ast.Tuple(keys[::-1], ast.Load()))


def _weight(node: ast.ListComp | ast.DictComp) -> int:
    """How many parts one turn of a loop computes."""
    inner = [node.elt] if isinstance(node, ast.ListComp) else [node.key, node.value]
    parts = [part for each in (*inner, *node.generators[0].ifs) for part in ast.walk(each)]
    return sum(isinstance(part, ast.expr) and not isinstance(part, ast.Constant) for part in parts)


def _is_plain(node: ast.expr) -> bool:
    return literal(node) is not node and literal(node) is not None


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _get(value: ast.expr, key: str) -> ast.expr:
    return ast.Call(ast.Attribute(value, "get", ast.Load()), [ast.Constant(key)], [])


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(_load(name), list(arguments), [])
