"""The door for webhooks: its address, its certificate, and the file that tells where it is."""

import ipaddress
import logging
import ssl
from contextlib import suppress
from pathlib import Path

from reactor.clock import Clock
from reactor.errors import BadConfig
from reactor.settings import Settings, split_address
from reactor.web.listener import Listener
from reactor.web.reading import Limits
from reactor.web.routes import PathTable

_LOG = logging.getLogger("reactor.daemon")


def make_listener(settings: Settings, routes: PathTable, clock: Clock) -> Listener:
    """The listener as the settings want it, not open yet; BadConfig names what cannot be."""
    server = settings.server
    host, port = split_address(server.listen)
    return Listener(
        routes,
        clock,
        host=host,
        port=port,
        tls=_tls(settings),
        trusted_proxies=server.trusted_proxies,
        limits=Limits(connections=server.max_connections),
    )


def shown_address(host: str, port: int) -> str:
    """`127.0.0.1:8787` or `[::1]:8787`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Plate:
    """The file `listen` in the state folder: there as long as the daemon serves."""

    def __init__(self, state: Path) -> None:
        self._file = state / "listen"

    def hang(self, address: str) -> None:
        """Write the address; a reader sees all of it or nothing."""
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(f"{address}\n")
            fresh.replace(self._file)
        except OSError as error:  # a full disk is no reason not to serve
            facts = {"file": str(self._file), "error": str(error)}
            _LOG.warning("the address could not be written down", extra=facts)

    def take_off(self) -> None:
        """Remove it; also what a killed daemon left behind."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    tls = settings.server.tls
    if tls.cert is None or tls.key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        message = (
            f"server.tls: {tls.cert} and {tls.key} cannot be used ({error}): name two PEM files"
        )
        raise BadConfig(message) from error
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            message = f"server.tls.client_ca: {tls.client_ca} cannot be used ({error})"
            raise BadConfig(message) from error
        # Asked for, not demanded: routes with another scheme need none.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
