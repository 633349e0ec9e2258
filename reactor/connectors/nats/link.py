"""A connection to NATS that ends when the server is lost: whoever needs it makes a new one."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import msgspec
from nats.aio.client import Client
from nats.errors import AuthorizationError, Error, SecureConnRequiredError, SecureConnWantedError

from reactor.connectors.nats.keys import Key, key_of_file, key_of_seed
from reactor.connectors.nats.servers import Login, Servers, login_complaint
from reactor.errors import SourceFailed
from reactor.plugin.reach import Tls, shown_url, tls_context, why

T = TypeVar("T")

_CONNECT_SECS = 3
_ALL_SECS = 8.0
# A server that is silent for two of these is lost.
_PING_SECS = 10
_CLOSE_SECS = 0.5
_LOGIN = ("user", "password", "token")


class Link:
    """One connection, and whether it still is one.

    The library is told not to reconnect: it would drop what was on its way without a word.
    """

    def __init__(self) -> None:
        self.client = Client()
        self.ended = asyncio.Event()
        self.reason: BaseException | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server is there, as far as we know."""
        return self.client.is_connected and not self.ended.is_set()

    def check(self) -> None:
        """Raise if the server was lost."""
        if not self.is_open:
            reason = "" if self.reason is None else f": {self.reason}"
            raise SourceFailed(f"the server was lost{reason}", lost=True)

    async def answer(self, work: Coroutine[Any, Any, T]) -> T:
        """What the server answers; `SourceFailed` as soon as it is lost, for then nothing comes."""
        asked = asyncio.create_task(work)
        ended = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait([asked, ended], return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                self.check()
            return await asked
        finally:
            asked.cancel()
            ended.cancel()
            await asyncio.gather(asked, ended, return_exceptions=True)

    async def connect(self, url: str, given: dict[str, Any], key: Key | None) -> None:
        """Connect to one server; whatever the library raises."""

        async def failed(error: Exception) -> None:
            self.reason = error

        def shown(secret: T) -> T:
            return self._over_tls(secret) if "tls" in given else secret

        login: dict[str, Any] = {
            name: partial(shown, given[name]) for name in _LOGIN if name in given
        }
        if key is not None:
            self.client._public_nkey = key.public  # noqa: SLF001
            login["signature_cb"] = lambda nonce: shown(key.sign(nonce))
            if key.jwt is not None:
                login["user_jwt_cb"] = partial(shown, key.jwt.encode())
        await self.client.connect(
            [url],
            name="reactor",
            error_cb=failed,
            allow_reconnect=False,
            # Or a server that refuses would be asked for two minutes.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_CONNECT_SECS,
            ping_interval=_PING_SECS,
            max_outstanding_pings=2,
            **{**given, **login},
        )
        # The library's own word of a loss comes late, or never if its last write fails as well.
        reading: Any = self.client._reading_task  # noqa: SLF001
        reading.add_done_callback(self._lose)
        if "tls" in given:
            self._over_tls("")

    def _lose(self, reading: "asyncio.Task[None]") -> None:
        raised = None if reading.cancelled() else reading.exception()
        self.reason = self.client.last_error or raised or self.reason
        self.ended.set()

    def _over_tls(self, secret: T) -> T:
        """The secret, unless the line is open to all: the library takes TLS for a wish."""
        if not self.client._server_info.get("tls_required"):  # noqa: SLF001
            raise SecureConnWantedError
        return secret

    async def close(self) -> None:
        """End it; a server that does not answer must not hold us up."""
        with suppress(TimeoutError, Error, OSError):
            async with asyncio.timeout(_CLOSE_SECS):
                await self.client.close()


async def connect(servers: Servers) -> Link:
    """A connection to the first server that takes us; `SourceFailed` says why none does."""
    # Files are read, and the machine's list of authorities takes long.
    given, key = await asyncio.to_thread(_options, servers)
    reasons = []
    with suppress(TimeoutError):
        async with asyncio.timeout(_ALL_SECS):
            for url in servers.servers:
                link = Link()
                try:
                    await link.connect(url, given, key)
                except (OSError, Error, ValueError) as error:
                    await link.close()
                    reasons.append(_why(link.reason or error, url, servers.login, key))
                else:
                    return link
    raise SourceFailed("; ".join(reasons) or f"no server answers in {_ALL_SECS:g} s", lost=True)


@asynccontextmanager
async def connected(servers: Servers) -> AsyncIterator[Link]:
    """A connection, for as long as the context is open."""
    link = await connect(servers)
    try:
        yield link
    finally:
        await link.close()


def _options(servers: Servers) -> tuple[dict[str, Any], Key | None]:
    given: dict[str, Any] = {}
    if servers.tls:
        try:
            given["tls"] = tls_context(Tls() if servers.tls is True else servers.tls)
        except ValueError as error:
            raise SourceFailed(str(error)) from error
    login = {} if servers.login is None else msgspec.structs.asdict(servers.login)
    login = {name: value for name, value in login.items() if value is not None}
    if wrong := login_complaint(login):
        raise SourceFailed(f"login: {wrong}")
    given |= {name: login[name] for name in _LOGIN if name in login}
    return given, _key(login)


def _key(login: Mapping[str, str]) -> Key | None:
    try:
        if "nkey" in login:
            return key_of_seed(login["nkey"])
        if "creds" in login:
            return key_of_file(login["creds"])
    except ValueError as error:
        there = "login.nkey" if "nkey" in login else f"login.creds {login['creds']}"
        raise SourceFailed(f"{there}: {error}") from error
    return None


def _why(error: BaseException, url: str, login: Login | None, key: Key | None) -> str:
    there = shown_url(url)
    text = str(error).lower()
    if isinstance(error, AuthorizationError) or "authorization" in text:
        return f"{there}: {_refused(url, login, key)}"
    if isinstance(error, SecureConnRequiredError) or "secure connection required" in text:
        return f"{there}: it speaks TLS only: set tls"
    if isinstance(error, SecureConnWantedError) or "secure connection not available" in text:
        return f"{there}: it speaks no TLS: drop tls"
    return why(error, there)


def _refused(url: str, login: Login | None, key: Key | None) -> str:
    if key is not None and key.jwt is None:
        return f"it knows no user with nkey {key.public}"
    if key is not None and login is not None:
        return f"it refuses {login.creds}: not of an account here, expired, or revoked"
    if login is None and "@" not in url:
        return "it wants a login: user and password, token, nkey or creds"
    return "the user, password or token is wrong"
