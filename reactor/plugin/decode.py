"""Rendered data to typed configs: what a template gave is fitted to what a field takes."""

import re
from typing import Any

import msgspec
from msgspec import inspect

from reactor.errors import InvalidFlow
from reactor.expr.values import to_text
from reactor.plugin.fields import info
from reactor.units import Duration, Size, parse_duration, parse_size

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_PART = re.compile(r"\.([\w-]+)|\[(\d+|\.\.\.)\]")
_KINDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
    "Duration": "a duration",
    "Size": "a size",
}


class DecodeFailed(InvalidFlow):
    """A value does not fit its field; `path` leads to it."""

    def __init__(self, message: str, path: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.path = path


def decode(value: Any, type_: Any) -> Any:
    """The typed config of plain data.

    Numbers and booleans become text where a text is taken, because templates keep their type; and
    text becomes a number or boolean where one is taken, because the environment has only text.
    Raises DecodeFailed with the path.
    """
    try:
        return msgspec.convert(value, type_, dec_hook=_special)
    except msgspec.ValidationError as first:
        try:
            fitted = _fitted(value, info(type_))
            return msgspec.convert(fitted, type_, dec_hook=_special, strict=False)
        except (msgspec.ValidationError, InvalidFlow):
            raise _failed(first) from first


def _special(type_: type[Any], value: Any) -> Any:
    if isinstance(value, type_):
        return value
    if type_ is Duration:
        return parse_duration(value)
    if type_ is Size:
        return parse_size(value)
    raise ValueError(f"expected {type_.__name__}, got {type(value).__name__}")


def _failed(error: msgspec.ValidationError) -> DecodeFailed:
    match = _PLACE.match(str(error))
    if match is None:
        return DecodeFailed(str(error), ())
    path = tuple(
        int(index) if index.isdigit() else (name or "…")
        for name, index in _PART.findall(match["path"] or "")
    )
    what = re.sub(r"`(\w+)(?: \| null)?`", lambda m: _KINDS.get(m[1], m[1]), match["what"])
    what = what[:1].lower() + what[1:]
    where = ".".join(map(str, path))
    return DecodeFailed(f"{where}: {what}" if where else what, path)


def _fitted(value: Any, info: inspect.Type) -> Any:
    if isinstance(info, inspect.Metadata):
        return _fitted(value, info.type)
    if isinstance(info, inspect.UnionType):
        return _fitted_union(value, info)
    if isinstance(info, inspect.StructType) and isinstance(value, dict):
        types = {field.encode_name: field.type for field in info.fields}
        return {k: _fitted(v, types[k]) if k in types else v for k, v in value.items()}
    if isinstance(info, inspect.DictType) and isinstance(value, dict):
        return {key: _fitted(each, info.value_type) for key, each in value.items()}
    if isinstance(info, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
        return [_fitted(each, info.item_type) for each in value]
    if isinstance(info, inspect.StrType) and isinstance(value, bool | int | float):
        return to_text(value)
    return value


def _fitted_union(value: Any, info: inspect.UnionType) -> Any:
    plain = [kind.type if isinstance(kind, inspect.Metadata) else kind for kind in info.types]
    for kind in plain:
        if isinstance(value, dict) and isinstance(kind, inspect.StructType | inspect.DictType):
            return _fitted(value, kind)
        if isinstance(value, list) and isinstance(kind, inspect.ListType | inspect.VarTupleType):
            return _fitted(value, kind)
    takes_numbers = (inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.AnyType)
    if any(isinstance(kind, takes_numbers) for kind in plain):
        return value
    return next((_fitted(value, k) for k in plain if isinstance(k, inspect.StrType)), value)
