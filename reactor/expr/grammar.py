"""Text to a clean tree of Python's own expression grammar, without meaning yet.

Python's parser reads a text of the same length in which every word that it would mistake is masked:
strings (their escapes are ours), keywords after a dot and words outside ASCII. The tree is then
cleaned: real words come back by their place, `x | f(a)` becomes `f(x, a)`, `true false null` become
constants.
"""

import ast
import keyword
import re
from typing import NamedTuple

from reactor.expr.hints import reject_tokens, syntax_mistake
from reactor.expr.scope import ExpressionInvalid, Mistake
from reactor.expr.tokens import Token, tokenise

MAX_SOURCE = 4096
MAX_NODES = 500
MAX_DEPTH = 50

_CONSTANTS = {"true": True, "false": False, "null": None, "none": None}
_WORD_OPERATORS = frozenset({"and", "or", "not", "in", "if", "else", "for", "is"})
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "/": "/"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([ntr\\\"'/]))")


class Tree(NamedTuple):
    """A clean tree; offsets of its nodes are one more than in the text."""

    text: str
    root: ast.expr


def read(text: str) -> Tree:
    """The tree of a text; ExpressionInvalid with the remedy where the text is none."""
    if len(text) > MAX_SOURCE:
        message = f"an expression has at most {MAX_SOURCE} characters: use vars for its parts"
        raise _invalid(0, len(text), message)
    if not text.strip():
        raise _invalid(0, 1, "the expression is empty")
    tokens = tokenise(text)
    reject_tokens(text, tokens)
    masked, strings = _mask(tokens)
    try:
        root = ast.parse(f"({masked})", mode="eval").body
    except SyntaxError as error:
        raise syntax_mistake(text, error) from None
    except (ValueError, RecursionError, MemoryError):
        raise _invalid(0, len(text), "the expression is nested too deeply: use vars") from None
    _check_size(root, len(text))
    return Tree(text, _Cleaner(text, strings).visit(root))


def span(node: ast.expr) -> tuple[int, int]:
    """Where a node begins and ends in the text."""
    return node.col_offset - 1, (node.end_col_offset or node.col_offset) - 1


def source(text: str, node: ast.expr) -> str:
    """A node as it was written."""
    start, end = span(node)
    return text[start:end]


def mistake(node: ast.expr, message: str, repaired: str | None = None) -> Mistake:
    """A mistake at the place of a node."""
    start, end = span(node)
    return Mistake(start, max(1, end - start), message, repaired)


def constant_keys(node: ast.expr) -> tuple[ast.Name, tuple[str | int, ...]] | None:
    """The name and the constant keys of a path such as `event.headers["x-y"]`, else None."""
    keys: list[str | int] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            keys.append(node.attr)
            node = node.value
            continue
        if not isinstance(node, ast.Subscript):
            return None
        key = literal(node.slice)
        if type(key) is not str and type(key) is not int:
            return None
        keys.append(key)
        node = node.value
    return node, tuple(reversed(keys))


def literal(node: ast.expr) -> object:
    """The value of a constant, also of a negative number; the node itself where it is none."""
    if isinstance(node, ast.Constant):
        return node.value
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
    ):
        value = node.operand.value
        if type(value) is int or type(value) is float:
            return -value
    return node


def _mask(tokens: list[Token]) -> tuple[str, dict[int, str]]:
    parts: list[str] = []
    strings: dict[int, str] = {}
    before = ""
    for token in tokens:
        if token.kind == "string":
            parts.append(f'"{"x" * (len(token.text) - 2)}"')
            strings[token.start] = _unescape(token.text[1:-1])
        elif token.kind == "space":
            parts.append(" " * len(token.text))
            continue
        elif token.kind == "word" and _needs_mask(token.text, before):
            parts.append("_" * len(token.text))
        else:
            parts.append(token.text)
        before = token.text
    return "".join(parts), strings


def _needs_mask(word: str, before: str) -> bool:
    if before == ".":
        return keyword.iskeyword(word) or not word.isascii()
    if word in _WORD_OPERATORS or word in ("True", "False", "None"):
        return False
    return keyword.iskeyword(word) or not word.isascii()


