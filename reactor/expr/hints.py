"""The remedy for what people bring from other languages and mean nothing here."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from reactor.expr.scope import ExpressionInvalid, Mistake
from reactor.expr.tokens import Token, closing, tokenise

_SIGNS = {"&&": "and", "||": "or", "!": "not ", "===": "==", "!==": "!="}
_PATH = r"[A-Za-z_][\w.]*(?:\[[^\]]*\][\w.]*)*"
_DEFINED = re.compile(rf"({_PATH})\s+is\s+(not\s+)?(?:defined|undefined)")
_AGE = re.compile(rf"now\s*-\s*({_PATH})\s*(>=?|<=?)\s*((?:\d+(?:ms|[smhd]))+)")
_SHIFT = re.compile(rf"({_PATH})\s*([-+])\s*((?:\d+(?:ms|[smhd]))+)")
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhd]))+")

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
    "states": 'states(…) is Home Assistant\'s; what `remember` or `set` stored is state.NAME["key"]',
    "state_attr": "state_attr(…) is Home Assistant's; what `remember` or `set` stored is state.NAME",
    "is_state": 'is_state(…) is Home Assistant\'s; compare what is stored: state.NAME["key"] == "on"',
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
    "length": "len", "count": "len", "size": "len", "strip": "trim", "lowercase": "lower", "uppercase": "upper",
    "toLowerCase": "lower", "toUpperCase": "upper", "tojson": "json", "to_json": "json", "toJSON": "json",
    "toJson": "json", "from_json": "parse_json", "fromjson": "parse_json", "fromJson": "parse_json",
    "loads": "parse_json", "dumps": "json", "string": "str", "number": "float", "includes": "contains",
    "startsWith": "startswith", "endsWith": "endswith", "starts_with": "startswith", "ends_with": "endswith",
    "hasPrefix": "startswith", "hasSuffix": "endswith", "b64encode": "base64", "base64_encode": "base64",
    "b64decode": "unbase64", "base64_decode": "unbase64", "items": "entries", "sub": "regex_replace",
    "regex_match": "matches", "regex_search": "matches", "match": "matches", "search": "extract",
    "find": "extract", "selectattr": "where", "select": "where", "groupby": "group_by", "sort": "sorted",
    "uniq": "unique", "distinct": "unique", "average": "avg", "mean": "avg", "ceil": "round", "floor": "round",
    "strftime": "format_date", "strptime": "parse_date", "timestamp": "parse_date", "as_datetime": "parse_date",
    "fromisoformat": "parse_date", "urlencode_component": "urlencode", "quote": "urlencode", "coalesce": "default",
    "isset": "has", "exists": "has", "defined": "has", "sha": "sha256", "hmac": "hmac_sha256", "slugify": "slug",
    "batch": "chunk", "concat": "merge", "update": "merge",
}  # fmt: skip


def reject_tokens(text: str, tokens: list[Token]) -> None:
    """Refuse signs and words of other languages, each with what is written here."""
    solid = [token for token in tokens if token.kind != "space"]
    if any(token.text in _SIGNS for token in solid if token.kind == "sign"):
        _reject_signs(text, solid)
    brackets: list[bool] = []  # for each open bracket: is it a call's
    before = Token("sign", "", 0)
    for index, token in enumerate(solid):
        after = solid[index + 1] if index + 1 < len(solid) else Token("sign", "", len(text))
        _reject_pair(text, before, token, after)
        if token.text == "=" and not (brackets and brackets[-1]):
            repaired = _swapped(text, [(token, "==")])
            raise _invalid(token, f"= is ==: {repaired}", repaired)
        if token.kind == "sign" and token.text in "([{":
            brackets.append(token.text == "(" and before.kind == "word")
        elif token.kind == "sign" and token.text in ")]}" and brackets:
            brackets.pop()
        before = token


def syntax_mistake(text: str, error: SyntaxError) -> ExpressionInvalid:
    """The place and a plain word for what Python's parser could not read."""
    offset = min(max(0, (error.offset or 1) - 2), max(0, len(text) - 1))
    solid = [token for token in tokenise(text) if token.kind != "space"]
    depth: list[Token] = []
    for token in solid:
        if token.kind == "sign" and token.text in ("(", "[", "{"):
            depth.append(token)
        elif token.kind == "sign" and token.text in (")", "]", "}"):
            if not depth:
                return _invalid(token, f"{token.text} closes nothing")
            depth.pop()
    if depth:
        return _invalid(depth[-1], f"{depth[-1].text} is not closed")
    if "too many nested" in (error.msg or ""):
        return ExpressionInvalid((Mistake(0, len(text), "the expression is nested too deeply"),))
    here = next((token for token in solid if token.end > offset), solid[-1])
    if here.end == len(text.rstrip()) and here.kind == "sign":
        return _invalid(here, f"something is missing after {here.text}")
    return _invalid(here, f"this is no expression: {here.text} is not expected here")


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


