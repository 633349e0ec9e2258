"""Bytes of one connection in, whole requests or refusals out; knows no socket and no time."""

import logging
from collections import deque
from collections.abc import Callable

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser
from msgspec import Struct

from reactor.model.http import Reply, Request
from reactor.web.address import Proxies
from reactor.web.head import CHUNKED, Head, read_head, too_large
from reactor.web.replies import malformed
from reactor.web.routes import PathTable

_log = logging.getLogger(__name__)

_BLANK_LINE = b"\r\n\r\n"
_PIECE = 16_384  # the parser is fed in pieces, so that a limit is noticed within one
_CHUNKED_PIECE = 400  # at most 16 of the shortest requests fit behind a chunked body
# Framing of a chunked body (sizes, extensions, trailers) that comes on top of half the data.
_MOST_FRAMING = 8192

# Headers that come often, as clients spell them: a look-up instead of two new texts.
_NAMES = {
    spelling.encode(): name
    for name in (
        "host", "user-agent", "accept", "accept-encoding", "content-type", "content-length",
        "connection", "authorization", "idempotency-key", "x-forwarded-for", "transfer-encoding",
        "x-github-event", "x-github-delivery", "x-hub-signature-256", "stripe-signature",
        "webhook-id", "webhook-timestamp", "webhook-signature", "traceparent", "origin",
    )
    for spelling in (name, name.title())
}  # fmt: skip

# Where a reader stands: between requests, in a head, in a body.
IDLE, HEAD, BODY = range(3)


class Limits(Struct, frozen=True, kw_only=True):
    """What one listener takes from its clients."""

    head_bytes: int = 16_384
    headers: int = 100
    head_secs: float = 10
    body_secs: float = 30
    idle_secs: float = 15
    linger_secs: float = 2
    connections: int = 1024
    per_address: int = 512


class Exchange:
    """One request and the answer it waits for; `reply` is there when nobody need be asked."""

    __slots__ = ("extra", "finish", "head", "keep", "linger", "reply", "request", "with_body")

    def __init__(self, head: Head | None, reply: Reply | None) -> None:
        self.head = head
        self.reply = reply
        self.extra = "" if head is None else head.extra
        self.request: Request | None = None
        self.finish: Callable[[Exchange, Reply], None] | None = None
        self.keep = False
        self.with_body = True  # False for HEAD
        self.linger = False  # more is on its way that will not be read

    def respond(self, reply: Reply) -> None:
        """Send the answer; does nothing for a second one, or when the client is gone."""
        finish, self.finish = self.finish, None
        if finish is not None:
            finish(self, reply)


