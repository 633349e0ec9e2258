"""What stands in a YAML file: scalars, lists and maps that know their places."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

Plain = Any
Path = tuple[str | int, ...]


class At(Struct, frozen=True):
    """From where to where something stands; lines and columns count from 1."""

    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def width(self) -> int:
        """How many columns it takes on its first line."""
        return max(1, self.end_column - self.column) if self.end_line == self.line else 1


NOWHERE = At(1, 1, 1, 1)


class Scalar(Struct, frozen=True):
    """A single value: what it means (`value`) and how it was written (`text`, `style`)."""

    value: bool | int | float | str | None
    text: str
    at: At
    style: str | None = None

    @property
    def plain_style(self) -> bool:
        """Whether it stands without quotes on one line."""
        return self.style is None and self.at.line == self.at.end_line


class ListValue(Struct, frozen=True):
    """Items in order; `inline` when written as `[…]`."""

    items: tuple["Value", ...]
    at: At
    inline: bool = False


class Entry(Struct, frozen=True):
    """A key and what stands under it."""

    key: Scalar
    value: "Value"


class MapValue(Struct, frozen=True):
    """Entries in order, each key once; `inline` when written as `{…}`."""

    entries: tuple[Entry, ...]
    at: At
    inline: bool = False

    def get(self, name: str) -> "Value | None":
        """What stands under a key."""
        entry = self.entry(name)
        return None if entry is None else entry.value

    def entry(self, name: str) -> Entry | None:
        """The entry with a key."""
        return next((entry for entry in self.entries if entry.key.text == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The keys in order."""
        return tuple(entry.key.text for entry in self.entries)

    @property
    def first(self) -> "Value":
        """The first key, where a missing one is reported; the map itself when it is empty."""
        return self.entries[0].key if self.entries else self


Value = Scalar | ListValue | MapValue


def plain(value: Value) -> Plain:
    """The value as plain data."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, ListValue):
        return [plain(item) for item in value.items]
    return {entry.key.text: plain(entry.value) for entry in value.entries}


def from_plain(data: Plain) -> Value:
    """Plain data as a value without a place."""
    if isinstance(data, Mapping):
        return map_from_plain(data)
    if isinstance(data, Sequence) and not isinstance(data, str):
        return ListValue(tuple(from_plain(item) for item in data), NOWHERE)
    return Scalar(data, scalar_text(data), NOWHERE)


def map_from_plain(data: Mapping[str, Any]) -> MapValue:
    """A plain map as a value without a place."""
    entries = (Entry(Scalar(str(k), str(k), NOWHERE), from_plain(v)) for k, v in data.items())
    return MapValue(tuple(entries), NOWHERE)


def scalar_text(data: Any) -> str:
    """A plain scalar as YAML writes it."""
    if data is None:
        return "null"
    if isinstance(data, bool):
        return "true" if data else "false"
    return str(data)


def inside(value: Value, path: Path) -> Value:
    """What stands at a path; the deepest thing on the way where the path does not exist."""
    for key in path:
        found: Value | None = None
        if isinstance(value, MapValue):
            found = value.get(str(key))
        elif isinstance(value, ListValue) and isinstance(key, int) and key < len(value.items):
            found = value.items[key]
        if found is None:
            return value
        value = found
    return value


def kind(value: Value) -> str:
    """The word users know for what this is: `a text`, `a number`, `a list`, …."""
    if isinstance(value, ListValue):
        return "a list"
    if isinstance(value, MapValue):
        return "a map"
    if value.value is None:
        return "nothing"
    if isinstance(value.value, bool):
        return "true or false"
    return "a text" if isinstance(value.value, str) else "a number"


def quoted(text: str) -> str:
    """The text in quotes, single ones where it holds no backslash to keep."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"
