"""What a body means: JSON, a form, text or bytes, by what the route wants and the sender says."""

import codecs
from typing import Any

from reactor.model.http import named_values
from reactor.plugin.payload import read_json

# Character sets that senders of webhooks use; Python knows others that are no text at all.
_CHARSETS = {
    codecs.lookup(name).name
    for name in (
        "utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "big5", "euc-jp", "euc-kr", "gb2312",
        "gbk", "gb18030", "shift_jis", "koi8-r",
        *(f"iso8859-{part}" for part in (1, 2, 5, 7, 9, 15)),
        *(f"cp125{part}" for part in range(9)),
    )
}  # fmt: skip


class Undecodable(Exception):
    """The body does not become data; `status` is 415 or 422, the text says what to send."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def decode(wanted: str, headers: dict[str, str], body: bytes) -> Any:
    """The data of a body; None for an empty one, whatever its type."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Undecodable(415, "a Content-Encoding is not taken here: send the body as it is")
    if not body:
        return None
    written = headers.get("content-type", "")
    if written == "application/json" and wanted in {"auto", "json"}:
        return _from_json(body, "utf-8")
    media, _, parameters = written.partition(";")
    media = media.strip().lower()
    kind = _kind(media)
    if wanted == "auto":
        wanted = kind
    elif wanted in {"json", "form"} and media and kind != wanted:
        raise Undecodable(415, f"this path takes {wanted} only: set Content-Type accordingly")
    if wanted == "bytes":
        return body
    charset = _charset(parameters)
    if wanted == "json":
        return _from_json(body, charset)
    try:
        text = body.decode(charset)
    except UnicodeDecodeError:
        raise Undecodable(422, f"the body is not {charset}") from None
    if wanted == "text":
        return text
    try:
        return named_values(text, charset)
    except ValueError:
        raise Undecodable(422, "the form has more than a thousand fields") from None


def _kind(media: str) -> str:
    if media == "application/json" or media.endswith("+json"):
        return "json"
    if media == "application/x-www-form-urlencoded":
        return "form"
    return "text" if media.startswith("text/") else "bytes"


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            try:
                charset = codecs.lookup(value.strip().strip('"')).name
            except (LookupError, ValueError):
                charset = ""
            if charset not in _CHARSETS:
                raise Undecodable(415, "this charset is not known here: send UTF-8")
            return charset
    return "utf-8"


def _from_json(body: bytes, charset: str) -> Any:
    try:
        if charset not in {"utf-8", "ascii"}:
            body = body.decode(charset).encode()
        return read_json(body)
    except ValueError as error:
        deep = "nested" in str(error)
        raise Undecodable(422, str(error) if deep else "the body is not valid JSON") from None
