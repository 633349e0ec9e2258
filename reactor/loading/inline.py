"""Unquoted texts in `{…}` and `[…]` that YAML cut apart, and `{{ }}` that it took for a map."""

import re

from reactor.loading.report import Report
from reactor.loading.values import At, Entry, ListValue, MapValue, Scalar, Value, quoted

_OPEN = {"(": ")", "[": "]", "{": "}"}
_NEXT_KEY = re.compile(r",\s*[A-Za-z_][\w.-]*:(\s|$)")
_KEY_BEFORE = re.compile(r"""[{,]\s*([A-Za-z_][\w.-]*|"[^"]*"):\s+(?=\S)""")
_ITEM_BEFORE = re.compile(r"[\[,]\s*(?=\S)")


def double_braces(at: At, key: Value, report: Report) -> Value:
    """A map whose key is a map or a list: nearly always a template without its `$`."""
    line = report.line(at.line)
    written = line[at.column - 1 : at.end_column - 1] if at.line == at.end_line else ""
    if not written.startswith("{{"):
        report.error(key, "a key is a plain text, not a list or a map")
        return MapValue((), at)
    meant = "${{ " + written.strip("{} ") + " }}"
    before = line[: at.column - 1]
    if "{" in before or "[" in before:
        meant = quoted(meant)
    message = f"{{{{ }}}} is a YAML map; templates are ${{{{ … }}}}: {_with_key(before, meant)}"
    report.error(at, message, repaired=report.with_text(at, meant))
    return Scalar(meant, meant, at, "guess")


def check_inline(entries: tuple[Entry, ...], at: At, report: Report) -> tuple[Entry, ...]:
    """The entries of `{…}`; parts of a text that was cut at its commas are reported and dropped."""
    kept: list[Entry] = []
    for index, entry in enumerate(entries):
        if _is_left_over(entry.value) and kept and _unbalanced(before := kept[-1].value):
            message = "[ ] and , end an unquoted text inside {…}: quote it"
            explain_cut(before.at, report, message)
            whole, _ = extent(report.line(before.at.line), before.at.column - 1)
            kept[-1] = Entry(kept[-1].key, Scalar(whole, whole, before.at, "guess"))
            # What else the cut left over says nothing, and there may be thousands of it.
            rest = entries[index + 1 :]
            return (*kept, *(each for each in rest if not _is_left_over(each.value)))
        kept.append(entry)
    return tuple(kept)


def check_inline_list(items: list[Value], report: Report) -> list[Value]:
    """The items of `[…]`; parts of a call that was cut at its commas are reported and joined."""
    kept: list[Value] = []
    for item in items:
        before = kept[-1] if kept else None
        if isinstance(item, Scalar) and before is not None and _unbalanced(before):
            message = "a comma ends an unquoted text inside […]: quote it"
            text, _ = extent(report.line(before.at.line), before.at.column - 1, in_list=True)
            explain_cut(before.at, report, message, in_list=True)
            return [*kept[:-1], Scalar(text, text, before.at, "guess")]
        kept.append(item)
    return kept


def explain_cut(at: At, report: Report, message: str, *, in_list: bool = False) -> None:
    """Report a text that must be quoted, with the whole line corrected."""
    line = report.line(at.line)
    text, end = extent(line, at.column - 1, in_list=in_list)
    marked = At(at.line, at.column, at.line, end + 1)
    line = report.with_text(marked, quoted(text))
    report.error(marked, f"{message}: {line}", repaired=line)


def value_before(line: str, column: int) -> int | None:
    """Where the inline value begins in which a column (from 0) stands."""
    keys = [match.end() for match in _KEY_BEFORE.finditer(line) if match.end() <= column]
    items = [match.end() for match in _ITEM_BEFORE.finditer(line) if match.end() <= column]
    if keys and (not items or "[" not in line[keys[-1] : column]):
        return keys[-1]
    return items[-1] if items else None


def extent(line: str, start: int, *, in_list: bool = False) -> tuple[str, int]:
    """The text that was probably meant from `start` on, and where it ends.

    It runs to the bracket that closes the map or list around it, or to a comma before the next key
    or item.
    """
    closing: list[str] = []
    quote = ""
    for index in range(start, len(line)):
        sign = line[index]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in _OPEN:
            closing.append(_OPEN[sign])
        elif closing and sign == closing[-1]:
            closing.pop()
        elif not closing and (
            sign in ")]}" or _NEXT_KEY.match(line, index) or (in_list and sign == ",")
        ):
            return line[start:index].rstrip(), start + len(line[start:index].rstrip())
    text = line[start:].rstrip()
    return text, start + len(text)


def _is_left_over(value: Value) -> bool:
    return isinstance(value, Scalar) and value.text == "" and value.style is None


def _unbalanced(value: Value) -> bool:
    if isinstance(value, ListValue | MapValue) or value.style is not None:
        return False
    text = value.text
    return any(text.count(left) > text.count(right) for left, right in _OPEN.items()) or (
        text.count('"') % 2 == 1
    )


def _with_key(before: str, text: str) -> str:
    match = re.search(r"([\w.-]+):\s*$", before)
    return f"{match[1]}: {text}" if match else text
