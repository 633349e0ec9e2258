"""How a message reaches an SMTP server: one conversation, encrypted unless told otherwise."""

import asyncio
import ssl
from contextlib import suppress
from typing import Annotated, Literal

from aiosmtplib import SMTP, SMTPException, SMTPResponseException
from msgspec import Struct

from reactor.errors import ActionFailed
from reactor.plugin.spec import Config, doc

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_QUIET_SECS = 30.0
_LONGEST_REASON = 300


class Server(Config, frozen=True, rename={"from_": "from"}):
    """An SMTP server, as `connections:` of reactor.yaml has it."""

    host: Annotated[str, doc("The server.", "smtp.example.org")]
    port: Annotated[int | None, doc("Its port; 587, with tls 465, with none 25.")] = None
    tls: Annotated[
        Literal["starttls", "tls", "none"], doc("How the conversation is hidden from others.")
    ] = "starttls"
    ca: Annotated[str | None, doc("A file with the authority of its certificate.")] = None
    user: Annotated[str | None, doc("Who logs in.")] = None
    password: Annotated[str | None, doc("With which password.")] = None
    from_: Annotated[str | None, doc("Who sends what names no sender.")] = None


class Envelope(Struct, frozen=True):
    """Whom a message is from and for, beside the message itself."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes


async def deliver(server: Server, envelope: Envelope) -> None:
    """Hand a message over, to all recipients or to none.

    When the caller is cancelled the conversation is broken off. Raises `ActionFailed` of kind
    `smtp` or `denied`.
    """
    if server.password is not None and server.tls == "none":
        raise ActionFailed(
            f"{server.host}: a password is not sent for all to read: write tls: starttls or tls",
            kind="denied",
        )
    port = server.port or _PORTS[server.tls]
    where = f"{server.host}:{port}"
    try:
        client = SMTP(
            hostname=server.host,
            port=port,
            username=server.user,
            password=server.password if server.user is not None else None,
            timeout=_QUIET_SECS,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=await asyncio.to_thread(ssl.create_default_context, cafile=server.ca),
        )
        try:
            await client.connect()
            await _hand_over(client, envelope)
            with suppress(SMTPException, OSError):  # it has the message, whatever it says now
                await client.quit()
        finally:
            client.close()
    except SMTPResponseException as error:
        raise ActionFailed(
            f"{where}: answered {error.code} {_text(error.message)}",
            kind="smtp",
            status=error.code,
            transient=400 <= error.code < 500,
        ) from error
    except (SMTPException, OSError) as error:
        # A certificate that does not fit, or a word that the server does not know, stays so.
        causes = (error, error.__cause__)
        stranger = any(isinstance(each, ssl.SSLCertVerificationError) for each in causes)
        lasting = stranger or not isinstance(error, OSError)
        reason = _text(str(error)) or type(error).__name__
        raise ActionFailed(f"{where}: {reason}", kind="smtp", transient=not lasting) from error


async def _hand_over(client: SMTP, envelope: Envelope) -> None:
    await client.mail(envelope.sender)
    for recipient in envelope.recipients:
        # The first that is refused ends it: nobody has the message yet.
        await client.rcpt(recipient)
    await client.data(envelope.message)


def _text(said: str) -> str:
    return " ".join(said.split())[:_LONGEST_REASON]
