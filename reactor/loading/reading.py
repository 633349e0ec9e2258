"""YAML text to values with their places: bounded, without tags, every problem reported."""

import math
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from reactor.loading.inline import check_inline, check_inline_list, double_braces
from reactor.loading.report import Report
from reactor.loading.syntax import explain_syntax, explain_tag
from reactor.loading.values import At, Entry, ListValue, MapValue, Scalar, Value, quoted
from reactor.units import format_size

MAX_BYTES = 64 << 10
MAX_DEPTH = 64
MAX_EXPANDED = 10_000

_TOO_DEEP = f"nested over {MAX_DEPTH} deep: split the flow with call"
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Looked for before parsing: the scanner takes a second for a row of brackets.
_ROW_OF_BRACKETS = re.compile(r"(?:[\[{][ \t]*)" + f"{{{MAX_DEPTH + 1}}}")
_LOST_TEMPLATE = re.compile(r"\s+#.*\$\{\{")


class _Broken(Exception):
    """Reading cannot go on; the problem is reported."""


def decode_text(content: bytes, report: Report) -> str | None:
    """The text of a file; None, with the problem reported, where it is too large or no UTF-8."""
    start = At(1, 1, 1, 1)
    if len(content) > MAX_BYTES:
        size = format_size(len(content))
        report.error(start, f"the file has {size}; a flow file has at most 64KiB: split it")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        at = At(line, column, line, column)
        report.error(at, "the file is no UTF-8 text: save it as UTF-8")
        return None


def read_documents(text: str, report: Report) -> list[Value]:
    """The documents of a YAML text; those before a syntax error are still read."""
    text = text.removeprefix("\N{BYTE ORDER MARK}")
    documents: list[Value] = []
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        report.error(At(1, 1, 1, 1), "a flow file has at most 64KiB: split it")
        return documents
    if (row := _ROW_OF_BRACKETS.search(text)) is not None:
        line = text.count("\n", 0, row.start()) + 1
        column = row.start() - text.rfind("\n", 0, row.start()) + MAX_DEPTH
        report.error(At(line, column, line, column + 1), _TOO_DEEP)
        return documents
    try:
        builder = _Builder(YAML(typ="safe", pure=True).parse(text), report)
        documents.extend(builder.documents())
    except _Broken:
        pass
    except MarkedYAMLError as error:
        explain_syntax(error, report)
    except (YAMLError, ValueError) as error:
        report.error(At(1, 1, 1, 1), _unreadable(error))
    return documents


