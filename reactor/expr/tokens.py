"""The words, texts, numbers and signs of an expression, with their places."""

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<number>0[xX][0-9a-fA-F]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?|\.\d+)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign>===|!==|==|!=|<=|>=|=>|//|\*\*|<<|>>|&&|\|\||\?\?|\?\.|:=|->
        |[-+*/%|<>()\[\]{}.,:=!?&^~])
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PAIRS = {"}": "{", ")": "(", "]": "["}


class Token(NamedTuple):
    """A piece: its kind (space string number word sign other), its text, where it begins."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the piece ends."""
        return self.start + len(self.text)


def tokenise(text: str, start: int = 0) -> list[Token]:
    """The pieces of a text, which together are the whole text from `start` on."""
    return [_token(match) for match in _TOKEN.finditer(text, start)]


def closing(text: str, start: int) -> int | None:
    """Where the `}}` begins that completes the expression at `start`; None when there is none.

    Brackets and texts in the expression may hold `}}` themselves.
    """
    open_brackets: list[str] = []
    for match in _TOKEN.finditer(text, start):
        if match.lastgroup != "sign":
            continue
        sign = match[0]
        if not open_brackets and text.startswith("}}", match.start()):
            return match.start()
        if sign in ("(", "[", "{"):
            open_brackets.append(sign)
        elif sign in _PAIRS and open_brackets and open_brackets[-1] == _PAIRS[sign]:
            open_brackets.pop()
    # The expression itself is broken; the next }} gives its mistake the smallest place.
    fallback = text.find("}}", start)
    return fallback if fallback >= 0 else None


def _token(match: re.Match[str]) -> Token:
    return Token(match.lastgroup or "other", match[0], match.start())
