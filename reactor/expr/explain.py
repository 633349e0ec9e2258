"""An error of an evaluation, told with the part of the text, the paths and what stood there."""

import ast
from collections.abc import Mapping
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.grammar import constant_keys, read, source, span
from reactor.expr.operators import has
from reactor.expr.values import MISSING, kind

_MAX_SHOWN = 120


def explain(
    error: EvaluationError, text: str, names: Mapping[str, Any], place: tuple[int, int] | None
) -> EvaluationError:
    """The same error with its place: `event.body.total + 1: null + number has no answer (…)`."""
    part = text[place[0] : place[1]] if place else text
    shown = part if len(part) <= _MAX_SHOWN else f"{part[:_MAX_SHOWN]}…"
    absent = _absent(text, names, place) if place else []
    notes = f" ({'; '.join(absent)})" if absent else ""
    return EvaluationError(f"{shown}: {error}{notes}")


def reach(names: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    """What stands at a path; the word "missing" where nothing does."""
    if not has(dict(names), path):
        return MISSING
    value: Any = names
    for key in path:
        value = value[key]
    return value


def _absent(text: str, names: Mapping[str, Any], place: tuple[int, int]) -> list[str]:
    notes = []
    for node in ast.walk(read(text).root):
        if not isinstance(node, ast.expr) or span(node) != place:
            continue
        for part in ast.iter_child_nodes(node):
            if (
                not isinstance(part, ast.expr)
                or (found := constant_keys(part)) is None
                or found[0].id not in names
            ):
                continue
            value = reach(names, (found[0].id, *found[1]))
            if value is None or value is MISSING:
                written = source(text, part)
                word = MISSING if value is MISSING else kind(value)
                notes.append(f"{written} is {word}: {written} | default(…)")
        break
    return notes
