"""Functions on text."""

import re
import unicodedata
from functools import lru_cache
from typing import Any

from reactor.errors import EvaluationError
from reactor.expr.function import Function, Param
from reactor.expr.operators import contains
from reactor.expr.values import MAX_BUILT, SMALL, Fuel, to_text

_MAX_PARTS = 100_000
_MAX_PATTERN = 1000
_GROUP = re.compile(r"\\(\d|\\)")


def pattern(text: str) -> Any:
    """The compiled RE2 pattern; EvaluationError with the reason where it is none."""
    if len(text) > _MAX_PATTERN:
        raise EvaluationError(f"a pattern has at most {_MAX_PATTERN} characters")
    compiled = _compiled(text)
    if isinstance(compiled, str):
        raise EvaluationError(
            f"{text!r} is no pattern (RE2, without lookahead and backreferences): {compiled}"
        )
    return compiled


@lru_cache(maxsize=256)
def _compiled(text: str) -> Any:
    # Imported here: most flows need no pattern, and the library costs start-up time.
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 2 << 20
    try:
        return re2.compile(text, options=options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else ""
        return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def _search(fuel: Fuel, text: str, wanted: str) -> Any:
    compiled = pattern(wanted)
    # The slow path of RE2 costs text length by program size.
    fuel.spend(1 + (len(text) * compiled.programsize >> 9))
    return compiled.search(text)


def _lower(fuel: Fuel, text: str) -> str:
    if len(text) > SMALL:
        fuel.build(len(text))
    return text.lower()


def _upper(fuel: Fuel, text: str) -> str:
    if len(text) > SMALL:
        fuel.build(len(text))
    return text.upper()


def _trim(fuel: Fuel, text: str, characters: str) -> str:
    fuel.build(len(text))
    fuel.scan(len(text) * (1 + (len(characters) >> 3)))
    return text.strip(characters or None)


def _split(fuel: Fuel, text: str, separator: str) -> list[str]:
    fuel.build(len(text))
    parts = text.split(separator or None, _MAX_PARTS)
    if len(parts) > _MAX_PARTS:
        raise EvaluationError(f"split would make over {_MAX_PARTS} parts")
    fuel.spend(4 * len(parts))
    return parts


def _join(fuel: Fuel, parts: list[Any], separator: str) -> str:
    fuel.spend(len(parts))
    size = 0
    texts = []
    for part in parts:
        texts.append(to_text(part))
        size += len(texts[-1]) + len(separator)
        if size > MAX_BUILT:
            break
    fuel.build(size)
    return separator.join(texts)


def _replace(fuel: Fuel, text: str, old: str, new: str) -> str:
    if not old:
        raise EvaluationError("replace needs a text to look for, not an empty one")
    fuel.scan(len(text))
    fuel.build(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def _regex_replace(fuel: Fuel, text: str, wanted: str, new: str) -> str:
    compiled = pattern(wanted)
    fuel.spend(1 + (len(text) * compiled.programsize >> 9))
    parts: list[str] = []
    done = size = 0
    for match in compiled.finditer(text):
        # Each search may run to the end of the text before it gives up.
        fuel.spend(4 + (len(text) - match.start() >> 8))
        parts += [text[done : match.start()], _expanded(match, new)]
        size += len(parts[-1]) + len(parts[-2])
        fuel.build(size if size > MAX_BUILT else len(parts[-1]))
        done = match.end()
    parts.append(text[done:])
    fuel.build(size + len(parts[-1]))
    return "".join(parts)


def _expanded(match: Any, new: str) -> str:
    def group(part: re.Match[str]) -> str:
        if part[1] == "\\":
            return "\\"
        try:
            return match.group(int(part[1])) or ""
        except IndexError:
            raise EvaluationError(f"the pattern has no group {part[1]}") from None

    return _GROUP.sub(group, new) if "\\" in new else new


def _contains(fuel: Fuel, box: Any, value: Any) -> bool:
    return contains(box, value, fuel)


def _startswith(fuel: Fuel, text: str, start: Any) -> bool:
    return text.startswith(_texts(fuel, start))


def _endswith(fuel: Fuel, text: str, end: Any) -> bool:
    return text.endswith(_texts(fuel, end))


def _texts(fuel: Fuel, given: Any) -> Any:
    if type(given) is str:
        return given
    fuel.spend(1 + len(given))
    if not all(type(each) is str for each in given):
        raise EvaluationError("the list may hold texts only")
    return tuple(given)


def _matches(fuel: Fuel, text: str, wanted: str) -> bool:
    return _search(fuel, text, wanted) is not None


def _extract(fuel: Fuel, text: str, wanted: str) -> str | None:
    match = _search(fuel, text, wanted)
    if match is None:
        return None
    found: str | None = match.group(1 if match.re.groups else 0)
    return found


def _truncate(fuel: Fuel, text: str, length: int, end: str) -> str:
    if len(text) <= length:
        return text
    fuel.build(max(0, length))
    keep = max(0, length - len(end))
    return (text[:keep] + end)[: max(0, length)]


def _slug(fuel: Fuel, text: str) -> str:
    fuel.build(4 * len(text))
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


_TEXT = Param("text", "text")

FUNCTIONS = (
    Function("lower", (_TEXT,), "text", "The text in small letters.", 'lower("Ab")', "ab", _lower),
    Function("upper", (_TEXT,), "text", "The text in capitals.", 'upper("Ab")', "AB", _upper),
    Function(
        "trim", (_TEXT, Param("characters", "text", "")), "text",
        "The text without white space (or the given characters) at both ends.",
        'trim("  hi ")', "hi", _trim,
    ),
    Function(
        "split", (_TEXT, Param("separator", "text", "")), "list",
        "The parts of a text between separators; without one, its words.",
        'split("a,b", ",")', ["a", "b"], _split,
    ),
    Function(
        "join", (Param("list", "list"), Param("separator", "text", "")), "text",
        "The elements as one text with the separator between them.",
        'join(["a", 1], ", ")', "a, 1", _join,
    ),
    Function(
        "replace", (_TEXT, Param("old", "text"), Param("new", "text")), "text",
        "The text with each `old` replaced by `new`.",
        'replace("a-b", "-", "_")', "a_b", _replace,
    ),
    Function(
        "regex_replace", (_TEXT, Param("pattern", "text"), Param("new", "text")), "text",
        r"The text with each match of an RE2 pattern replaced; `\1` in `new` is the first group.",
        r'regex_replace("v1.2", "v(\d+)", "\1")', "1.2", _regex_replace,
    ),
    Function(
        "contains", (Param("box", "text or list or map"), Param("value", "any")), "boolean",
        "Whether a text has a part, a list an element, a map a key.",
        'contains("[skip ci] x", "[skip ci]")', True, _contains,
    ),
    Function(
        "startswith", (_TEXT, Param("start", "text or list")), "boolean",
        "Whether the text begins so (or with one of a list).",
        'startswith("refs/tags/v1", "refs/tags/")', True, _startswith,
    ),
    Function(
        "endswith", (_TEXT, Param("end", "text or list")), "boolean",
        "Whether the text ends so (or with one of a list).",
        'endswith("a.csv", [".csv", ".tsv"])', True, _endswith,
    ),
    Function(
        "matches", (_TEXT, Param("pattern", "text")), "boolean",
        "Whether an RE2 pattern is found in the text (`^…$` for the whole of it).",
        r'matches("order-17", "^order-\d+$")', True, _matches,
    ),
    Function(
        "extract", (_TEXT, Param("pattern", "text")), "text or null",
        "The first group of the first match of a pattern (without groups, the match), or null.",
        r'extract("order-17 paid", "order-(\d+)")', "17", _extract,
    ),
    Function(
        "truncate", (_TEXT, Param("length", "integer"), Param("end", "text", "…")), "text",
        "The text cut to at most `length` characters; where it was cut, `end` is at its end.",
        'truncate("abcdef", 4)', "abc…", _truncate,
    ),
    Function(
        "slug", (_TEXT,), "text",
        "The text in small ASCII letters, digits and dashes, for names and paths.",
        'slug("Größe: 5 m")', "grosse-5-m", _slug,
    ),
)  # fmt: skip