class _Builder:
    """Builds values from YAML events; anchors are shared, their expansion is counted."""

    def __init__(self, events: Iterator[Event], report: Report) -> None:
        self._events = events
        self._report = report
        self._anchors: dict[str, tuple[Value, int] | None] = {}
        self._expanded = 0
        self._count = 0

    def documents(self) -> Iterator[Value]:
        for event in self._events:
            if isinstance(event, StreamEndEvent):
                return
            if isinstance(event, DocumentStartEvent):
                self._anchors = {}
                value = self._value(next(self._events), 0)
                if not (isinstance(value, Scalar) and value.value is None):
                    yield value

    def _value(self, event: Event, depth: int) -> Value:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if not isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent):
            raise _Broken
        at = _at(event)
        if depth > MAX_DEPTH:
            self._report.error(at, _TOO_DEEP)
            raise _Broken
        if event.tag is not None and not _plain_tag(event):
            explain_tag(event.tag, at, self._report)
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        before = self._count
        self._count += 1
        value: Value
        if isinstance(event, ScalarEvent):
            value = self._scalar(event, at)
        elif isinstance(event, SequenceStartEvent):
            value = self._list(event, depth)
        else:
            value = self._map(event, depth)
        if anchor is not None:
            self._anchors[anchor] = (value, self._count - before)
        return value

    def _alias(self, event: AliasEvent) -> Value:
        at = _at(event)
        nothing = Scalar("", "", at, "guess")
        if event.anchor not in self._anchors:
            message = (
                f"no anchor &{event.anchor} stands before this: quote a text that begins with *"
            )
            self._report.error(at, message)
            return nothing
        found = self._anchors[event.anchor]
        if found is None:
            self._report.error(at, f"*{event.anchor} stands inside its own anchor")
            return nothing
        value, count = found
        self._expanded += count
        self._count += count
        if self._expanded > MAX_EXPANDED:
            self._report.error(
                at, f"aliases expand to over {MAX_EXPANDED:,} values: write them out"
            )
            raise _Broken
        return value

    def _scalar(self, event: ScalarEvent, at: At) -> Scalar:
        text: str = event.value
        if event.tag is not None and not text and not event.style:
            # A reported tag took the text with it; what stands there now is nobody's mistake.
            return Scalar("true", "true", at, "guess")
        scalar = Scalar(text, text, at, event.style or None)
        if event.style or (event.tag is not None and not event.implicit[0]):
            return scalar
        if _LOST_TEMPLATE.match(self._report.line(at.end_line), at.end_column - 1):
            self._report.warning(
                at,
                'everything after " #" is a comment, a template in it is lost: quote the text',
                repaired=self._quoted_line(scalar),
            )
        return Scalar(self._resolve(text, at), text, at)

    def _quoted_line(self, scalar: Scalar) -> str | None:
        line = self._report.line(scalar.at.line)
        if scalar.at.end_line != scalar.at.line:
            return None
        return line[: scalar.at.column - 1].lstrip() + quoted(line[scalar.at.column - 1 :].rstrip())

    def _resolve(self, text: str, at: At) -> bool | int | float | str | None:
        if text in _WORDS:
            return _WORDS[text]
        if not (text[0].isdigit() or text[0] in "+-."):
            return text
        if _INT.fullmatch(text):
            number = int(text) if len(text) <= 20 else 1 << 64
        elif _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
            number = int(text, 0)
        elif _FLOAT.fullmatch(text):
            value = float(text)
            if math.isinf(value):
                self._report.error(
                    at, f"{text} is too large for a number: quote it if it is a text"
                )
            return value
        elif _SPECIAL_FLOAT.fullmatch(text):
            self._report.error(at, f"{text} is no number here: quote it if it is a text")
            return text
        else:
            return text
        if not -(1 << 63) <= number < 1 << 64:
            self._report.error(at, "a number of over 64 bits: quote it if it is a text")
        return number

    def _list(self, start: SequenceStartEvent, depth: int) -> ListValue:
        items: list[Value] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        inline = bool(start.flow_style)
        if inline:
            items = check_inline_list(items, self._report)
        return ListValue(tuple(items), _at(start, event), inline)

    def _map(self, start: MappingStartEvent, depth: int) -> Value:
        entries: dict[str, Entry] = {}
        braces = None
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._value(event, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if not isinstance(key, Scalar):
                braces = key
                continue
            if isinstance(value, Scalar) and value.text == "" and value.style is None:
                # YAML places what is not there at the next thing; people look at the key.
                value = Scalar(None, "", key.at)
            self._add(entries, Entry(key, value))
        at = _at(start, event)
        if braces is not None:
            return double_braces(at, braces, self._report)
        inline = bool(start.flow_style)
        kept = tuple(entries.values())
        if inline:
            kept = check_inline(kept, at, self._report)
        return MapValue(kept, at, inline)

    def _add(self, entries: dict[str, Entry], entry: Entry) -> None:
        name = entry.key.text
        if name == "<<" and entry.key.style is None:
            self._report.error(
                entry.key, "<< is not read: write the keys out, or use an alias as a value"
            )
        elif name in entries:
            first = entries[name].key.at.line
            self._report.error(
                entry.key, f"'{name}' stands twice in this map, first on line {first}"
            )
        else:
            entries[name] = entry


def _plain_tag(event: Any) -> bool:
    return str(event.tag) in ("", "!") and isinstance(event, ScalarEvent)


def _at(event: Event, last: Event | None = None) -> At:
    start, end = event.start_mark, (last or event).end_mark
    return At(start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _unreadable(error: Exception) -> str:
    if "special characters are not allowed" in str(error) or "unacceptable character" in str(error):
        return "the file holds control characters that YAML does not allow: remove them"
    return f"the file is no YAML: {str(error).splitlines()[0]}"
