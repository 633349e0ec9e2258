"""A value against the type that takes it: every mistake with its place, and the data to render.

The types are msgspec's, the extras are those of `doc()`. Text stays text, with `${{ }}` in it;
deferred fields become Expression or Template objects.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from msgspec import Struct, inspect

from reactor.expr.parse import Expression
from reactor.expr.scope import ExpressionInvalid, Mistake, Scope
from reactor.expr.template import Template, parse_value
from reactor.loading import later, texts
from reactor.loading.fitting import has_template, is_whole_template, rank, takes
from reactor.loading.report import Report
from reactor.loading.values import (
    Entry,
    ListValue,
    MapValue,
    Path,
    Scalar,
    Value,
    kind,
    scalar_text,
)
from reactor.plugin.fields import info, words_for
from reactor.units import Duration, Size, parse_duration, parse_size

_TEMPLATE = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
_BETTER = re.compile(r"[:?] write (\d\S*)")
Unknown = Callable[[Entry, MapValue, list[str]], bool]


class Meta(Struct, frozen=True):
    """How the text of a field is read, and how the field is called in messages."""

    name: str
    form: str = "template"
    hint: str | None = None
    extra: Mapping[str, Any] = {}

    def of(self, name: str, extra: Mapping[str, Any] | None) -> "Meta":
        """The same for a field inside, which may say otherwise."""
        if not extra:
            return Meta(name, self.form, self.hint, {})
        return Meta(name, extra.get("form", self.form), extra.get("hint", self.hint), extra)


class Walk:
    """Walks one config; `leaves` are the texts that may hold templates, by their path.

    `unknown` may explain a key that a map does not have, and says whether it did.
    """

    def __init__(
        self,
        report: Report,
        scope: Scope,
        deferred: Scope | None = None,
        unknown: Unknown | None = None,
    ) -> None:
        self.leaves: dict[Path, tuple[Scalar, int]] = {}
        self._report = report
        self._scope = scope
        self._deferred = deferred or scope
        self._unknown = unknown

    def walk(self, value: Value, type_: inspect.Type, meta: Meta, path: Path = ()) -> Any:
        """The plain data of a value that should be of a type."""
        if isinstance(type_, inspect.Metadata):
            meta = meta.of(meta.name, type_.extra)
            type_ = type_.type
        if "long" in meta.extra:
            return self._either(value, meta, path)
        if isinstance(value, Scalar) and (
            meta.form == "expression"
            or (is_whole_template(value) and meta.form not in ("deferred", "literal"))
        ):
            return self._leaf(value, meta, path)
        if isinstance(type_, inspect.UnionType):
            return self._union(value, type_, meta, path)
        if isinstance(type_, inspect.StructType):
            return self._struct(value, type_, meta, path)
        if isinstance(type_, inspect.DictType):
            return self._dict(value, type_, meta, path)
        if isinstance(
            type_, inspect.ListType | inspect.VarTupleType | inspect.SetType | inspect.FrozenSetType
        ):
            return self._list(value, type_, meta, path)
        if isinstance(type_, inspect.AnyType):
            return self._anything(value, meta, path)
        if isinstance(type_, inspect.CustomType) and type_.cls is Expression:
            return texts.expression(value, self._deferred, self._report)
        if isinstance(type_, inspect.CustomType) and type_.cls is Template:
            return self._template(value)
        return self._scalar(value, type_, meta, path)

    def _either(self, value: Value, meta: Meta, path: Path) -> Any:
        plain = Meta(meta.name, meta.form, meta.hint)
        if isinstance(value, MapValue):
            return self._struct(value, info(meta.extra["long"]), plain, path)
        if meta.extra.get("true") and isinstance(value, Scalar) and value.value is True:
            return True
        return self.walk(value, info(meta.extra["short"]), plain, path)

    def _union(self, value: Value, type_: inspect.UnionType, meta: Meta, path: Path) -> Any:
        plain = [each.type if isinstance(each, inspect.Metadata) else each for each in type_.types]
        fitting = [
            (full, each)
            for full, each in zip(type_.types, plain, strict=True)
            if takes(each, value)
        ]
        if len(fitting) > 1:
            fitting.sort(key=lambda pair: rank(pair[1], value))
        if fitting:
            return self.walk(value, fitting[0][0], meta, path)
        solid = [each for each in plain if not isinstance(each, inspect.NoneType)]
        if isinstance(value, Scalar) and value.value is None:
            self._report.error(
                value, f"{meta.name} is empty: give it a value, or leave the key out"
            )
        elif len(solid) == 1:
            return self.walk(value, solid[0], meta, path)
        else:
            self._mismatch(value, solid, meta)
        return None

    def _struct(self, value: Value, type_: Any, meta: Meta, path: Path) -> Any:
        if not isinstance(value, MapValue):
            self._mismatch(value, [type_], meta)
            return None
        fields = {field.encode_name: field for field in type_.fields}
        tree: dict[str, Any] = {}
        for entry in value.entries:
            name = entry.key.text
            if name not in fields:
                self._unknown_key(entry, value, list(fields), meta)
                continue
            # `log:` is the name that the author knows, not the field that a plain value stands for.
            called = meta.name if entry.key.style == "guess" else name
            inner = meta.of(called, None)
            tree[name] = self.walk(entry.value, fields[name].type, inner, (*path, name))
        for name, field in fields.items():
            if field.required and value.entry(name) is None:
                self._missing(value, name, field.type, meta)
        return tree

    def _unknown_key(self, entry: Entry, value: MapValue, known: list[str], meta: Meta) -> None:
        if self._unknown is not None and self._unknown(entry, value, known):
            return
        if entry.key.text in later.FIELDS.get(meta.name, ()):
            message = f"'{entry.key.text}' is not built yet: this build has {', '.join(known)}"
            self._report.error(entry.key, message)
            return
        message, repaired = unknown_key(entry.key, known, meta.name, self._report)
        self._report.error(entry.key, message, repaired=repaired)

    def _missing(self, value: MapValue, name: str, type_: inspect.Type, meta: Meta) -> None:
        said = f"{name} is missing"
        if isinstance(type_, inspect.Metadata):
            hint = (type_.extra or {}).get("hint")
            text = (type_.extra_json_schema or {}).get("description", "")
            said += f": {hint or text[:1].lower() + text[1:].rstrip('.')}" if hint or text else ""
        self._report.error(value.first, said)

    def _dict(self, value: Value, type_: inspect.DictType, meta: Meta, path: Path) -> Any:
        if not isinstance(value, MapValue):
            self._mismatch(value, [type_], meta)
            return None
        return {
            entry.key.text: self.walk(
                entry.value,
                type_.value_type,
                meta.of(f"{meta.name}.{entry.key.text}", None),
                (*path, entry.key.text),
            )
            for entry in value.entries
        }

    def _list(self, value: Value, type_: Any, meta: Meta, path: Path) -> Any:
        inner = meta.of(f"an item of {meta.name}", None)
        if not isinstance(value, ListValue):
            # One condition is a list of one.
            if meta.form == "deferred":
                return [self.walk(value, type_.item_type, meta, (*path, 0))]
            self._mismatch(value, [type_], meta)
            return None
        return [
            self.walk(item, type_.item_type, inner, (*path, index))
            for index, item in enumerate(value.items)
        ]

    def _anything(self, value: Value, meta: Meta, path: Path) -> Any:
        if isinstance(value, Scalar):
            return self._leaf(value, meta, path)
        if isinstance(value, ListValue):
            items = enumerate(value.items)
            return [self._anything(item, meta, (*path, index)) for index, item in items]
        return {
            entry.key.text: self._anything(entry.value, meta, (*path, entry.key.text))
            for entry in value.entries
        }

    def _template(self, value: Value) -> Template:
        if isinstance(value, Scalar):
            return texts.template(value, self._deferred, self._report)
        walk = Walk(self._report, self._deferred)
        tree = walk.walk(value, inspect.AnyType(), Meta("value"))
        return walk.template(tree)

    def _scalar(self, value: Value, type_: inspect.Type, meta: Meta, path: Path) -> Any:
        if not isinstance(value, Scalar):
            self._mismatch(value, [type_], meta)
            return None
        if isinstance(type_, inspect.CustomType) and type_.cls in (Duration, Size):
            return self._measure(value, type_.cls, meta, path)
        if takes(type_, value):
            if isinstance(type_, inspect.StrType) and not isinstance(value.value, str):
                # The text as written: 1.10 is not 1.1.
                return value.text
            self._bounds(value, type_, meta)
            return self._leaf(value, meta, path)
        if value.value is None:
            self._report.error(value, f"{meta.name} is empty: give it a value")
        elif isinstance(type_, inspect.LiteralType):
            self._choice(value, [scalar_text(each) for each in type_.values], meta)
        elif has_template(value):
            self._report.error(
                value, f"{meta.name} takes {words_for([type_])}: a template must be the whole value"
            )
        else:
            self._mismatch(value, [type_], meta)
        return None

    def _bounds(self, value: Scalar, type_: inspect.Type, meta: Meta) -> None:
        if not isinstance(type_, inspect.IntType | inspect.FloatType):
            return
        number = value.value
        if not isinstance(number, int | float):
            return
        if type_.ge is not None and number < type_.ge:
            self._report.error(value, f"{meta.name} is at least {type_.ge}, not {value.text}")
        if type_.gt is not None and number <= type_.gt:
            self._report.error(value, f"{meta.name} is more than {type_.gt}, not {value.text}")
        if type_.le is not None and number > type_.le:
            self._report.error(value, f"{meta.name} is at most {type_.le}, not {value.text}")

    def _measure(self, value: Scalar, cls: type[Any], meta: Meta, path: Path) -> Any:
        if has_template(value):
            return self._leaf(value, meta, path)
        measure(value, cls, meta.name, self._report)
        return value.text

    def _choice(self, value: Scalar, known: list[str], meta: Meta) -> None:
        guess = next(iter(get_close_matches(value.text.lower(), known, 1)), None)
        choices = ", ".join(known)
        message = f"{meta.name} is one of {choices}, not '{value.text}'"
        repaired = None
        if guess is not None:
            message += f"; did you mean {guess}"
            repaired = self._report.with_text(value.at, guess)
        self._report.error(value, message, repaired=repaired)

    def _leaf(self, value: Scalar, meta: Meta, path: Path) -> Any:
        if meta.form == "literal":
            if has_template(value):
                message = meta.hint or f"{meta.name} takes no template: write it out"
                if (found := _TEMPLATE.search(value.text)) is not None:
                    message = message.replace("${{ … }}", found[0])
                self._report.error(value, message)
                return ""
            return value.value
        if meta.form == "expression":
            if is_whole_template(value):
                self.leaves[path] = (value, 0)
                return value.text
            self.leaves[path] = (value, 4)
            return "${{ " + value.text + " }}"
        if isinstance(value.value, str):
            texts.check_braces(value, self._report)
            self.leaves[path] = (value, 0)
        return value.value

    def _mismatch(self, value: Value, types: list[inspect.Type], meta: Meta) -> None:
        self._report.error(value, f"{meta.name} takes {words_for(types)}, not {kind(value)}")

    def template(self, tree: Any) -> Template:
        """The template of the plain data that `walk` gave."""

        def tell(path: Path, mistake: Mistake) -> None:
            value, shift = self.leaves[path]
            texts.explain(ExpressionInvalid((mistake,)), value, self._report, shift)

        return parse_value(tree, self._scope, tell)


def measure(value: Scalar, type_: type[Any], name: str, report: Report) -> float | None:
    """The seconds or bytes that a scalar says; None, reported with a remedy, where it says none."""
    try:
        return parse_duration(value.value) if type_ is Duration else parse_size(value.value)
    except ValueError as error:
        match = _BETTER.search(str(error))
        repaired = report.with_text(value.at, match[1]) if match else None
        report.error(value, f"{name}: {error}", repaired=repaired)
        return None


def unknown_key(
    key: Scalar, known: list[str], where: str, report: Report
) -> tuple[str, str | None]:
    """The message for a key that does not exist, and the line with the one that was meant."""
    guess = next(iter(get_close_matches(key.text, known, 1)), None)
    message = f"no key '{key.text}' in {where}"
    if guess is not None:
        return f"{message}; did you mean {guess}", report.with_text(key.at, guess)
    return f"{message}: it has {', '.join(known)}", None
