"""Reaching a server: its TLS options, and why it was not reached, in words."""

import errno
import socket
import ssl
from typing import Annotated
from urllib.parse import urlsplit

from reactor.plugin.spec import Config, doc

_WHY = {
    errno.ECONNREFUSED: "refuses connections: does it run, and on this port",
    errno.EHOSTUNREACH: "cannot be reached from here",
    errno.ENETUNREACH: "cannot be reached from here",
    errno.ETIMEDOUT: "does not answer",
    errno.ECONNRESET: "broke the connection off",
    errno.EPIPE: "broke the connection off",
}


class Tls(Config, frozen=True):
    """How a server proves who it is, and we to it."""

    ca: Annotated[
        str | None,
        doc("PEM file of who signed the server's certificate; the machine's own list without it."),
    ] = None
    cert: Annotated[str | None, doc("PEM file with our certificate.")] = None
    key: Annotated[str | None, doc("PEM file with our certificate's private key.")] = None
    verify: Annotated[
        bool, doc("Whether the server's certificate must be good and carry its host name.")
    ] = True


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What the standard library takes; ValueError names the file that does not do."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"tls.ca {tls.ca}: {_text(error)}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert is not None:
        try:
            context.load_cert_chain(tls.cert, tls.key)
        except (OSError, ssl.SSLError) as error:
            files = " with ".join(filter(None, (tls.cert, tls.key)))
            raise ValueError(f"tls.cert {files}: {_text(error)}") from error
    return context


def shown_url(url: str) -> str:
    """A URL for messages and names: without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def why(error: BaseException, address: str) -> str:
    """Why a server was not reached or was lost, from whatever a library raised for it."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{address}: its certificate is refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            said = str(getattr(cause, "reason", None) or cause)
            if "ALERT" in said and ("CERTIFICATE" in said or "UNKNOWN_CA" in said):
                return f"{address} wants a certificate of ours that it trusts (tls.cert): {said}"
            return f"{address}: TLS failed ({said}): does the port speak TLS"
        if isinstance(cause, socket.gaierror):
            return f"{address}: there is no such host ({cause.strerror})"
        if isinstance(cause, TimeoutError):
            return f"{address} does not answer"
        if isinstance(cause, OSError) and cause.errno in _WHY:
            return f"{address} {_WHY[cause.errno]}"
    return f"{address}: {error}" if str(error) else f"{address}: {type(error).__name__}"


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop(0)
        if one is None or one in found:
            continue
        found.append(one)
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
    return found


def _text(error: OSError) -> str:
    return error.strerror or str(error)