def _reject_signs(text: str, solid: list[Token]) -> None:
    wrong = [token for token in solid if token.kind == "sign" and token.text in _SIGNS]
    repaired = _swapped(text, [(token, _SIGNS[token.text]) for token in wrong])
    signs = list(dict.fromkeys(token.text for token in wrong))
    here = ", ".join(_SIGNS[sign].strip() for sign in signs)
    verb = "is" if len(signs) == 1 else "are"
    raise _invalid(wrong[0], f"{' and '.join(signs)} {verb} written {here}: {repaired}", repaired)


def _reject_pair(text: str, before: Token, token: Token, after: Token) -> None:
    near = token.end == after.start
    if token.kind == "other":
        _reject_other(text, token, after)
    elif token.kind == "number":
        if near and after.kind == "word":
            _reject_duration(text, token)
        if (
            token.text.startswith(".")
            and before.end == token.start
            and before.kind in ("word", "sign")
        ):
            repaired = _swapped(text, [(token, f"[{token.text[1:]}]")])
            raise _invalid(token, f"a position in a list is written [ ]: {repaired}", repaired)
    elif token.kind == "string" and after.kind == "string":
        raise _invalid(after, "two texts beside each other are joined with +")
    elif token.kind == "word":
        _reject_word(text, token, after, near)
    elif token.kind == "sign":
        _reject_sign(text, token, after)


def _reject_other(text: str, token: Token, after: Token) -> None:
    if token.text in "\"'":
        raise _invalid(
            token, f"the text that begins here is not closed: write {token.text} at its end"
        )
    if token.text == "$" and after.text == "{":
        bare = text
        while (start := bare.find("${{")) >= 0:
            end = closing(bare, start + 3)
            stop = len(bare) if end is None else end
            bare = bare[:start] + bare[start + 3 : stop].strip() + bare[stop + 2 :]
        raise _invalid(token, f"an expression stands without ${{{{ }}}}: {bare}", bare)
    if token.text == "$":
        repaired = re.sub(r"\$(?:json|node|input|event)\b(?:\.body\b)?", "event.data", text)
        better = "event.data" if after.text == "json" else "event"
        name = f"${after.text}"
        raise _invalid(token, f"{name} is another language's name: here it is {better}", repaired)
    if token.text == "#":
        raise _invalid(token, "# begins a comment elsewhere and means nothing here: quote the text")
    if token.text == "`":
        raise _invalid(token, "texts stand in \" or '")
    raise _invalid(token, f"{token.text} means nothing here")


