"""Which types take which values as written, and what they are called in messages."""

from msgspec import inspect

from reactor.expr.parse import Expression
from reactor.loading.values import ListValue, MapValue, Scalar, Value, scalar_text


def has_template(value: Scalar) -> bool:
    """Whether there is a `${{` in a text."""
    return isinstance(value.value, str) and "${{" in value.value


def is_whole_template(value: Scalar) -> bool:
    """Whether a text is one template and nothing else, so that it keeps its type."""
    text = value.text.strip()
    return (
        has_template(value)
        and text.startswith("${{")
        and text.count("${{") == 1
        and text.endswith("}}")
    )


def takes(type_: inspect.Type, value: Value) -> bool:
    """Whether a value is of the kind that a type takes, without a look inside."""
    if isinstance(type_, inspect.AnyType):
        return True
    if isinstance(value, MapValue):
        return isinstance(type_, inspect.StructType | inspect.DictType)
    if isinstance(value, ListValue):
        return isinstance(type_, inspect.ListType | inspect.VarTupleType | inspect.SetType) or (
            isinstance(type_, inspect.CustomType) and type_.cls is Expression
        )
    return _fits(value, type_)


def _fits(value: Scalar, type_: inspect.Type) -> bool:
    written = value.value
    if isinstance(type_, inspect.NoneType):
        return written is None
    if isinstance(type_, inspect.BoolType):
        return isinstance(written, bool)
    if isinstance(type_, inspect.IntType):
        return isinstance(written, int) and not isinstance(written, bool)
    if isinstance(type_, inspect.FloatType):
        return isinstance(written, int | float) and not isinstance(written, bool)
    if isinstance(type_, inspect.LiteralType):
        return any(scalar_text(each) == value.text for each in type_.values)
    if isinstance(type_, inspect.StrType):
        return written is not None
    return isinstance(type_, inspect.CustomType) and written is not None


def rank(type_: inspect.Type, value: Value) -> int:
    """The order in which the types of a union are tried: the narrower first."""
    # The narrower type first, so that `respond: accepted` is a choice before it is any text.
    if isinstance(type_, inspect.StructType) and isinstance(value, MapValue):
        known = {field.encode_name for field in type_.fields}
        return -len(known & set(value.names))
    order = (inspect.LiteralType, inspect.NoneType, inspect.BoolType, inspect.IntType)
    if isinstance(type_, order):
        return 0
    return 2 if isinstance(type_, inspect.StrType | inspect.AnyType) else 1
