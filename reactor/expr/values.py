"""What values are to expressions: their kinds, their text, and the fuel that bounds all work.

A missing path and null are one value, None; only `has` and traces tell them apart.
"""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec

from reactor.errors import EvaluationError

FUEL = 1_000_000  # about 30 ms of the slowest work
MAX_BUILT = 1 << 20  # bytes of one newly built value
MAX_RESULT = 64 << 20  # what a result may weigh, references counted each time
MAX_INT_BITS = 256
SMALL = 256  # texts up to this cost no more than the parts of the expression that handle them
MISSING = "missing"

SURE = 1 << 60  # within it a number needs no further look

_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    dict: "map",
    datetime: "time",
    bytes: "bytes",
}


class Fuel:
    """What one evaluation may still do; loops, scans and newly built values draw on it."""

    left = FUEL  # of the class: an instance that spends nothing costs next to nothing

    def spend(self, amount: int) -> None:
        """Take this much; EvaluationError when nothing is left."""
        self.left -= amount
        if self.left < 0:
            raise EvaluationError("too much work for one expression: loop over less, or use steps")

    def scan(self, length: int) -> None:
        """Pay for reading a text of this length."""
        self.spend(1 + (length >> 4))

    def build(self, length: int) -> None:
        """Pay for a new text or bytes of this length, before it is made."""
        if length > MAX_BUILT:
            raise EvaluationError("the new value would be over 1 MiB")
        self.spend(1 + (length >> 2))


def kind(value: Any) -> str:
    """The word users know for a value's type: `text`, `number`, `map`, …."""
    return _KINDS.get(type(value)) or ("map" if isinstance(value, dict) else type(value).__name__)


def to_json(value: Any) -> bytes:
    """Compact JSON of any value: times as RFC 3339 in UTC, bytes as base64."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise EvaluationError(f"the value cannot be written as JSON: {error}") from error


def to_text(value: Any) -> str:
    """The text of a value inside other text: null is empty, maps and lists are compact JSON."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is datetime:
        return time_text(value)
    if type(value) is bytes:
        return bytes_text(value)
    if type(value) is int and value.bit_length() > MAX_INT_BITS:
        raise EvaluationError("the number is over 256 bits")
    if type(value) is not int:
        weigh(value, MAX_BUILT)
    return to_json(value).decode()


def to_key(value: Any) -> str | None:
    """A value as a key: text, the parts of a list joined by `/`; null is no key."""
    if type(value) is list:
        parts = ("" if part is None else to_text(part) for part in value)
        return "/".join(part.replace("\\", "\\\\").replace("/", "\\/") for part in parts)
    return None if value is None else to_text(value)


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC: `2026-01-01T07:30:00Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def bytes_text(value: bytes) -> str:
    """The text that the bytes hold; EvaluationError where they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise EvaluationError("the bytes are no UTF-8 text: use base64(…)") from error


def number(value: int | float) -> int | float:
    """The number itself, or EvaluationError where it is too large, infinite or not a number."""
    if -SURE < value < SURE:
        return value
    if type(value) is int:
        if value.bit_length() > MAX_INT_BITS:
            raise EvaluationError("the number would be over 256 bits")
    elif not math.isfinite(value):
        raise EvaluationError("the result is no finite number")
    return value


def weigh(value: Any, limit: int) -> None:
    """Refuse a value whose text would be longer than `limit`, counting shared parts each time.

    A loop may put one large part of an event into every element: cheap to hold, ruinous to write.
    """
    left = limit
    pending = [value]
    while pending:
        part = pending.pop()
        if type(part) is str or type(part) is bytes:
            left -= len(part) + 2
        elif isinstance(part, dict):
            left -= 2 + sum(map(len, part)) + 4 * len(part)
            pending.extend(part.values())
        elif type(part) is list:
            left -= 2 + len(part)
            if left >= 0:
                pending.extend(part)
        else:
            left -= 4
        if left < 0:
            size = f"{limit >> 20} MiB"
            raise EvaluationError(f"the value would be over {size} when written out")
