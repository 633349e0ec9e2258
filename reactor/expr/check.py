"""What a clean tree may hold and name: every mistake at once, and the paths it reads."""

import ast
import re
from collections.abc import Callable
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.call import arrange
from reactor.expr.foreign import close, method_call, path_text, unknown_function, unknown_root
from reactor.expr.function import Function
from reactor.expr.functions import TABLE
from reactor.expr.functions_text import pattern
from reactor.expr.functions_time import zone
from reactor.expr.grammar import Tree, constant_keys, literal, mistake, source, span
from reactor.expr.scope import Mistake, Scope

STEP_FIELDS = frozenset({"output", "status", "error", "attempts"})

_REFUSED: dict[type[ast.AST], str] = {
    ast.Tuple: "a list is written [a, b]",
    ast.Set: 'a list is written [a, b], a map {"key": value}',
    ast.SetComp: "a list is written [… for x in list]",
    ast.Lambda: "there are no functions of one's own: write [… for x in list]",
    ast.JoinedStr: "join with + or use a template",
    ast.NamedExpr: "there is no :=, use vars",
    ast.Starred: "there is no *: join lists with +, maps with merge(a, b)",
    ast.Slice: "a part of a list is written x[1:3]",
}
_SIGNS: dict[type[ast.AST], str] = {
    ast.Pow: "there is no **: multiply",
    ast.MatMult: "there is no @",
    ast.Invert: "there is no ~: write not",
}
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
_DASHED = re.compile(r"[^\W\d]\w*(?:-\w+)+")


