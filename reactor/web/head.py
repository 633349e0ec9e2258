"""What a complete head means: refused, turned away, or for which route. Pure functions."""

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from reactor.model.http import Reply, named_values
from reactor.plugin.context import Cors
from reactor.web.replies import NOT_FOUND, problem
from reactor.web.routes import PathTable, Place, Served

CHUNKED = -1

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Head(Struct, frozen=True, kw_only=True, gc=False):
    """A head that was understood.

    `reply` turns the request away without its body; `served` is None then. `length` is that of the
    body in bytes, or CHUNKED. `extra` are header lines of the answer, whatever it will be.
    """

    path: str
    served: Served | None = None
    params: dict[str, str] = {}
    query: dict[str, Any] = {}
    length: int = 0
    reply: Reply | None = None
    extra: str = ""


def read_head(
    method: str, target: str, version: str, headers: dict[str, str], table: PathTable
) -> Head:
    """Judge a head; ValueError says why it is not HTTP as we take it."""
    _refuse(method, target, version, headers)
    length = CHUNKED if "transfer-encoding" in headers else int(headers.get("content-length", 0))
    path, _, rest = target.partition("?")
    query = named_values(rest) if rest else {}
    place = table.exact(path)
    values: tuple[str, ...] = ()
    if place is None:
        path = decode_path(path)
        found = table.find(path)
        if found is None:
            reply = Reply(204) if target == "*" else NOT_FOUND
            return Head(path=path, length=length, reply=reply)
        place, values = found
    served = place.serving.get(method)
    if served is None:
        return Head(path=path, length=length, reply=_other_method(method, place, headers))
    route = served.route
    return Head(
        path=path,
        served=served,
        params=dict(zip(served.names, values, strict=True)) if values else {},
        query=query,
        length=length,
        reply=too_large(route.max_body) if length > route.max_body else None,
        extra="" if route.cors is None else _cors_lines(route.cors, headers.get("origin")),
    )


def too_large(max_body: int) -> Reply:
    """The answer to a body over the route's limit."""
    return problem(413, f"the body is larger than {max_body} bytes, which this path takes at most")


def decode_path(path: str) -> str:
    """The path with its escapes decoded; ValueError for one that could be read in two ways."""
    if "%" in path:
        if _BAD_ESCAPE.search(path):
            raise ValueError("a % in the path is not followed by two hexadecimal digits")
        raw = unquote_to_bytes(path)
        if raw.count(b"/") != path.count("/") or b"\\" in raw:
            raise ValueError("an encoded slash or backslash in the path")
        try:
            path = raw.decode()
        except UnicodeDecodeError:
            raise ValueError("the path is not UTF-8") from None
        if _CONTROL.search(path):
            raise ValueError("a control character in the path")
    if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
        raise ValueError("a . or .. segment in the path")
    return path


def _refuse(method: str, target: str, version: str, headers: dict[str, str]) -> None:
    # What llhttp lets through although two readers could take it for different requests.
    if version == "1.1":
        host = headers.get("host")
        if host is None or "," in host:
            raise ValueError("HTTP/1.1 needs exactly one Host header")
    elif version != "1.0":
        raise ValueError("only HTTP/1.0 and HTTP/1.1 are served here")
    encoding = headers.get("transfer-encoding")
    if encoding is not None:
        if version == "1.0":
            raise ValueError("HTTP/1.0 has no Transfer-Encoding")
        if encoding.lower() != "chunked":
            raise ValueError("the only Transfer-Encoding taken here is chunked")
        if "content-length" in headers:
            raise ValueError("both Content-Length and Transfer-Encoding")
    if "upgrade" in headers or method == "CONNECT":
        raise ValueError("there is nothing to upgrade or connect to here")
    expect = headers.get("expect")
    if expect is not None and expect.lower() != "100-continue":
        raise ValueError("the only Expect taken here is 100-continue")
    if target[:1] != "/" and not (target == "*" and method == "OPTIONS"):
        raise ValueError("the target must be a path that begins with /")
    if "#" in target:
        raise ValueError("a # in the target")


def _other_method(method: str, place: Place, headers: dict[str, str]) -> Reply:
    if method != "OPTIONS":
        others = " or ".join(sorted(place.serving))
        return problem(
            405, f"this path does not take {method}: use {others}", ("Allow", place.allow)
        )
    asked = place.serving.get(headers.get("access-control-request-method", ""))
    if asked is None or asked.route.cors is None:
        return Reply(204, headers=(("Allow", place.allow),))
    cors = asked.route.cors
    origin = headers.get("origin")
    if not _allowed(cors, origin):
        return Reply(204, headers=(("Allow", place.allow), ("Vary", "Origin")))
    return Reply(
        204,
        headers=(
            ("Access-Control-Allow-Origin", str(origin)),
            ("Access-Control-Allow-Methods", asked.route.method),
            ("Access-Control-Allow-Headers", ", ".join(cors.headers)),
            ("Access-Control-Max-Age", str(cors.max_age_secs)),
            ("Vary", "Origin"),
        ),
    )


def _cors_lines(cors: Cors, origin: str | None) -> str:
    if not _allowed(cors, origin):
        return "Vary: Origin\r\n"
    return (
        f"Access-Control-Allow-Origin: {origin}\r\n"
        "Access-Control-Expose-Headers: Reactor-Event\r\n"
        "Vary: Origin\r\n"
    )


def _allowed(cors: Cors, origin: str | None) -> bool:
    return origin is not None and (origin in cors.origins or "*" in cors.origins)
