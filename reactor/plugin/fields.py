"""What a config's type says: its fields, and the words people know for them."""

import functools
from typing import Any

from msgspec import NODEFAULT, Struct, inspect

from reactor.expr.parse import Expression
from reactor.units import Duration, Size, format_duration, format_size

_SPECIAL: dict[Any, str] = {
    Duration: "a duration such as 30s",
    Size: "a size such as 64KiB",
    Expression: "an expression",
}
_SCALARS: dict[type[inspect.Type], str] = {
    inspect.StrType: "a text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.NoneType: "nothing",
}
_MAPS = (inspect.StructType, inspect.DictType)
LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)


class Described(Struct, frozen=True, kw_only=True):
    """One field as people see it."""

    name: str
    takes: str
    text: str
    required: bool
    default: str | None
    examples: tuple[Any, ...]


@functools.cache
def info(type_: Any) -> inspect.Type:
    """What msgspec knows of a type."""
    return inspect.type_info(type_)


def fields_of(type_: Any) -> tuple[inspect.Field, ...]:
    """The fields of a struct; none where the type is another."""
    known = info(type_)
    return known.fields if isinstance(known, inspect.StructType) else ()


def names_of(type_: Any) -> tuple[str, ...]:
    """The keys of a struct as they are written."""
    return tuple(field.encode_name for field in fields_of(type_))


def described(field: inspect.Field) -> Described:
    """A field with its text, its examples and its default."""
    schema, type_ = {}, field.type
    if isinstance(type_, inspect.Metadata):
        schema = type_.extra_json_schema or {}
    return Described(
        name=field.encode_name,
        takes=words_for([type_]),
        text=schema.get("description", ""),
        required=field.required,
        default=default_text(field),
        examples=tuple(schema.get("examples", ())),
    )


def default_text(field: inspect.Field) -> str | None:
    """A default as it would be written; None where there is none worth telling."""
    value = field.default
    if value is NODEFAULT or value is None or value == ():
        return None
    if isinstance(value, Duration):
        return format_duration(value)
    if isinstance(value, Size):
        return format_size(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def words_for(types: list[inspect.Type]) -> str:
    """What a field of these types takes: `a text or a list`."""
    words = list(dict.fromkeys(_word(type_) for type_ in types))
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing"


def _word(type_: inspect.Type) -> str:
    if isinstance(type_, inspect.Metadata):
        extra = type_.extra or {}
        if "long" in extra:
            return words_for([info(extra["short"]), info(extra["long"])])
        return "an expression" if extra.get("form") == "expression" else _word(type_.type)
    if isinstance(type_, inspect.UnionType):
        return words_for([each for each in type_.types if not isinstance(each, inspect.NoneType)])
    if isinstance(type_, _MAPS):
        return "a map"
    if isinstance(type_, LISTS):
        return "a list"
    if isinstance(type_, inspect.LiteralType):
        words = ", ".join(map(str, type_.values))
        return f"one of {words}" if len(type_.values) > 1 else f"the word {words}"
    if isinstance(type_, inspect.CustomType):
        return _SPECIAL.get(type_.cls, "a template")
    return _SCALARS.get(type(type_), "any value")
