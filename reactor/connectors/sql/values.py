"""Values of databases as plain data: the texts that PostgreSQL writes, numbers without loss."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from math import isfinite
from typing import Any

import msgspec

Parse = Callable[[str], Any]


def number(text: str) -> int | float | str:
    """A decimal number as a number as long as no digit is lost, else as its text."""
    if len(text) < 16 and "E" not in text and "e" not in text:
        # A binary number holds any 15 digits: the common case needs no exact arithmetic.
        try:
            near = float(text)
        except ValueError:
            return text
        if -1e15 < near < 1e15:
            return int(near) if near.is_integer() else near
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return text
    if not exact.is_finite():
        return text
    if exact == exact.to_integral_value() and exact.adjusted() < 40:
        return int(exact)
    near = float(exact)
    return near if isfinite(near) and Decimal(repr(near)) == exact else text


def floating(text: str) -> float | str:
    """A binary number; NaN and the infinities, which JSON has not, stay text."""
    found = float(text)
    return found if isfinite(found) else text


def moment(text: str) -> datetime | str:
    """A time with its zone as an instant; what no calendar of ours has stays text."""
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    return text


def from_json(text: str) -> Any:
    """The value of JSON; what is none stays text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def raw(text: str) -> bytes:
    """Bytes in PostgreSQL's hexadecimal form."""
    return bytes.fromhex(text.removeprefix("\\x"))


def json_text(value: Any) -> str:
    """A value as JSON, for columns that hold it."""
    return msgspec.json.encode(value).decode()


def plain_array(text: str, parse: Parse) -> list[Any]:
    """A PostgreSQL array such as `{1,NULL,"a b"}` or `{{1,2},{3,4}}`."""
    # Bounds that do not begin at 1 stand before it: [0:1]={…}.
    start = text.index("{")
    found, _ = _array(text, start, parse)
    return found


def _array(text: str, at: int, parse: Parse) -> tuple[list[Any], int]:
    items: list[Any] = []
    at += 1
    while text[at] != "}":
        if text[at] == ",":
            at += 1
        elif text[at] == "{":
            inner, at = _array(text, at, parse)
            items.append(inner)
        elif text[at] == '"':
            word, at = _quoted(text, at + 1)
            items.append(parse(word))
        else:
            end = at
            while text[end] not in ",}":
                end += 1
            word = text[at:end]
            items.append(None if word == "NULL" else parse(word))
            at = end
    return items, at + 1


def _quoted(text: str, at: int) -> tuple[str, int]:
    parts = []
    while text[at] != '"':
        if text[at] == "\\":
            at += 1
        parts.append(text[at])
        at += 1
    return "".join(parts), at + 1


# By PostgreSQL's type numbers; all other types stay the text that PostgreSQL writes.
POSTGRES: Mapping[int, Parse] = {
    16: lambda text: text == "t",  # boolean
    17: raw,  # bytea
    20: int,  # bigint
    21: int,  # smallint
    23: int,  # integer
    26: int,  # oid
    114: from_json,  # json
    700: floating,  # real
    701: floating,  # double precision
    1184: moment,  # timestamp with time zone
    1700: number,  # numeric
    3802: from_json,  # jsonb
}
# The array types of these and of common texts, and their elements.
ARRAYS: Mapping[int, int] = {
    1000: 16, 1001: 17, 1016: 20, 1005: 21, 1007: 23, 1028: 26, 199: 114, 1021: 700, 1022: 701,
    1185: 1184, 1231: 1700, 3807: 3802, 1009: 25, 1015: 1043, 1014: 1042, 1003: 19, 2951: 2950,
    1115: 1114, 1182: 1082, 1183: 1083, 1270: 1266, 1187: 1186, 1041: 869, 651: 650,
}  # fmt: skip


def parser(oid: int, elements: Mapping[int, int] = ARRAYS) -> Parse:
    """How the text of a type is read; `elements` says the element's type of each array type."""
    if oid in elements:
        return partial(plain_array, parse=parser(elements[oid], {}))
    return POSTGRES.get(oid, str)
