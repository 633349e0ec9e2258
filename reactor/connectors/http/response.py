"""What an answer says: whether it was expected, its body decoded, when to come again."""

import re
from contextlib import suppress
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from yarl import URL

from reactor.clock import Clock, to_ms
from reactor.connectors.http.client import Answer, shown
from reactor.connectors.http.request import EXPECT
from reactor.errors import ActionFailed

Expect = str | int | list[str | int]

_TRY_AGAIN = frozenset([408, 425, 429])
_JSON = re.compile(r"(?:application|text)/(?:json|[^;]*\+json)")
_TEXT = re.compile(r"text/.*|application/(?:.*\+)?(?:xml|yaml|x-yaml|javascript|x-ndjson|toml)")


def is_expected(status: int, expect: Expect) -> bool:
    """Whether a status is one of those that are a success."""
    for each in expect if isinstance(expect, list) else [expect]:
        wanted = str(each)
        if not EXPECT.fullmatch(wanted):
            raise ActionFailed(f"expect: {each!r} is no status such as 204 or 2xx", kind="type")
        if wanted in (str(status), f"{status // 100}xx"):
            return True
    return False


def unexpected(
    method: str, url: URL, answer: Answer, clock: Clock, *, output: Any = None
) -> ActionFailed:
    """The failure of an answer with another status; 408, 425, 429 and 5xx may be tried again."""
    transient = answer.status in _TRY_AGAIN or answer.status >= 500
    return ActionFailed(
        f"{method} {shown(url)} answered {answer.status} {answer.reason}".rstrip(),
        kind="http",
        status=answer.status,
        transient=transient,
        after_secs=_after_secs(answer, clock) if transient else None,
        output=output,
    )


def content_type(answer: Answer) -> Message:
    """The Content-Type with its parameters."""
    header = Message()
    header["content-type"] = answer.headers.get("content-type", "application/octet-stream")
    return header


def decoded(answer: Answer, *, strict: bool) -> Any:
    """The body by its Content-Type; what lies about being JSON fails if `strict`."""
    if not answer.body:
        return None
    header = content_type(answer)
    kind = header.get_content_type()
    if _JSON.fullmatch(kind):
        try:
            return msgspec.json.decode(answer.body)
        except msgspec.DecodeError as error:
            if strict:
                raise ActionFailed(f"the answer is no JSON: {error}", kind="decode") from error
    elif not _TEXT.fullmatch(kind):
        return answer.body
    with suppress(LookupError):
        return answer.body.decode(header.get_content_charset("utf-8"), "replace")
    return answer.body.decode("utf-8", "replace")


def _after_secs(answer: Answer, clock: Clock) -> float | None:
    """What Retry-After asks for: seconds, or until a date."""
    asked = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", asked):
        return float(asked)
    with suppress(ValueError):
        return max(0.0, (to_ms(parsedate_to_datetime(asked)) - clock.now_ms()) / 1000)
    return None
