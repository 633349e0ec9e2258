"""The remedy for signs and forms of other languages that mean nothing here."""

import re

from reactor.expr.scope import ExpressionInvalid, Mistake
from reactor.expr.tokens import Token, closing, tokenise

_SIGNS = {"&&": "and", "||": "or", "!": "not ", "===": "==", "!==": "!="}
_PATH = r"[A-Za-z_][\w.]*(?:\[[^\]]*\][\w.]*)*"
_DEFINED = re.compile(rf"({_PATH})\s+is\s+(not\s+)?(?:defined|undefined)")
_AGE = re.compile(rf"now\s*-\s*({_PATH})\s*(>=?|<=?)\s*((?:\d+(?:ms|[smhd]))+)")
_SHIFT = re.compile(rf"({_PATH})\s*([-+])\s*((?:\d+(?:ms|[smhd]))+)")
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhd]))+")


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
        _reject_word(text, token, after)
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


def _reject_word(text: str, token: Token, after: Token) -> None:
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
        token.end == after.start
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
