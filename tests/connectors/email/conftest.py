"""A mail server on this machine that remembers what it was given."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from reactor.plugin.context import Connection


class Office:
    """The server's end: what it took, and what it answers instead of taking it."""

    def __init__(self) -> None:
        self.port = 0
        self.taken: list[Any] = []
        self.refuse: dict[str, str] = {}
        self.logins: list[tuple[bytes, bytes]] = []
        self.answer = "250 taken"
        self.reading = asyncio.Event()

    def message(self) -> EmailMessage:
        """The only message that it took."""
        (envelope,) = self.taken
        return message_from_bytes(envelope.content, policy=policy.default)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.answer.startswith("2"):
            self.taken.append(envelope)
        return self.answer

    def log_in(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)


@asynccontextmanager
async def opened(office: Office, **options: Any) -> AsyncIterator[Office]:
    """The server, on a free port."""
    wrapped, loop = options.pop("ssl", None), asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(office, hostname="office.test", loop=loop, **options)

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=wrapped)
    office.port = server.sockets[0].getsockname()[1]
    async with server:
        yield office


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    """A server without encryption."""
    async with opened(Office()) as each:
        yield each


@pytest.fixture
def mail(attempt: Any) -> Callable[..., None]:
    """Sets the attempt's only smtp connection."""

    def connect(office: Office, **config: Any) -> None:
        config = {"host": "127.0.0.1", "port": office.port, "from": "shop@example.org", **config}
        attempt.connections["mail"] = Connection(name="mail", kind="smtp", config=config)

    return connect


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody else believes, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "office.test")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(signed.public_bytes(Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return str(file), context
