"""The remedy for names that are unknown here, many of them another system's."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

# Names of other systems: what they are here.
_FOREIGN_ROOTS = {
    "github": ("GitHub Actions'", "event.body", ("event",)),
    "msg": ("Node-RED's", "event.data", ("payload",)),
    "inputs": ("GitHub Actions'", "event.data", ()),
    "trigger": ("Home Assistant's", "event", ()),
    "this": ("Home Assistant's", "execution", ()),
    "payload": ("a stranger here", "event.data", ()),
    "body": ("Huginn's and others'", "event.body", ()),
    "context": ("a stranger here", "execution", ()),
}
_FOREIGN_CALLS = {
    "states": 'states(…) is Home Assistant\'s; what `remember` stored is state.NAME["key"]',
    "state_attr": "state_attr(…) is Home Assistant's; what `remember` stored is state.NAME",
    "is_state": 'is_state(…) is Home Assistant\'s; compare: state.NAME["key"] == "on"',
    "now": "now is a name, not a function: now",
    "utcnow": "the time is the name now",
    "timedelta": 'durations are texts: add_time(now, "-5m")',
    "format": "there is no format: write + or a template",
    "print": "there is no print: use a log step",
    "map": 'a list of results is written [f(x) for x in list], or pluck(list, "key")',
    "filter": 'a part of a list is written [x for x in list if …], or where(list, "key", value)',
    "range": "there is no range: loops run over lists",
    "type": "there is no type: try int(…), str(…) or has(…)",
    "env": "env is a name: env.NAME",
    "fromJSON": "fromJSON is written parse_json",
}
_SYNONYMS = {
    theirs: ours
    for ours, words in {
        "len": "length count size",
        "trim": "strip",
        "lower": "lowercase toLowerCase",
        "upper": "uppercase toUpperCase",
        "json": "tojson to_json toJSON toJson dumps",
        "parse_json": "from_json fromjson fromJson loads",
        "str": "string",
        "float": "number",
        "contains": "includes",
        "startswith": "startsWith starts_with hasPrefix",
        "endswith": "endsWith ends_with hasSuffix",
        "base64": "b64encode base64_encode",
        "unbase64": "b64decode base64_decode",
        "entries": "items",
        "regex_replace": "sub",
        "matches": "regex_match regex_search match",
        "extract": "search find",
        "where": "selectattr select",
        "group_by": "groupby",
        "sorted": "sort",
        "unique": "uniq distinct",
        "avg": "average mean",
        "round": "ceil floor",
        "format_date": "strftime",
        "parse_date": "strptime timestamp as_datetime fromisoformat",
        "urlencode": "urlencode_component quote",
        "default": "coalesce",
        "has": "isset exists defined",
        "sha256": "sha",
        "hmac_sha256": "hmac",
        "slug": "slugify",
        "chunk": "batch",
        "merge": "concat update",
    }.items()
    for theirs in words.split()
}


def unknown_root(
    name: str, known: Iterable[str], path: tuple[str | int, ...]
) -> tuple[str, str | None]:
    """The message for an unknown name, and what to write instead where that is known."""
    if name in _FOREIGN_ROOTS:
        owner, ours, skipped = _FOREIGN_ROOTS[name]
        rest = path[1:] if path and path[0] in skipped else path
        better = ours + path_text(rest)
        if owner.startswith("a "):
            return f"unknown name {name!r}: here it is {better}", better
        return f"{name} is {owner} name: here it is {better}", better
    if guess := close(name, known):
        return f"unknown name {name!r}; did you mean {guess}", guess + path_text(path)
    names = ", ".join(sorted(known))
    return f"unknown name {name!r}: known here are {names}; a text needs quotes", None


def unknown_function(name: str, known: Iterable[str]) -> tuple[str, str | None]:
    """The message for an unknown function, and the right name where it is known."""
    if name in _FOREIGN_CALLS:
        return _FOREIGN_CALLS[name], None
    guess = _SYNONYMS.get(name) or close(name, known)
    if guess:
        return f"unknown function {name!r}; did you mean {guess}", guess
    return f"unknown function {name!r}: reactor help functions lists them", None


def method_call(
    value: str, name: str, arguments: list[str], known: Iterable[str]
) -> tuple[str, str | None]:
    """The message for a method such as `.upper()`, and the function that does it."""
    function = name if name in known else _SYNONYMS.get(name)
    if name == "get" and arguments:
        fallback = arguments[1] if len(arguments) > 1 else "null"
        better = f"{value}[{arguments[0]}] | default({fallback})"
    elif name == "join" and len(arguments) == 1:
        better = f"join({arguments[0]}, {value})"
    elif function:
        better = f"{function}({', '.join([value, *arguments])})"
    else:
        return f"values have no methods, and there is no function {name}", None
    return f"values have no methods: {better}", better


def close(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    lowered = {each.lower(): each for each in sorted(known)}
    found = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def path_text(path: Iterable[str | int]) -> str:
    """A path's keys as they are written after a name: `.body.total`, `["x-y"]`, `[0]`."""
    parts = []
    for key in path:
        if type(key) is str and re.fullmatch(r"[^\W\d]\w*", key):
            parts.append(f".{key}")
        else:
            parts.append(f"[{key}]" if type(key) is int else f'["{key}"]')
    return "".join(parts)