class Reader:
    """Parses what one client sends; whole requests and refusals are in `ready`, in order."""

    def __init__(
        self,
        routes: PathTable,
        limits: Limits,
        address: str,
        proxies: Proxies | None,
        client: tuple[str, ...] = (),
    ) -> None:
        self.ready: deque[Exchange] = deque()
        self.unread = b""
        self.ended = False  # nothing more is read
        self.state = IDLE
        self._routes = routes
        self._limits = limits
        self._address = address
        self._client = client
        self._proxies = proxies
        self._offset = 0
        self._fault: Reply | None = None
        self._head: Head | None = None
        self._headers: dict[str, str] = {}
        self._target = b""
        self._body: bytes | list[bytes] = b""
        self._method = ""
        self._expects = False
        self._count = self._head_size = self._head_fed = self._received = self._framing = 0
        self._left = 0  # of the body, or CHUNKED
        self._parser = HttpRequestParser(self)

    def take(self, data: bytes) -> None:
        """Keep bytes until `parse` is called."""
        self.unread = self.unread[self._offset :] + data if self.unread else data
        self._offset = 0

    def end(self) -> None:
        """Read nothing more."""
        self.ended = True
        self.unread = b""
        self._offset = 0

    def refuse(self, reply: Reply) -> None:
        """Answer what is being read, after what came before it, and read nothing more."""
        exchange = Exchange(self._head, reply)
        exchange.with_body = self.state is not BODY or self._method != "HEAD"
        exchange.linger = True
        self.ready.append(exchange)
        self.end()

    def expects_continue(self) -> bool:
        """Whether the client waits to hear that it may send the body; says so once."""
        if not self._expects or self.state is not BODY or self._received or self.ready:
            return False
        self._expects = False
        return not self.ended

    def parse(self) -> None:
        """Parse one piece of what was taken."""
        state, head, received = self.state, self._head, self._received
        piece = self._next_piece()
        try:
            self._parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.ended:
                return  # bytes after a request that closes the connection
            if isinstance(error, HttpParserCallbackError):
                _log.error("reading a request failed", exc_info=error)
            self.refuse(self._fault or malformed("see RFC 9112"))
            return
        if self.ended:
            return
        if self._fault is not None:
            self.refuse(self._fault)
        elif self.state is HEAD and state is HEAD:
            self._head_fed += len(piece)
            if self._head_fed > self._limits.head_bytes:
                self.refuse(self._too_long())
        elif self.state is BODY and self._head is not None:
            self._left = max(self._head.length - self._received, CHUNKED)
            if self._head is head and self._left == CHUNKED:
                self._framing += len(piece) - (self._received - received)
            if self._framing > _MOST_FRAMING + self._received // 2:
                self.refuse(malformed("long chunk extensions or trailers, or very small chunks"))
            elif self._head.reply is not None and not self._rest_is_here():
                self.refuse(self._head.reply)

    def close(self) -> None:
        """Let go of the parser, which holds our methods."""
        self.end()
        self.ready.clear()
        del self._parser

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        self.state = HEAD
        self._headers = {}
        self._target = b""
        self._count = self._head_size = self._head_fed = 0

    def on_url(self, part: bytes) -> None:
        """The target, or a part of it."""
        self._target += part
        self._head_size += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after a chunked body, which is dropped."""
        if self.state is not HEAD:
            return
        self._count += 1
        self._head_size += len(name) + len(value) + 4
        key = _NAMES.get(name) or name.lower().decode("latin-1")
        text = value.decode("latin-1").rstrip(" \t")
        headers = self._headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """Judge the head before its body is read."""
        parser, limits = self._parser, self._limits
        self.state = BODY
        if self._fault is not None:
            return
        self._head = None
        self._body = b""
        self._received = self._framing = 0
        self._method = parser.get_method().decode()
        if self._count > limits.headers or self._head_size > limits.head_bytes:
            self._fault = self._too_long()
            return
        version, target = parser.get_http_version(), self._target.decode("latin-1")
        try:
            self._head = read_head(self._method, target, version, self._headers, self._routes)
        except ValueError as error:
            self._fault = malformed(str(error))
            return
        self._expects = "expect" in self._headers and version != "1.0"

    def on_body(self, part: bytes) -> None:
        """A part of the body; nothing is kept of one that nobody will see."""
        size = self._received = self._received + len(part)
        head = self._head
        if head is None or head.served is None or head.reply is not None:
            return
        if size > head.served.route.max_body:
            self._body = b""
            self._head = Head(
                path=head.path,
                served=head.served,
                length=head.length,
                reply=too_large(head.served.route.max_body),
                extra=head.extra,
            )
        elif not self._body:
            self._body = part
        elif isinstance(self._body, list):
            self._body.append(part)
        else:
            self._body = [self._body, part]

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.state = IDLE
        self._left = 0
        head = self._head
        if head is None or self.ended or self._fault is not None:
            return
        exchange = Exchange(head, head.reply)
        exchange.with_body = self._method != "HEAD"
        # Asked here, not at the head: a trailer may say close, and the parser heeds it.
        keep = exchange.keep = self._parser.should_keep_alive()
        if keep and "connection" in self._headers:
            exchange.extra += "Connection: keep-alive\r\n"
        if head.reply is None:
            exchange.request = self._request(head)
        self._head = None
        self._body = b""
        self.ready.append(exchange)
        if not keep:
            self.end()

    def _request(self, head: Head) -> Request:
        body, address = self._body, self._address
        if self._proxies is not None:
            address = self._proxies.client(address, self._headers.get("x-forwarded-for", ""))
        return Request(
            method=self._method,
            path=head.path,
            target=self._target.decode("latin-1"),
            headers=self._headers,
            query=head.query,
            body=b"".join(body) if isinstance(body, list) else body,
            address=address,
            client=self._client,
            path_params=head.params,
        )

    def _next_piece(self) -> bytes:
        # Cut so that hardly more than one request becomes complete in a piece: at the end of a
        # body whose length is known, and at a blank line where another one follows.
        data, start = self.unread, self._offset
        end = start + _PIECE
        if self.state is not BODY:
            blank = data.find(_BLANK_LINE, start)
            if 0 <= blank < end and data.find(_BLANK_LINE, blank + 4) >= 0:
                end = min(end, blank + 4)
        elif self._left >= 0:
            end = start + self._left
        else:
            blank = data.find(_BLANK_LINE, start + _CHUNKED_PIECE)
            end = end if blank < 0 else min(end, blank + 4)
        if end >= len(data):
            self.unread = b""
            self._offset = 0
            return data[start:] if start else data
        self._offset = end
        return data[start:end]

    def _rest_is_here(self) -> bool:
        # A body that came along is read past, so that the connection can be kept.
        return 0 <= self._left <= len(self.unread) - self._offset

    def _too_long(self) -> Reply:
        limits = self._limits
        return malformed(
            f"the head has more than {limits.head_bytes} bytes or {limits.headers} headers"
        )
