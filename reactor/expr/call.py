"""How a written call meets the parameters of its function."""

import ast

from reactor.expr.function import REQUIRED, Function


def arrange(function: Function, node: ast.Call, tz: str) -> list[ast.expr]:
    """The arguments in the parameters' order, with defaults; ValueError if they do not fit."""
    params = function.params
    given = list(node.args)
    named = {each.arg: each.value for each in node.keywords}
    shape = f"{function.signature}, such as {function.example}"
    if None in named or any(isinstance(each, ast.Starred) for each in given):
        raise ValueError(f"there is no * in a call: {shape}")
    if params and params[-1].rest:
        if named or not given:
            raise ValueError(f"it is called as {shape}")
        return given
    if len(given) > len(params):
        raise ValueError(f"{function.name} takes at most {len(params)} values: {shape}")
    for param in params[len(given) :]:
        value = named.pop(param.name, None)
        if value is None and param.default is REQUIRED:
            raise ValueError(f"{function.name} needs {param.name}: {shape}")
        default = tz if param.name == "tz" else param.default
        given.append(value if value is not None else ast.copy_location(ast.Constant(default), node))
    if named:
        raise ValueError(f"{function.name} takes no {next(iter(named))!r}: {shape}")
    return given
