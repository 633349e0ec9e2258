"""Sends requests: one pool of connections for each degree of trust, redirects, bounded answers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import aiohttp
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from reactor.connectors.http.guard import Allowed, Guard, read_allowed
from reactor.errors import ActionFailed
from reactor.plugin.context import Connection, Network, Shared
from reactor.units import format_size

_REDIRECTS = (301, 302, 303, 307, 308)
_CONNECT_SECS = 20.0
_MOST_CONNECTIONS = 256
# What may follow a redirect to another origin; all else may be a credential under some name.
_HARMLESS = frozenset(["accept", "accept-language", "content-type", "user-agent"])
_OF_THE_BODY = ("content-type", "content-encoding", "content-language", "content-length")


class Lent(Protocol):
    """What a request needs of the daemon; actions and sources are lent it alike."""

    @property
    def network(self) -> Network:
        """Which hosts data may name."""
        ...

    @property
    def shared(self) -> Shared:
        """Connections opened once."""
        ...

    def connection(self, kind: str, name: str | None) -> Connection:
        """A configured connection."""
        ...


class Call(Struct, frozen=True, kw_only=True):
    """One request to send.

    Header names are lower case. `authors_host`: no data wrote the host, so it may be private.
    """

    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None
    authors_host: bool
    follow: int
    max_body: int


class Answer(Struct, frozen=True, kw_only=True):
    """What came back, with the body as received; header names are lower case."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


async def send(call: Call, context: Lent) -> Answer:
    """Send a request and read the whole answer, following redirects.

    Raises `ActionFailed` when there is no answer: `http` (transient), `denied`, `type`,
    `too_large`.
    """
    allowed = read_allowed(context.network.allow)
    first = call
    for _ in range(call.follow + 1):
        answer = await _ask(call, allowed, context)
        target = _target(answer, call.url)
        if target is None or call.follow == 0:
            return answer
        call = _redirected(call, answer.status, target)
    raise ActionFailed(f"{shown(first.url)}: more than {first.follow} redirects", kind="http")


def usable(url: URL) -> URL:
    """The URL in the form that is sent; ValueError if it is no http or https URL with a host."""
    if url.scheme not in ("http", "https") or not url.host or " " in url.host:
        raise ValueError("not a URL with http or https and a host")
    # `localhost.` is `localhost`, in certificates and everywhere else.
    host = url.host.rstrip(".")
    return url if host == url.host else url.with_host(host)


def shown(url: URL) -> str:
    """A URL for messages, without what may be secret in it."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


async def _ask(call: Call, allowed: Allowed, context: Lent) -> Answer:
    client = await _client(call, allowed, context)
    try:
        async with client.request(
            call.method, call.url, headers=call.headers, data=call.body, allow_redirects=False
        ) as response:
            return await _read(response, call)
    except (aiohttp.InvalidURL, ValueError) as error:
        raise ActionFailed(f"{shown(call.url)}: cannot be sent: {error}", kind="type") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        cause = getattr(error, "os_error", error)
        if isinstance(cause, PermissionError):
            raise ActionFailed(f"{shown(call.url)}: {cause.strerror}", kind="denied") from error
        reason = str(cause) or type(cause).__name__
        raise ActionFailed(
            f"{shown(call.url)}: no answer: {reason}", kind="http", transient=True
        ) from error


async def _client(call: Call, allowed: Allowed, context: Lent) -> aiohttp.ClientSession:
    named = allowed.has_name(call.url.host or "", call.url.port or 0)
    public_only = not (call.authors_host or named)
    # Two pools: a kept connection to a private address, opened for the flow's author, is never
    # handed to a request whose host came from data.
    key = "http/public/" + ",".join(context.network.allow) if public_only else "http/any"

    def open_() -> AbstractAsyncContextManager[aiohttp.ClientSession]:
        return _open_client(Guard(public_only=public_only, allowed=allowed))

    return await context.shared(key, open_)


@asynccontextmanager
async def _open_client(guard: Guard) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, socket_factory=guard.open_socket)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # The whole attempt is bounded by the step's timeout.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECS),
    ) as session:
        yield session


async def _read(response: aiohttp.ClientResponse, call: Call) -> Answer:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > call.max_body:
            raise ActionFailed(
                f"{shown(call.url)}: the answer is longer than {format_size(call.max_body)}; "
                "max_body sets the limit",
                kind="too_large",
                status=response.status,
            )
    headers: dict[str, str] = {}
    for name, text in response.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {text}" if lower in headers else text
    return Answer(
        status=response.status, reason=response.reason or "", headers=headers, body=bytes(body)
    )


def _target(answer: Answer, url: URL) -> URL | None:
    """Where a redirect leads."""
    location = answer.headers.get("location")
    if answer.status not in _REDIRECTS or location is None:
        return None
    try:
        return usable(url.join(URL(location))).with_user(None)
    except ValueError as error:
        raise ActionFailed(f"{shown(url)}: redirects to no http URL", kind="http") from error


def _redirected(call: Call, status: int, target: URL) -> Call:
    """The next request, as browsers change it, without credentials for another origin."""
    method, body, headers = call.method, call.body, dict(call.headers)
    authors_host = call.authors_host
    if status == 303 or (status < 303 and method == "POST"):
        method, body = "GET", None
        headers = {name: text for name, text in headers.items() if name not in _OF_THE_BODY}
    if target.origin() != call.url.origin():
        # The answer chose this host, and an answer is data.
        authors_host = False
        headers = {name: text for name, text in headers.items() if name in _HARMLESS}
    return replace(
        call, method=method, url=target, body=body, headers=headers, authors_host=authors_host
    )
