"""Templates: values of a flow in which `${{ … }}` computes; everything else stays as it is.

A template is rendered once: what data brings is never read as a template.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.parse import Expression, parse
from reactor.expr.scope import ExpressionInvalid, Mistake, Scope
from reactor.expr.tokens import closing
from reactor.expr.values import MAX_BUILT, to_text

Path = tuple[str | int, ...]
Strict = bool | Callable[[Path], bool]
Report = Callable[[Path, Mistake], None]
Begins = Callable[[Expression], str | None]

_OPEN = "${{"


class Template:
    """A value that may be computed.

    `constant` says that nothing is: `render` then returns the same shared value each time. `roots`
    and `paths` are what its expressions read.
    """

    __slots__ = ("_value", "constant", "paths", "roots")

    def __init__(self, value: Any, expressions: tuple[Expression, ...] = ()) -> None:
        self._value = value
        self.constant = not expressions
        self.roots = frozenset[str]().union(*(each.roots for each in expressions))
        self.paths = frozenset[tuple[str, ...]]().union(*(each.paths for each in expressions))

    def render(self, names: Mapping[str, Any], *, strict: Strict = False, at: Path = ()) -> Any:
        """The value for these names; EvaluationError where a part has none.

        `strict` (for the whole, or a decision for each place in it) refuses null inside text: for
        URLs, arguments, file paths and topics, where an empty part would be another thing.
        """
        return self._value

    def beginnings(self, names: Mapping[str, Any], begins: Begins, at: str = "") -> dict[str, str]:
        """For each text inside, by its dotted place: how it begins, up to what data wrote.

        `begins` says of an expression which beginning of its value is safe, None for all of it.
        """
        return _beginnings(self._value, at)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions inside, in their order."""
        return ()


class _Whole(Template):
    """A single expression, which keeps its type."""

    __slots__ = ()

    def __init__(self, expression: Expression) -> None:
        super().__init__(expression, (expression,))

    def render(self, names: Mapping[str, Any], *, strict: Strict = False, at: Path = ()) -> Any:
        return self._value.evaluate(names)

    def beginnings(self, names: Mapping[str, Any], begins: Begins, at: str = "") -> dict[str, str]:
        if (begun := begins(self._value)) is not None:
            return {at: begun}
        return _beginnings(self._value.evaluate(names), at)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return (self._value,)


class _Mixed(Template):
    """Text with expressions in it."""

    __slots__ = ()

    def __init__(self, parts: list[str | Expression]) -> None:
        super().__init__(parts, tuple(part for part in parts if isinstance(part, Expression)))

    def render(self, names: Mapping[str, Any], *, strict: Strict = False, at: Path = ()) -> Any:
        texts = []
        for part in self._value:
            if type(part) is str:
                texts.append(part)
                continue
            value = part.evaluate(names)
            if value is None and (strict if isinstance(strict, bool) else strict(at)):
                raise EvaluationError(
                    f"{part.text}: is missing or null inside a text that needs it: "
                    f'if it may be empty, write {part.text} | default("")'
                )
            texts.append(to_text(value))
        if sum(map(len, texts)) > MAX_BUILT:
            raise EvaluationError("the text would be over 1 MiB")
        return "".join(texts)

    def beginnings(self, names: Mapping[str, Any], begins: Begins, at: str = "") -> dict[str, str]:
        whole = ""
        for part in self._value:
            if type(part) is str:
                whole += part
                continue
            begun = begins(part)
            if begun is not None:
                return {at: whole + begun}
            whole += to_text(part.evaluate(names))
        return {at: whole}

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self._value if isinstance(part, Expression))


class _Map(Template):
    """A map with templates among its values; keys are never templates."""

    __slots__ = ()

    def __init__(self, values: dict[str, Template]) -> None:
        super().__init__(values, _inside(values.values()))

    def render(self, names: Mapping[str, Any], *, strict: Strict = False, at: Path = ()) -> Any:
        if strict is False:
            return {key: each.render(names) for key, each in self._value.items()}
        return {
            key: each.render(names, strict=strict, at=(*at, key))
            for key, each in self._value.items()
        }

    def beginnings(self, names: Mapping[str, Any], begins: Begins, at: str = "") -> dict[str, str]:
        return _joined(
            each.beginnings(names, begins, f"{at}.{key}" if at else key)
            for key, each in self._value.items()
        )

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return _inside(self._value.values())


