"""Why a server was not reached, in words."""

import errno
import socket
import ssl

import pytest

from reactor.plugin.decode import decode
from reactor.plugin.reach import Tls, shown_url, tls_context, why


def wrapped(cause):
    """As libraries raise it: their own error, with the real one behind it."""
    try:
        try:
            raise cause
        except OSError as error:
            raise RuntimeError("could not connect") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), "db:1 refuses connections"),
        (ConnectionResetError(errno.ECONNRESET, "no"), "db:1 broke the connection off"),
        (socket.gaierror(-2, "Name or service not known"), "db:1: there is no such host"),
        (TimeoutError(), "db:1 does not answer"),
        (ssl.SSLError(1, "wrong version number"), "does the port speak TLS"),
        (ssl.SSLError(1, "SSLV3_ALERT_BAD_CERTIFICATE"), "wants a certificate of ours"),
        (OSError("odd"), "could not connect"),
    ],
)
def test_the_cause_behind_is_found(error, words):
    """Whatever a library wraps it in."""
    assert words in why(wrapped(error), "db:1")


def test_a_group_of_errors_is_looked_into():
    """As when several addresses were tried."""
    group = ExceptionGroup("all failed", [ConnectionRefusedError(errno.ECONNREFUSED, "no")])

    assert "refuses connections" in why(group, "db:1")


def test_a_url_is_shown_without_its_password():
    """Neither user nor password."""
    assert shown_url("redis://ann:s3cret@db:1/0?a=b") == "redis://db:1/0?a=b"


@pytest.mark.parametrize("field", ["ca", "cert"])
def test_a_missing_file_is_named(field):
    """The option and the file."""
    with pytest.raises(ValueError, match=rf"tls.{field} /nowhere.pem: No such file"):
        tls_context(decode({field: "/nowhere.pem"}, Tls))


def test_verification_can_be_left_out():
    """`verify: false` takes any certificate."""
    context = tls_context(Tls(verify=False))

    assert context.verify_mode == ssl.CERT_NONE
