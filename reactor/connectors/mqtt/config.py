"""Where a broker is and what may be asked of it; needs no library."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from reactor.errors import NotFound, SourceFailed
from reactor.plugin.context import Connection
from reactor.plugin.decode import DecodeFailed, decode
from reactor.plugin.reach import Tls
from reactor.plugin.spec import Complaint, Config, doc

Version = Literal[5, "3.1.1"]

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Server(Config, frozen=True, kw_only=True):
    """An MQTT broker."""

    url: Annotated[
        str,
        doc(
            "mqtt://USER:PASSWORD@HOST:1883; mqtts:// with TLS, on port 8883.",
            "mqtt://reactor:${{ secrets.mqtt }}@127.0.0.1",
            strict=True,
        ),
    ]
    tls: Annotated[Tls | None, doc("What mqtts:// checks and shows.")] = None
    version: Annotated[Version, doc("The version of the protocol.", form="literal")] = 5


class At(Config, frozen=True, kw_only=True):
    """Which broker."""

    url: Annotated[
        str | None,
        doc(
            "mqtt://USER:PASSWORD@HOST:1883; mqtts:// with TLS, on port 8883.",
            "mqtt://127.0.0.1",
            strict=True,
            authored=True,
        ),
    ] = None
    connection: Annotated[
        str | None,
        doc("In place of url: a connection of kind mqtt of reactor.yaml.", "home", form="literal"),
    ] = None
    tls: Annotated[Tls | None, doc("What mqtts:// checks and shows.")] = None
    version: Annotated[
        Version | None, doc("The version of the protocol, else the connection's.", form="literal")
    ] = None


class Address(Struct, frozen=True):
    """A URL, taken apart."""

    host: str
    port: int
    user: str | None
    password: str | None
    secure: bool

    def __str__(self) -> str:
        return f"mqtt {self.host}:{self.port}"


def complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a broker as written."""
    url = written.get("url")
    if isinstance(url, str) and "${{" not in url.partition(":")[0]:
        scheme = url.partition("://")[0]
        if scheme not in _PORTS:
            yield ("url",), f"{url!r} is no address of a broker: write mqtt://HOST or mqtts://HOST"
    if "url" in written and "connection" in written:
        yield ("connection",), "url and connection both say where the broker is: give one of them"


def server_of(config: At, find: Callable[[str, str | None], Connection]) -> Server:
    """The broker that a source or an action names; `SourceFailed` if it names none."""
    if config.url is not None:
        return Server(url=config.url, tls=config.tls, version=config.version or 5)
    try:
        found = find("mqtt", config.connection)
    except NotFound as error:
        raise SourceFailed(f"{error}, or url: mqtt://HOST") from error
    given = dict(found.config)
    if config.version is not None:
        given["version"] = config.version
    try:
        server: Server = decode(given, Server)
    except DecodeFailed as error:
        raise SourceFailed(f"connection {found.name}: {error}") from error
    return server


def address_of(server: Server) -> Address:
    """Where a broker is; ValueError if the URL does not say."""
    parts = urlsplit(server.url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("the url is no address of a broker: write mqtt://HOST or mqtts://HOST")
    return Address(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        secure=parts.scheme == "mqtts" or server.tls is not None,
    )