def _reject_duration(text: str, token: Token) -> None:
    written = _DURATION.match(text, token.start)
    if written is None:
        raise _invalid(token, "a name does not begin with a digit, and a text needs quotes")
    duration = written[0]
    if age := _AGE.search(text):
        better = f'{age[1]} {_TURNED[age[2]]} add_time(now, "-{age[3]}")'
        repaired = text[: age.start()] + better + text[age.end() :]
        message = f"{duration} is no number; durations in expressions are texts: {better}"
    elif shift := _SHIFT.search(text):
        better = f'add_time({shift[1]}, "{shift[2].strip("+")}{shift[3]}")'
        repaired = text[: shift.start()] + better + text[shift.end() :]
        message = f"{duration} is no number; durations in expressions are texts: {better}"
    else:
        repaired = (
            f'{text[: token.start]}seconds("{duration}"){text[token.start + len(duration) :]}'
        )
        message = (
            f'{duration} is no number; durations in expressions are texts: seconds("{duration}")'
        )
    raise ExpressionInvalid((Mistake(token.start, len(duration), message, repaired),))


def _reject_word(text: str, token: Token, after: Token, near: bool) -> None:
    if token.text == "is" and after.kind == "word":
        if found := _DEFINED.search(text):
            path, negated = found[1], bool(found[2]) != found[0].endswith("undefined")
            better = f"not has({path})" if negated else f"has({path})"
            sign = "==" if negated else "!="
            repaired = text[: found.start()] + better + text[found.end() :]
            message = f'"is defined" is written {better} or {path} {sign} null'
            raise _invalid(token, message, repaired)
        negated = after.text == "not"
        raise _invalid(token, f"is is written {'!=' if negated else '=='}")
    if (
        near
        and after.kind == "string"
        and token.text not in ("and", "or", "not", "in", "if", "else")
    ):
        if token.text.lower() in ("r", "f", "b", "u", "rb", "br"):
            remedy = {"f": "join with + or use a template", "r": r"\d stays \d anyhow"}.get(
                token.text.lower(), "texts are always texts"
            )
            raise _invalid(token, f"{token.text}{after.text[0]} is not needed: {remedy}")
        raise _invalid(
            token, f"{token.text} beside a text means nothing: join with +, call with ( )"
        )


def _reject_sign(text: str, token: Token, after: Token) -> None:
    if token.text == "??":
        raise _invalid(token, "a ?? b is written a | default(b)", _coalesced(text, token))
    if token.text == "?.":
        repaired = text.replace("?.", ".")
        raise _invalid(
            token, f"a path with missing parts is null, ? is not needed: {repaired}", repaired
        )
    if token.text == "?":
        parts = re.fullmatch(r"\s*(.+?)\s*\?\s*(.+?)\s*:\s*(.+?)\s*", text)
        better = f"{parts[2]} if {parts[1]} else {parts[3]}" if parts else None
        raise _invalid(token, f"c ? a : b is written {better or 'a if c else b'}", better)
    if token.text in ("**", "<<", ">>", "&", "^", "~", ":=", "->", "=>"):
        remedy = {"&": "and", "^": "or", "~": "+ (text) or not"}.get(token.text)
        message = f"there is no {token.text} here" + (f": write {remedy}" if remedy else "")
        raise _invalid(token, message)
    if token.text == "{" and after.text == "{" and after.start == token.end:
        bare = re.sub(r"\{\{\s*(.*?)\s*\}\}", r"\1", text)
        raise _invalid(token, f"an expression stands without {{{{ }}}}: {bare}", bare)


def _coalesced(text: str, token: Token) -> str | None:
    left, right = text[: token.start].rstrip(), text[token.end :].strip()
    return f"{left} | default({right})" if re.fullmatch(_PATH, left) and "??" not in right else None


def _swapped(text: str, swaps: list[tuple[Token, str]]) -> str:
    for token, better in reversed(swaps):
        rest = text[token.end :].lstrip() if better.endswith(" ") else text[token.end :]
        text = text[: token.start] + better + rest
    return text


def _invalid(token: Token, message: str, repaired: str | None = None) -> ExpressionInvalid:
    return ExpressionInvalid((Mistake(token.start, max(1, len(token.text)), message, repaired),))
