"""Connections to Redis: where a server is, one line to it, and what its failures mean."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Struct

from reactor.errors import NotFound, SourceFailed
from reactor.plugin.context import Connection
from reactor.plugin.decode import DecodeFailed, decode
from reactor.plugin.reach import Tls, shown_url, tls_context, why
from reactor.plugin.spec import Complaint, Config, connection, doc

CONNECT_SECS = 5.0
REPLY_SECS = 10.0
_SCHEMES = ("redis", "rediss", "unix")
# What a server answers that will do better soon.
_PASSING = ("LOADING", "BUSY ", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM")
_REFUSED = ("NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR invalid password")

Word = str | bytes | int | float


class Server(Config, frozen=True, kw_only=True):
    """A Redis server."""

    url: Annotated[
        str,
        doc(
            "redis://USER:PASSWORD@HOST:PORT/DB; rediss:// with TLS, unix:///PATH for a socket.",
            "redis://reactor:${{ secrets.redis }}@127.0.0.1:6379/0",
            strict=True,
        ),
    ]
    tls: Annotated[Tls | None, doc("What rediss:// checks and shows.")] = None


class At(Config, frozen=True, kw_only=True):
    """Which server."""

    url: Annotated[
        str | None,
        doc(
            "redis://USER:PASSWORD@HOST:PORT/DB; rediss:// with TLS, unix:///PATH for a socket.",
            "redis://127.0.0.1:6379/0",
            strict=True,
            authored=True,
        ),
    ] = None
    connection: Annotated[
        str | None,
        doc("In place of url: a connection of kind redis of reactor.yaml.", "main", form="literal"),
    ] = None
    tls: Annotated[Tls | None, doc("What rediss:// checks and shows.")] = None


class Fault(Struct, frozen=True):
    """What a failure means: `lost` may pass by itself, the rest only when somebody mends it."""

    message: str
    lost: bool


def complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a server as written."""
    url = written.get("url")
    if isinstance(url, str) and "${{" not in url.partition(":")[0]:
        scheme = url.partition("://")[0]
        if scheme not in _SCHEMES:
            yield ("url",), f"{url!r} is no address of a Redis: write redis://HOST:6379"
    if "url" in written and "connection" in written:
        yield ("connection",), "url and connection both say where the server is: give one of them"


def server_of(config: At, find: Callable[[str, str | None], Connection]) -> Server:
    """The server that a source or an action names; `SourceFailed` if it names none."""
    if config.url is not None:
        return Server(url=config.url, tls=config.tls)
    try:
        found = find("redis", config.connection)
    except NotFound as error:
        raise SourceFailed(f"{error}, or url: redis://HOST:6379") from error
    try:
        server: Server = decode(found.config, Server)
    except DecodeFailed as error:
        raise SourceFailed(f"connection {found.name}: {error}") from error
    return server


def options(server: Server) -> tuple[Any, dict[str, Any]]:
    """The library's class and arguments for connections to a server, its own retries off."""
    from redis.asyncio.connection import Connection as Plain
    from redis.asyncio.connection import SSLConnection, parse_url
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    try:
        given: dict[str, Any] = dict(parse_url(server.url))
        if server.tls is not None:
            tls_context(server.tls)  # says which file is wrong, which the library does not
    except ValueError as error:
        raise SourceFailed(f"redis: {error}") from error
    class_ = given.pop("connection_class", Plain)
    if server.tls is not None:
        class_ = SSLConnection
        given |= {
            "ssl_ca_certs": server.tls.ca,
            "ssl_certfile": server.tls.cert,
            "ssl_keyfile": server.tls.key,
            "ssl_cert_reqs": "required" if server.tls.verify else "none",
            "ssl_check_hostname": server.tls.verify,
        }
    given |= {
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECS,
        # We bound each wait ourselves: the library's way, `wait_for`, loses cancellations.
        "socket_timeout": None,
        "protocol": 2,
    }
    return class_, given


def address_of(server: Server) -> str:
    """A server for messages, without its password."""
    parts = urlsplit(server.url)
    if parts.scheme == "unix":
        return f"redis {parts.path}"
    host = shown_url(server.url).partition("://")[2].partition("/")[0]
    return f"redis {host}" if ":" in host else f"redis {host}:6379"


def fault(error: BaseException, address: str) -> Fault:
    """What a failure of the library means, in words."""
    from redis.exceptions import AuthenticationError, AuthorizationError, ResponseError

    text = str(error)
    if isinstance(error, AuthenticationError | AuthorizationError) or text.startswith(_REFUSED):
        return Fault(f"{address} refuses the login: {text}", lost=False)
    if isinstance(error, ResponseError):
        return Fault(f"{address} answers: {text}", lost=text.startswith(_PASSING))
    message = why(error, address)
    return Fault(message, lost="certificate" not in message)


class Line:
    """One connection. Commands go out and replies come back in order; any failure closes it."""

    def __init__(self, library: Any, address: str) -> None:
        self._library = library
        self.address = address

    async def ask(self, *command: Word, within_secs: float = REPLY_SECS) -> Any:
        """The reply to one command; `SourceFailed` if there is none, or if it is an error."""
        (reply,) = await self.ask_all([command], within_secs=within_secs)
        if isinstance(reply, Exception):
            raise self.failed(reply) from reply
        return reply

    async def ask_all(
        self, commands: Sequence[Sequence[Word]], *, within_secs: float = REPLY_SECS
    ) -> list[Any]:
        """The replies to commands sent at once; an error of the server is a reply too."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(within_secs):
                packed = self._library.pack_commands(commands)
                await self._library.send_packed_command(packed)
                return [await self._reply() for _ in commands]
        except (RedisError, OSError) as error:
            raise self.failed(error) from error

    async def hear(self) -> Any:
        """What the server says next by itself; waits for it."""
        from redis.exceptions import RedisError

        try:
            return await self._library.read_response()
        except (RedisError, OSError) as error:
            raise self.failed(error) from error

    async def say(self, *command: Word) -> None:
        """Send a command whose reply `hear` will bring."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(REPLY_SECS):
                await self._library.send_command(*command)
        except (RedisError, OSError) as error:
            raise self.failed(error) from error

    def failed(self, error: BaseException) -> SourceFailed:
        """What the library raised, or an error that the server answered, as a source's failure."""
        meant = fault(error, self.address)
        return SourceFailed(meant.message, lost=meant.lost)

    async def _reply(self) -> Any:
        from redis.exceptions import ResponseError

        try:
            return await self._library.read_response()
        except ResponseError as error:
            return error


@asynccontextmanager
async def line_to(server: Server) -> AsyncIterator[Line]:
    """A connection of its own, closed at the end and never reused; `SourceFailed` says why not."""
    from redis.exceptions import RedisError

    class_, given = options(server)
    library = class_(**given)
    line = Line(library, address_of(server))
    try:
        try:
            async with asyncio.timeout(CONNECT_SECS):
                await library.connect()
        except (RedisError, OSError) as error:
            raise line.failed(error) from error
        yield line
    finally:
        # Without a wait: the other side may never answer the goodbye.
        await library.disconnect(nowait=True)


@connection("redis")
async def redis(config: Server) -> str:
    """A Redis server."""
    async with line_to(config) as line:
        said = await line.ask("INFO", "server")
    found = dict(part.split(b":", 1) for part in said.splitlines() if b":" in part)
    return f"{line.address} answers: Redis {found.get(b'redis_version', b'?').decode()}"
