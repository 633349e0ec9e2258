"""Requests heard by the webhook listener and the replies it sends; no server library's classes."""

import re
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

_LITERAL = re.compile(r"[^\s%?#{}\\/\x00-\x1f\x7f]+")
_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_MOST_NAMES = 1000


class Request(Struct, frozen=True, kw_only=True, gc=False):
    """One complete request.

    `path` is percent-decoded, `target` is as sent. Header names are lower case; repeated headers
    are joined
    by ", ". A query name that occurs once is a text, several times a list of texts. `address` is
    the client's
    IP address, after `server.trusted_proxies`. `client` are the names in its certificate, if it
    showed one that `server.tls.client_ca` vouches for.
    """

    method: str
    path: str
    target: str
    headers: dict[str, str]
    query: dict[str, Any]
    body: bytes
    address: str
    path_params: dict[str, str] = {}
    client: tuple[str, ...] = ()


class Reply(Struct, frozen=True, gc=False):
    """One answer; `headers` are extra ones beside Content-Type, Content-Length and Connection."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def named_values(text: str, encoding: str = "utf-8") -> dict[str, Any]:
    """The names of a query or a form; a name that occurs several times has a list.

    ValueError for more than a thousand names.
    """
    pairs = parse_qsl(
        text,
        keep_blank_values=True,
        encoding=encoding,
        errors="replace",
        max_num_fields=_MOST_NAMES,
    )
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name not in values:
            values[name] = value
        elif isinstance(values[name], list):
            values[name].append(value)
        else:
            values[name] = [values[name], value]
    return values


def path_segments(path: str) -> list[str]:
    """The segments of a route's path; ValueError with the remedy if it has no such form."""
    if not path.startswith("/"):
        raise ValueError(f"path {path!r} begins with /: /{path}")
    segments = path[1:].split("/")
    for place, segment in enumerate(segments):
        if not segment and place == len(segments) - 1:
            continue
        if not segment:
            raise ValueError(f"path {path!r} has two / in a row: write one")
        if segment in {".", ".."}:
            raise ValueError(f"path {path!r} has the segment {segment!r}, which no client sends")
        if not _LITERAL.fullmatch(segment) and not _PARAMETER.fullmatch(segment):
            raise ValueError(
                f"path {path!r}: {segment!r} is neither plain text nor one {{name}}; "
                "write other characters as they are, without %, and ? arguments as event.query"
            )
    names = parameter_names(path)
    if len(set(names)) != len(names):
        raise ValueError(f"path {path!r} uses a {{name}} twice: give each its own")
    return segments


def parameter_names(path: str) -> tuple[str, ...]:
    """The names of the `{name}` segments, in order."""
    return tuple(_PARAMETER.findall(path))