class _List(Template):
    """A list with templates among its elements."""

    __slots__ = ()

    def __init__(self, values: list[Template]) -> None:
        super().__init__(values, _inside(values))

    def render(self, names: Mapping[str, Any], *, strict: Strict = False, at: Path = ()) -> Any:
        if strict is False:
            return [each.render(names) for each in self._value]
        return [
            each.render(names, strict=strict, at=(*at, place))
            for place, each in enumerate(self._value)
        ]

    def beginnings(self, names: Mapping[str, Any], begins: Begins, at: str = "") -> dict[str, str]:
        return _joined(
            each.beginnings(names, begins, f"{at}.{place}")
            for place, each in enumerate(self._value)
        )

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return _inside(self._value)


def parse_template(text: str, scope: Scope) -> Template:
    """The template of one text; ExpressionInvalid with all mistakes, placed in this text."""
    if _OPEN not in text:
        return Template(text)
    parts: list[str | Expression] = []
    mistakes: list[Mistake] = []
    done = 0
    while (start := text.find(_OPEN, done)) >= 0:
        end = closing(text, start + len(_OPEN))
        if end is None:
            mistakes.append(_unclosed(text, start))
            break
        parts.append(text[done:start])
        inner = text[start + len(_OPEN) : end]
        try:
            parts.append(parse(inner, scope))
        except ExpressionInvalid as error:
            mistakes += [_placed(each, text, start + len(_OPEN), end) for each in error.mistakes]
        done = end + 2
    if mistakes:
        raise ExpressionInvalid(tuple(mistakes))
    parts.append(text[done:])
    kept = [part for part in parts if part != ""]
    solid = [part for part in kept if not isinstance(part, str) or part.strip()]
    if len(solid) == 1 and isinstance(solid[0], Expression):
        return _Whole(solid[0])
    return _Mixed(kept)


def parse_value(value: Any, scope: Scope, report: Report) -> Template:
    """The template of a whole YAML value; mistakes are reported with the keys that lead there."""
    return _parsed(value, scope, report, ())


def _parsed(value: Any, scope: Scope, report: Report, at: Path) -> Template:
    if isinstance(value, str):
        try:
            return parse_template(value, scope)
        except ExpressionInvalid as error:
            for each in error.mistakes:
                report(at, each)
            return Template(value)
    if isinstance(value, dict):
        inside = {key: _parsed(each, scope, report, (*at, key)) for key, each in value.items()}
        if all(each.constant for each in inside.values()):
            return Template({key: each.render({}) for key, each in inside.items()})
        return _Map(inside)
    if isinstance(value, list):
        listed = [_parsed(each, scope, report, (*at, place)) for place, each in enumerate(value)]
        if all(each.constant for each in listed):
            return Template([each.render({}) for each in listed])
        return _List(listed)
    return Template(value)


def _beginnings(value: Any, at: str) -> dict[str, str]:
    if isinstance(value, str):
        return {at: value}
    if isinstance(value, dict):
        inside = ((f"{at}.{key}" if at else key, each) for key, each in value.items())
    elif isinstance(value, list):
        inside = ((f"{at}.{place}", each) for place, each in enumerate(value))
    else:
        return {}
    return _joined(_beginnings(each, place) for place, each in inside)


def _joined(found: Iterable[dict[str, str]]) -> dict[str, str]:
    return {place: text for each in found for place, text in each.items()}


def _inside(templates: Any) -> tuple[Expression, ...]:
    return tuple(expression for each in templates for expression in each.expressions)


def _placed(each: Mistake, text: str, start: int, end: int) -> Mistake:
    repaired = None if each.repaired is None else text[:start] + each.repaired + text[end:]
    return Mistake(each.offset + start, each.length, each.message, repaired)


def _unclosed(text: str, start: int) -> Mistake:
    # `${{ event.a }` is the usual slip; it can be put right.
    rest = text[start:]
    repaired = None
    if rest.rstrip().endswith("}") and rest.count("{") == rest.count("}") + 1:
        repaired = text.rstrip() + "}"
    elif "}" not in rest:
        repaired = text.rstrip() + " }}"
    return Mistake(start, len(rest), "the template is not closed: write }}", repaired)
