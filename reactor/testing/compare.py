"""What was expected against what was found: each difference with its place in the file."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from reactor.expr.values import time_text
from reactor.loading.values import ListValue, MapValue, Scalar, Value, plain

_LONGEST = 300
_AROUND = 20  # letters shown before the first one that differs
_SECRET = re.compile(r"\bsecret-[A-Za-z0-9_]+")


class Difference(Struct, frozen=True):
    """One expectation that was not met, and where it stands."""

    where: Value
    message: str


def differences(wanted: Value, found: Any, path: str) -> Iterator[Difference]:
    """Where what was found is not what was wanted: maps in part, lists whole."""
    if isinstance(wanted, MapValue):
        if isinstance(found, Mapping):
            yield from _of_maps(wanted, found, path)
        else:
            yield Difference(wanted, f"{path}: expected a map, got {shown(found)}")
    elif isinstance(wanted, ListValue):
        if isinstance(found, Sequence) and not isinstance(found, str | bytes):
            yield from _of_lists(wanted, found, path)
        else:
            yield Difference(wanted, f"{path}: expected a list, got {shown(found)}")
    elif not same(wanted.value, found):
        yield Difference(wanted, f"{path}: {_unlike(wanted, found)}")


def same(wanted: Any, found: Any) -> bool:
    """Whether a single value is the expected one; true is not 1, and times are texts."""
    if isinstance(found, datetime):
        found = time_text(found)
    if isinstance(found, bytes):
        found = found.decode("utf-8", "replace")
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, str) and isinstance(found, str):
        return wanted == found or _SECRET.sub("***", wanted) == found
    return bool(wanted == found)


def shown(value: Any) -> str:
    """A value as a person reads it in YAML, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=_as_text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """What was probably meant, or all there is."""
    names = list(known)
    near = get_close_matches(name, names, 1)
    if near:
        return f"nearest is {near[0]}"
    return f"it has {', '.join(names)}" if names else "it is empty"


def _of_maps(wanted: MapValue, found: Mapping[str, Any], path: str) -> Iterator[Difference]:
    for entry in wanted.entries:
        name = entry.key.text
        if name in found:
            yield from differences(entry.value, found[name], f"{path}.{name}")
        elif plain(entry.value) is not None:  # missing and null are one
            said = f"expected {shown(plain(entry.value))}, got no such key; {nearest(name, found)}"
            yield Difference(entry.key, f"{path}.{name}: {said}")


def _of_lists(wanted: ListValue, found: Sequence[Any], path: str) -> Iterator[Difference]:
    if len(wanted.items) != len(found):
        count, got = len(wanted.items), len(found)
        items = f"{count} item{'s' * (count != 1)}"
        yield Difference(wanted, f"{path}: expected {items}, got {got}: {shown(found)}")
    for number, (one, other) in enumerate(zip(wanted.items, found, strict=False)):
        yield from differences(one, other, f"{path}[{number}]")


def _unlike(wanted: Scalar, found: Any) -> str:
    if isinstance(wanted.value, str) and isinstance(found, str):
        return f"expected {_apart(wanted.value, found)}, got {_apart(found, wanted.value)}"
    return f"expected {shown(wanted.value)}, got {shown(found)}"


def _apart(text: str, other: str) -> str:
    """A text from shortly before the place where it differs from another one."""
    if len(text) + len(other) <= _LONGEST:
        return shown(text)
    pairs = enumerate(zip(text, other, strict=False))
    at = next((at for at, (one, two) in pairs if one != two), min(len(text), len(other)))
    start = max(0, at - _AROUND)
    return ("…" if start else "") + shown(text[start : start + _LONGEST // 3])


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
