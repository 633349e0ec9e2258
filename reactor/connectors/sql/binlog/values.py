"""Values of the binary log as the same plain data that a query of the table gives."""

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from reactor.connectors.sql.values import floating, number

Parse = Callable[[Any], Any]
# Each byte a character: the library hands text on untouched, and we read it without raising.
_BYTES = "latin-1"
_CODECS = {
    "ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be",
    "macroman": "mac_roman", "macce": "mac_latin2", "eucjpms": "euc_jp", "ujis": "euc_jp",
}  # fmt: skip
_ABSENT = "cols bitmap"
_ZERO_TIMES = {
    "out of date range": "0000-00-00",
    "out of datetime range": "0000-00-00 00:00:00",
    "out of datetime2 range": "0000-00-00 00:00:00",
    "empty set": "",
}


def parsers_of(columns: list[Any], types: Mapping[str, str]) -> dict[str, Parse]:
    """How the values of a table's columns are read; `types` are the names that SQL has for them.

    The columns are the library's own, and are told to leave texts alone.
    """
    found: dict[str, Parse] = {}
    for column in columns:
        parse = _parser(column, types.get(column.name, ""))
        if parse is not None:
            found[column.name] = parse
        if column.character_set_name is not None:
            column.character_set_name = _BYTES
    return found


def row_of(
    values: Mapping[str, Any], missing: Mapping[str, str], parsers: Mapping[str, Parse]
) -> dict[str, Any]:
    """A row; columns that the log does not hold (a session with another row image) are absent."""
    row: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            reason = missing.get(name, "null")
            if reason != _ABSENT:
                row[name] = _ZERO_TIMES.get(reason)
        else:
            parse = parsers.get(name)
            row[name] = value if parse is None else parse(value)
    return row


def _parser(column: Any, type_: str) -> Parse | None:
    from pymysqlreplication.constants import FIELD_TYPE

    kind = column.type
    fixed: dict[int, Parse] = {
        FIELD_TYPE.NEWDECIMAL: lambda value: number(str(value)),
        FIELD_TYPE.FLOAT: _single,
        FIELD_TYPE.DOUBLE: lambda value: floating(repr(value)),
        FIELD_TYPE.BIT: lambda bits: int(bits, 2),
        FIELD_TYPE.YEAR: lambda year: 0 if year == 1900 else year,
        FIELD_TYPE.DATE: str,
        FIELD_TYPE.DATETIME: str,
        FIELD_TYPE.TIMESTAMP: _instant,
        FIELD_TYPE.TIMESTAMP2: _instant,
        FIELD_TYPE.TIME: lambda value: _time(value, 0),
        FIELD_TYPE.TIME2: lambda value: _time(value, column.fsp),
        FIELD_TYPE.DATETIME2: lambda value: _datetime(value, column.fsp),
        FIELD_TYPE.SET: lambda value: ",".join(one for one in column.set_values if one in value),
        FIELD_TYPE.JSON: json_value,
    }
    if kind in fixed:
        return fixed[kind]
    if kind not in (FIELD_TYPE.VARCHAR, FIELD_TYPE.STRING, FIELD_TYPE.BLOB):
        return None
    if type_ in _ADDRESSES:
        return _ADDRESSES[type_]
    if column.character_set_name == "binary":
        # What fills BINARY(n) up is not in the log.
        width = column.max_length if kind == FIELD_TYPE.STRING else 0
        return lambda text: text.encode(_BYTES).ljust(width, b"\x00")
    codec = _CODECS.get(column.character_set_name, column.character_set_name) or "utf-8"
    return lambda text: _text(text.encode(_BYTES), codec)


def _text(data: bytes, codec: str) -> str | bytes:
    """Text; bytes that are none in their character set stay bytes."""
    try:
        return data.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return data


def _single(value: float) -> float | str:
    """The shortest number that is this one in single precision, as SQL shows it."""
    for digits in range(6, 9):
        near = float(f"{value:.{digits}g}")
        if struct.pack("<f", near) == struct.pack("<f", value):
            return floating(repr(near))
    return floating(repr(value))


def _instant(value: datetime) -> datetime | str:
    # The first second cannot be stored: it is the zero date.
    if value == datetime(1970, 1, 1):  # noqa: DTZ001 -- the library gives UTC without saying so
        return "0000-00-00 00:00:00"
    return value.replace(tzinfo=UTC)


def _datetime(value: datetime, digits: int) -> str:
    text = value.isoformat(" ", "microseconds")
    return text[: 20 + digits] if digits else text[:19]


def _time(value: timedelta, digits: int) -> str:
    micros = value // timedelta(microseconds=1)
    if micros < 0 and micros % 1_000_000:
        # The library reads the fraction of a negative time as counted up from below.
        whole, part = divmod(-micros, 1_000_000)
        micros = -(whole * 1_000_000 + 1_000_000 - part)
    secs, part = divmod(abs(micros), 1_000_000)
    text = f"{'-' if micros < 0 else ''}{secs // 3600:02}:{secs // 60 % 60:02}:{secs % 60:02}"
    return f"{text}.{part:06}"[: len(text) + 1 + digits] if digits else text


def json_value(value: Any) -> Any:
    """MySQL's JSON, in which the library leaves texts as bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return {json_value(name): json_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    return value


def _uuid(text: str) -> str:
    data = text.encode(_BYTES).ljust(16, b"\x00")
    if data[6] & 0x80 and not data[8] & 0x80:
        # MariaDB keeps versions 1 to 5 with their parts in the other order.
        data = data[12:] + data[10:12] + data[8:10] + data[6:8] + data[:6]
    return str(UUID(bytes=data))


_ADDRESSES: Mapping[str, Parse] = {
    "uuid": _uuid,
    "inet4": lambda text: str(IPv4Address(text.encode(_BYTES).ljust(4, b"\x00"))),
    "inet6": lambda text: str(IPv6Address(text.encode(_BYTES).ljust(16, b"\x00"))),
}
