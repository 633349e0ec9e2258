"""Requests heard by the webhook listener and the replies it sends; no server library's classes."""

from typing import Any

from msgspec import Struct


class Request(Struct, frozen=True, kw_only=True, gc=False):
    """One complete request.

    `path` is percent-decoded, `target` is as sent. Header names are lower case; repeated headers
    are joined
    by ", ". A query name that occurs once is a text, several times a list of texts. `address` is
    the client's
    IP address, after `server.trusted_proxies`.
    """

    method: str
    path: str
    target: str
    headers: dict[str, str]
    query: dict[str, Any]
    body: bytes
    address: str
    path_params: dict[str, str] = {}


class Reply(Struct, frozen=True, gc=False):
    """One answer; `headers` are extra ones beside Content-Type, Content-Length and Connection."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