def _unescape(inner: str) -> str:
    # An unknown escape stays as it is, so that patterns such as "\d+" need no doubling.
    def replace(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else _ESCAPES[match[3]]

    return _ESCAPE.sub(replace, inner) if "\\" in inner else inner


def _check_size(root: ast.expr, length: int) -> None:
    nodes = 0
    level: list[ast.AST] = [root]
    depth = 0
    while level:
        depth += 1
        nodes += len(level)
        if depth > MAX_DEPTH:
            raise _invalid(
                0, length, f"the expression is nested over {MAX_DEPTH} deep: use vars for its parts"
            )
        if nodes > MAX_NODES:
            raise _invalid(
                0, length, f"the expression has over {MAX_NODES} parts: use vars for some"
            )
        level = [
            child
            for node in level
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.expr | ast.comprehension | ast.keyword)
        ]


class _Cleaner(ast.NodeTransformer):
    """Puts the real words back and turns filters into calls."""

    def __init__(self, text: str, strings: dict[int, str]) -> None:
        self._text = text
        self._strings = strings

    def visit_Name(self, node: ast.Name) -> ast.expr:
        word = source(self._text, node)
        if word in _CONSTANTS:
            return ast.copy_location(ast.Constant(_CONSTANTS[word]), node)
        node.id = word
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str):
            node.value = self._strings[span(node)[0]]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        end = span(node)[1]
        node.attr = self._text[end - len(node.attr) : end]
        node.value = self.visit(node.value)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        node.value = self.visit(node.value)
        return node

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        self.generic_visit(node)
        return ast.copy_location(ast.ListComp(node.elt, node.generators), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        if not isinstance(node.op, ast.BitOr):
            self.generic_visit(node)
            return node
        self._check_brackets(node)
        left = self.visit(node.left)
        right = self.visit(node.right)
        if isinstance(right, ast.Name):
            call = ast.Call(right, [left], [])
        elif isinstance(right, ast.Call):
            call = ast.Call(right.func, [left, *right.args], right.keywords)
        else:
            raise ExpressionInvalid(
                (mistake(node.right, "after | stands a function: x | default(0)"),)
            )
        return ast.copy_location(call, node)

    def _check_brackets(self, node: ast.BinOp) -> None:
        # A node that begins where its part begins has no brackets around that part.
        text = self._text
        left, right = node.left, node.right
        if _is_sum(left) and left.col_offset == node.col_offset:
            filtered = text[span(node)[0] : span(node)[1]][len(source(text, left)) :].strip()
            whole = source(text, left)
            if isinstance(left, ast.BinOp):
                tail = source(text, left.right)
                head = text[span(left)[0] : span(left.right)[0]].rstrip()
            else:
                tail, head = whole[1:].strip(), whole[0]
            space = " " if isinstance(left, ast.BinOp) else ""
            first = f"{head}{space}({tail} {filtered})"
            message = f"| applies to the whole of {whole}: write {first} or ({whole}) {filtered}"
            raise ExpressionInvalid((mistake(node, message, self._replaced(node, first)),))
        if _is_sum(right) and isinstance(right, ast.BinOp):
            function = source(text, right.left)
            rest = text[span(right.left)[1] : span(right)[1]]
            first = f"({source(text, left)} | {function}){rest}"
            second = f"{source(text, left)} | ({function}{rest})"
            message = f"| binds looser than arithmetic, so this reads {second}: write {first}"
            raise ExpressionInvalid((mistake(node, message, self._replaced(node, first)),))

    def _replaced(self, node: ast.expr, text: str) -> str:
        start, end = span(node)
        return self._text[:start] + text + self._text[end:]


def _is_sum(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, _ARITHMETIC)
    return (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub | ast.UAdd)
        and literal(node) is node
    )


def _invalid(offset: int, length: int, message: str) -> ExpressionInvalid:
    return ExpressionInvalid((Mistake(offset, length, message),))
