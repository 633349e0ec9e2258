"""One client's connection: requests are handled one at a time and answered in order."""

import asyncio
import logging
from collections import Counter

from reactor.failpoints import reach
from reactor.model.http import Reply
from reactor.web.address import Proxies, certified, plain
from reactor.web.reading import BODY, HEAD, IDLE, Exchange, Limits, Reader
from reactor.web.replies import CONTINUE, DRAINING, FAILED, FULL, TOO_SLOW, render
from reactor.web.routes import PathTable

_log = logging.getLogger(__name__)

_BURST = 16  # pipelined requests handled before other clients get their turn


class Floor:
    """What all connections of a listener share; the listener turns its clock once a second."""

    def __init__(self, routes: PathTable, limits: Limits, proxies: Proxies, now: float) -> None:
        self.routes = routes
        self.limits = limits
        self.proxies = proxies
        self.now = now
        self.date = b""
        self.draining = False
        self.open: set[Connection] = set()
        self.peers: Counter[str] = Counter()
        self.emptied = asyncio.Event()


class Connection(asyncio.Protocol):
    """Reads requests, calls routes, writes answers."""

    __slots__ = (
        "_address",
        "_advancing",
        "_choked",
        "_current",
        "_deadline",
        "_eof",
        "_floor",
        "_paused",
        "_reader",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._address = ""
        self._current: Exchange | None = None
        self._reader: Reader | None = None
        self._deadline = floor.now + floor.limits.head_secs
        self._advancing = self._choked = self._paused = self._eof = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, or turn it away when there are too many."""
        self._transport = transport  # type: ignore[assignment]  # a stream's, or this is no protocol
        floor, limits = self._floor, self._floor.limits
        peer = transport.get_extra_info("peername")
        address = self._address = plain(peer[0]) if peer else ""
        # All clients of a trusted proxy have one address here, so only the whole counts for them.
        proxied = floor.proxies.trusts(address)
        crowded = floor.peers[address] >= limits.per_address and not proxied
        if floor.draining or crowded or len(floor.open) >= limits.connections:
            reply = DRAINING if floor.draining else FULL
            self._transport.write(render(reply, floor.date, "", keep=False, with_body=True))
            transport.close()
            return
        floor.open.add(self)
        floor.peers[address] += 1
        self._reader = Reader(
            floor.routes,
            limits,
            address,
            floor.proxies if proxied else None,
            certified(transport.get_extra_info("peercert")),
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; whatever answers later speaks to nobody."""
        if self._current is not None:
            self._current.finish = None
            self._current = None
        if self._reader is None:
            return
        self._reader.close()
        self._reader = None
        floor = self._floor
        floor.open.remove(self)
        floor.peers[self._address] -= 1
        if not floor.peers[self._address]:
            del floor.peers[self._address]
        if not floor.open:
            floor.emptied.set()

    def data_received(self, data: bytes) -> None:
        """Read on, or keep the bytes while a request waits for its answer."""
        reader = self._reader
        if reader is not None and not reader.ended:
            reader.take(data)
            self._advance()

    def eof_received(self) -> bool:
        """The client may close its side and still wait for answers."""
        self._eof = True
        # Over TLS there is no half-closed connection.
        return (
            self._current is not None
            and self._reader is not None
            and self._transport.get_extra_info("sslcontext") is None
        )

    def pause_writing(self) -> None:
        """The client does not read its answers: handle nothing more until it does."""
        self._choked = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._choked = False
        self._advance()

    # What the listener calls.

    def sweep(self) -> None:
        """End the connection if its deadline has passed."""
        reader = self._reader
        if self._current is not None or reader is None or self._floor.now < self._deadline:
            return
        if self._choked or reader.ended or self._transport.is_closing():
            self._transport.abort()
        elif reader.state is IDLE:
            self._close()
        else:
            reader.refuse(TOO_SLOW)
            self._advance()

    def drain(self) -> None:
        """Close an idle connection; a busy one closes with its next answer."""
        if self._current is None and self._reader is not None and self._reader.state is IDLE:
            self._close()

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self._transport.abort()

    # Our own steps.

    def _advance(self) -> None:
        # One request at a time: the next one is parsed or handled when the last has its answer.
        reader = self._reader
        if reader is None or self._advancing:
            return
        self._advancing = True
        for _ in range(_BURST):
            if self._current is not None or self._choked:
                break
            if reader.ready:
                self._handle(reader.ready.popleft())
            elif reader.unread:
                self._parse(reader)
            else:
                break
        else:
            asyncio.get_running_loop().call_soon(self._advance)
        self._advancing = False
        hold = bool(reader.unread)
        if hold is not self._paused and not self._transport.is_closing():
            self._paused = hold
            if hold:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if self._eof and not (hold or self._current or reader.ready):
            self._close()

    def _parse(self, reader: Reader) -> None:
        before = reader.state
        reader.parse()
        if reader.state is not before:
            self._deadline = self._floor.now + self._allowed_secs(reader.state)
        if reader.expects_continue():
            self._transport.write(CONTINUE)

    def _handle(self, exchange: Exchange) -> None:
        self._current = exchange
        exchange.finish = self._finish
        head, request = exchange.head, exchange.request
        reach("a request is read")
        if exchange.reply is not None:
            exchange.respond(exchange.reply)
        elif self._floor.draining or head is None or head.served is None or request is None:
            exchange.respond(DRAINING)
        else:
            try:
                head.served.answer(request, exchange.respond)
            except Exception:  # noqa: BLE001 (a source's mistake must not end the connection)
                _log.exception("an answer failed", extra={"path": head.served.route.path})
                exchange.respond(FAILED)

    def _finish(self, exchange: Exchange, reply: Reply) -> None:
        floor, reader = self._floor, self._reader
        self._current = None
        if reader is None:
            return
        keep = exchange.keep and not floor.draining
        self._transport.write(
            render(reply, floor.date, exchange.extra, keep=keep, with_body=exchange.with_body)
        )
        reach("after an answer")
        if not keep:
            self._close(linger=exchange.linger)
            return
        self._deadline = floor.now + self._allowed_secs(reader.state)
        self._advance()

    def _allowed_secs(self, state: int) -> float:
        limits = self._floor.limits
        return {IDLE: limits.idle_secs, HEAD: limits.head_secs, BODY: limits.body_secs}[state]

    def _close(self, *, linger: bool = False) -> None:
        if self._reader is not None:
            self._reader.end()
        self._deadline = self._floor.now + self._floor.limits.linger_secs
        if linger and not self._eof and self._transport.can_write_eof():
            # Closing with bytes unread resets the connection, and the client never sees why.
            self._transport.write_eof()
        else:
            self._transport.close()