class Checked:
    """What was found in one tree."""

    def __init__(self, tree: Tree, scope: Scope) -> None:
        self.roots: set[str] = set()
        self.paths: set[tuple[str | int, ...]] = set()
        self.mistakes: list[Mistake] = []
        self._text = tree.text
        self._scope = scope
        self._locals: list[str] = []
        self._judged_to = -1  # the end of a dashed name that was already reported
        self._expression(tree.root)

    def _report(self, node: ast.expr, message: str, better: str | None = None) -> None:
        start, end = span(node)
        repaired = None if better is None else self._text[:start] + better + self._text[end:]
        self.mistakes.append(mistake(node, message, repaired))

    def _expression(self, node: ast.expr) -> None:
        kinds: dict[type[ast.AST], Callable[[Any], None]] = {
            ast.Constant: self._constant,
            ast.Name: self._path,
            ast.Attribute: self._path,
            ast.Subscript: self._path,
            ast.BoolOp: self._each_child,
            ast.IfExp: self._each_child,
            ast.List: self._each_child,
            ast.UnaryOp: self._operation,
            ast.BinOp: self._operation,
            ast.Compare: self._compare,
            ast.Dict: self._map,
            ast.ListComp: self._loop,
            ast.DictComp: self._loop,
            ast.Call: self._call,
        }
        if judge := kinds.get(type(node)):
            judge(node)
        else:
            self._report(
                node,
                _REFUSED.get(type(node), f"{source(self._text, node)} is not part of the language"),
            )

    def _each_child(self, node: ast.expr) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._expression(child)

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if value is not None and type(value) not in (bool, int, float, str):
            self._report(node, f"{source(self._text, node)} is no value of this language")
        elif (type(value) is float and value in (float("inf"), float("-inf"))) or (
            type(value) is int and value.bit_length() > 256
        ):
            self._report(node, "the number is too large")

    def _operation(self, node: ast.UnaryOp | ast.BinOp) -> None:
        if isinstance(node.op, (*_OPERATORS, ast.Not, ast.USub, ast.UAdd)):
            self._each_child(node)
        else:
            self._report(
                node, _SIGNS.get(type(node.op), "this operator is not part of the language")
            )

    def _compare(self, node: ast.Compare) -> None:
        for sign in node.ops:
            if not isinstance(sign, _COMPARISONS):
                self._report(node, "is is written ==, is not is written !=")
        self._each_child(node)

    def _map(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                self._report(value, "there is no **: maps are joined with merge(a, b)")
                continue
            if isinstance(key, ast.Name) and not self._is_known(key.id):
                self._report(key, f'the keys of a map are texts: {{"{key.id}": …}}', f'"{key.id}"')
            elif isinstance(key, ast.Constant) and type(key.value) is not str:
                self._report(key, f'the keys of a map are texts: "{source(self._text, key)}"')
            else:
                self._expression(key)
            self._expression(value)

    def _loop(self, node: ast.ListComp | ast.DictComp) -> None:
        loop = node.generators[0]
        if len(node.generators) > 1:
            self._report(node, "one for at a time: write a list inside the list, then flatten(…)")
            return
        self._expression(loop.iter)
        if not isinstance(loop.target, ast.Name) or loop.is_async:
            self._report(
                loop.target,
                "a loop names one thing: for x in list (for maps: entries(map), x.key, x.value)",
            )
            return
        self._locals.append(loop.target.id)
        inner = [node.elt] if isinstance(node, ast.ListComp) else [node.key, node.value]
        for each in (*inner, *loop.ifs):
            self._expression(each)
        self._locals.pop()

    def _is_known(self, name: str) -> bool:
        return name in self._locals or name in self._scope.roots or name in self._scope.absent

    def _path(self, node: ast.expr, *, asked: bool = False) -> None:
        found = constant_keys(node)
        if found is not None:
            self._named(node, found[0], found[1], asked=asked)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Constant):
            self._report(node, f"only maps have keys, {source(self._text, node.value)} is none")
        elif isinstance(node, ast.Attribute):
            self._path_base(node.value)
        elif isinstance(node, ast.Subscript):
            self._path_base(node.value)
            if not isinstance(node.slice, ast.Slice):
                self._expression(node.slice)
                return
            if node.slice.step is not None:
                self._report(node, "a part of a list has no step: x[1:3]")
            for bound in (node.slice.lower, node.slice.upper):
                if bound is not None:
                    self._expression(bound)

    def _path_base(self, node: ast.expr) -> None:
        # A step's fields are judged only where the path itself shows which one is read.
        if (found := constant_keys(node)) and found[0].id == "steps" and not found[1]:
            self.roots.add("steps")
            self.paths.add(("steps",))
        else:
            self._expression(node)

    def _named(
        self, node: ast.expr, name: ast.Name, keys: tuple[str | int, ...], *, asked: bool
    ) -> None:
        root = name.id
        if root in self._locals:
            return
        path = (root, *keys)
        for length in range(1, len(path) + 1):
            if message := self._scope.absent.get(".".join(map(str, path[:length]))):
                self._report(node, message)
                return
        if root not in self._scope.roots:
            self._unknown(node, name, keys)
            return
        fields = self._scope.roots[root]
        if keys and fields is not None and keys[0] not in fields:
            self._unknown_field(node, root, keys, fields)
            return
        if root == "steps" and keys and not self._step_is_fine(node, keys, asked=asked):
            return
        self.roots.add(root)
        self.paths.add(path)

    def _unknown(self, node: ast.expr, name: ast.Name, keys: tuple[str | int, ...]) -> None:
        start = span(name)[0]
        if start < self._judged_to:
            return
        for run in _DASHED.finditer(self._text):
            if not run.start() < start < run.end() or self._text[start - 1] != "-":
                continue
            before = re.search(r"[\w.\[\]\"']*$", self._text[: run.start()])
            head = before[0] if before else ""
            self._judged_to = run.end()
            bracketed = f'{head.removesuffix(".")}["{run[0]}"]'
            message = f"- is minus here; a name with a dash: {bracketed}"
            if not head.endswith("."):
                message = f'- is minus here; a text needs quotes: "{run[0]}"'
                bracketed = f'{head}"{run[0]}"'
            begin = run.start() - len(head)
            repaired = self._text[:begin] + bracketed + self._text[run.end() :]
            self.mistakes = [each for each in self.mistakes if not begin <= each.offset < run.end()]
            self.mistakes.append(Mistake(begin, run.end() - begin, message, repaired))
            return
        if root_is_function := name.id in TABLE:
            message = f"{name.id} is a function: {name.id}(…)"
            better = None
        else:
            message, better = unknown_root(name.id, {*self._scope.roots, *self._locals}, keys)
        self._report(node if not root_is_function else name, message, better)

    def _unknown_field(
        self, node: ast.expr, root: str, keys: tuple[str | int, ...], fields: frozenset[str]
    ) -> None:
        wanted = str(keys[0])
        rest = path_text(keys[1:])
        thing = {
            "steps": "step",
            "vars": "var",
            "secrets": "secret",
            "env": "environment variable",
        }.get(root)
        said = (
            f"there is no {thing} {wanted!r}" if thing else f"{root} has no field {wanted!r} here"
        )
        if guess := close(wanted, fields):
            better = f"{root}{path_text([guess])}"
            self._report(node, f"{said}; did you mean {better}", better + rest)
        elif fields:
            self._report(
                node,
                f"{said}: it has {', '.join(sorted(fields))}"
                if not thing
                else f"{said}: there is {', '.join(sorted(fields))}",
            )
        else:
            self._report(node, said)

    def _step_is_fine(self, node: ast.expr, keys: tuple[str | int, ...], *, asked: bool) -> bool:
        step = f"steps{path_text(keys[:1])}"
        if len(keys) == 1:
            if not asked:
                self._report(node, f"did you mean {step}.output", f"{step}.output")
            return asked
        wanted = str(keys[1])
        if wanted in STEP_FIELDS:
            return True
        if wanted == "item" and "item" in self._scope.roots:
            better = f"item{path_text(keys[2:])}"
            self._report(node, f"the current one is item: {better}", better)
        elif guess := close(wanted, STEP_FIELDS):
            self._report(
                node,
                f"a step has no {wanted!r}; did you mean {step}.{guess}",
                f"{step}.{guess}{path_text(keys[2:])}",
            )
        else:
            better = f"{step}.output{path_text(keys[1:])}"
            self._report(
                node,
                f"a step has output, status, error and attempts; did you mean {better}",
                better,
            )
        return False

    def _call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            self._method(node, node.func)
            return
        if not isinstance(node.func, ast.Name):
            self._report(node.func, "only the functions of the language can be called")
            return
        name = node.func.id
        function = TABLE.get(name)
        if function is None:
            message, better = unknown_function(name, TABLE)
            self._report(node.func, message, better)
            return
        try:
            arguments = arrange(function, node, self._scope.tz)
        except ValueError as error:
            self._report(node, str(error))
            return
        if name == "has":
            self._asked(node, arguments[0])
            return
        for argument in arguments:
            self._expression(argument)
        self._constants_fit(function, arguments)

    def _asked(self, node: ast.Call, path: ast.expr) -> None:
        while isinstance(base := path, ast.Attribute | ast.Subscript):
            if constant_keys(base) is not None:
                break
            if isinstance(base, ast.Subscript):
                self._expression(base.slice)
            path = base.value
        if isinstance(path, ast.Name | ast.Attribute | ast.Subscript):
            self._path(path, asked=True)
        else:
            self._report(node, "has asks for a path: has(event.body.x)")

    def _constants_fit(self, function: Function, arguments: list[ast.expr]) -> None:
        for param, argument in zip(function.params, arguments, strict=False):
            value = literal(argument)
            if value is argument:
                continue
            if type(value) not in param.types:
                self._report(
                    argument,
                    f"{function.name} takes {param.kind} as {param.name}: {function.example}",
                )
            elif isinstance(value, str) and argument.col_offset:
                try:
                    if param.name == "pattern":
                        pattern(value)
                    elif param.name == "tz" and value:
                        zone(value)
                except EvaluationError as error:
                    self._report(argument, str(error))

    def _method(self, node: ast.Call, function: ast.Attribute) -> None:
        value = source(self._text, function.value)
        arguments = [source(self._text, each) for each in node.args]
        message, better = method_call(value, function.attr, arguments, TABLE)
        self._report(node, message, better)
