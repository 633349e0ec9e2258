"""The webhook listener: a socket, its connections, and the second hand that ends slow ones."""

import asyncio
import ssl
from collections.abc import Sequence
from email.utils import formatdate

from reactor.clock import Clock
from reactor.errors import BadConfig
from reactor.web.address import Proxies
from reactor.web.connection import Connection, Floor
from reactor.web.reading import Limits
from reactor.web.routes import PathTable

_SWEEP_SECS = 1.0
_BACKLOG = 1024
_DEFAULTS = Limits()


class Listener:
    """Serves a path table over HTTP/1.1, on any event loop.

    `port` 0 takes a free one. `tls` is a server's context. Deadlines are kept by one timer a second
    for all connections, so they are exact to a second.
    """

    def __init__(
        self,
        routes: PathTable,
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        trusted_proxies: Sequence[str] = (),
        limits: Limits = _DEFAULTS,
        sweep_secs: float = _SWEEP_SECS,
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._host = host
        self._port = port
        self._tls = tls
        self._proxies = Proxies(trusted_proxies)
        self._limits = limits
        self._sweep_secs = sweep_secs
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self) -> tuple[str, int]:
        """Listen; the host and port that clients reach. BadConfig when the address is taken."""
        loop = asyncio.get_running_loop()
        self._floor = Floor(self._routes, self._limits, self._proxies, loop.time())
        self._sweep(loop)
        try:
            self._server = await loop.create_server(
                lambda: Connection(self._floor),
                self._host,
                self._port,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else self._limits.head_secs,
                backlog=_BACKLOG,
            )
        except (OSError, OverflowError) as error:
            self.close()
            raise BadConfig(
                f"server.listen {self._host}:{self._port}: {error}; "
                "choose another address, or end what listens there"
            ) from error
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._floor.open)

    async def drain(self, secs: float) -> bool:
        """Take nothing new and let running requests have their answers.

        New requests on open connections are answered 503, each answer closes its connection.
        False when some had none within `secs`.
        """
        floor = self._floor
        floor.draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(floor.open):
            connection.drain()
        try:
            async with asyncio.timeout(secs):
                while floor.open:
                    floor.emptied.clear()
                    await floor.emptied.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._floor.open):
            connection.abort()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        floor = self._floor
        floor.now = loop.time()
        date = formatdate(self._clock.now_ms() / 1000, usegmt=True)
        floor.date = b"Date: %b\r\n" % date.encode()
        for connection in tuple(floor.open):
            connection.sweep()
        self._sweeper = loop.call_later(self._sweep_secs, self._sweep, loop)
