"""Asks the daemon over its Unix socket; plain blocking HTTP, so that a command starts quickly."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from reactor.cli.options import chosen
from reactor.errors import (
    BadConfig,
    Denied,
    InvalidFlow,
    NotFound,
    ReactorError,
    StorageFailed,
    Unreachable,
    UsageError,
)
from reactor.web.admin.address import short_path, socket_path

_PREFIX = "/api/v1"
# Long enough for a backup of a large store, short enough to end one day.
_TIMEOUT_SECS = 3600.0
_CONNECT_SECS = 5.0
# Pings come every 15 s: silence for longer means that the daemon is gone.
_STREAM_SECS = 45.0
_PAGE = 200
_ERRORS = (UsageError, InvalidFlow, NotFound, Denied, Unreachable, StorageFailed, BadConfig)


class Client:
    """The API of the daemon that works in a state folder."""

    def __init__(self, state: Path) -> None:
        self._socket = socket_path(state)

    def get(self, *path: str, **query: Any) -> Any:
        """What stands at a path."""
        return self._ask("GET", path, query=query)

    def post(self, *path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer to an action."""
        return self._ask("POST", path, body=body)

    def put(self, *path: str, body: Mapping[str, Any]) -> Any:
        """The answer to a new value."""
        return self._ask("PUT", path, body=body)

    def delete(self, *path: str) -> Any:
        """The answer to a removal."""
        return self._ask("DELETE", path)

    def pages(self, *path: str, limit: int | None, **query: Any) -> Iterator[Any]:
        """The items of a list, page by page, up to a limit (None: all)."""
        before: str | None = None
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            page = self.get(*path, before=before, limit=size, **query)
            items = page["items"]
            yield from items
            left = None if left is None else left - len(items)
            before = page["next"]
            if before is None:
                return

    def stream(self, after: str | None, **query: Any) -> Iterator[tuple[str | None, Any]]:
        """Live happenings with their ids, after the one heard last; ends with the connection."""
        headers = {} if after is None else {"Last-Event-ID": after}
        with self._answer(
            "GET", ("stream",), query=query, headers=headers, timeout_secs=_STREAM_SECS
        ) as response:
            id_: str | None = None
            while line := _line(response):
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "id":
                    id_ = value
                elif name == "data":
                    yield id_, json.loads(value)

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        with self._answer(
            method, path, query=query or {}, body=body, timeout_secs=_TIMEOUT_SECS
        ) as response:
            raw = response.read()
            if response.headers.get_content_type() == "application/json":
                return json.loads(raw)
            return raw.decode()

    @contextmanager
    def _answer(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        timeout_secs: float,
    ) -> Iterator[HTTPResponse]:
        target = "/".join([_PREFIX, *(quote(part, safe="") for part in path)])
        if asked := {name: value for name, value in query.items() if value is not None}:
            target += "?" + urlencode(asked)
        content = None if body is None else json.dumps(body).encode()
        connection = _Connection(self._connect(timeout_secs))
        try:
            try:
                connection.request(method, target, content, dict(headers))
                response = connection.getresponse()
                if response.status >= 400:
                    raise _problem(response.status, response.read())
            except (OSError, HTTPException) as error:
                raise Unreachable(
                    f"the daemon at {self._socket} did not answer ({error!r}): look at its log"
                ) from error
            yield response
        finally:
            connection.close()

    def _connect(self, timeout_secs: float) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.settimeout(_CONNECT_SECS)
        try:
            with short_path(self._socket) as name:
                channel.connect(name)
        except PermissionError as error:
            channel.close()
            raise Denied(
                f"{self._socket} is another user's: run the command as the daemon's user"
            ) from error
        except OSError as error:
            channel.close()
            raise Unreachable(
                f"no daemon answers at {self._socket}: start one with `reactor run`,"
                " or name its state folder with --state"
            ) from error
        channel.settimeout(timeout_secs)
        return channel


def daemon() -> Client:
    """The daemon of the state folder."""
    return Client(chosen().state)


class _Connection(HTTPConnection):
    """HTTP over a socket that is open already."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__("reactor")
        self.sock = channel


def _line(response: HTTPResponse) -> str:
    """The next line of a stream; "" when it broke off."""
    try:
        return response.readline().decode()
    except (OSError, HTTPException):
        return ""


def _problem(status: int, raw: bytes) -> ReactorError:
    try:
        details = json.loads(raw)
        code, text = details["exit_code"], details["detail"]
    except (ValueError, KeyError, TypeError):
        return ReactorError(f"the daemon answered {status}: {raw[:200]!r}")
    kind = next((kind for kind in _ERRORS if kind.exit_code == code), ReactorError)
    return kind(text)
