"""Comparing what a caller shows with what only the right caller can know; fails closed."""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from hmac import compare_digest

from msgspec import Struct

from reactor.connectors.http.config import Secrets
from reactor.model.http import Request

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_MOST_SIGNATURES = 16


class Unverified(Exception):
    """The request does not prove who sent it; the text is for the log, never for the sender."""


class Sender(Struct, frozen=True, gc=False):
    """Who sent a request that was verified.

    `name` scopes the ids that the sender gives. `id` is unique for the delivery: the scheme's own
    or, where the scheme signs the time but no id, the signature itself, so that a recorded request
    that is sent again is a duplicate.
    """

    name: str
    id: str | None = None


Check = Callable[[Request, int], Sender]


class Verifier(Struct, frozen=True):
    """How a route checks its callers.

    `check(request, now in seconds)` raises Unverified. `hidden` are the headers and `hidden_query`
    the query name that carry proof and must not be stored. `body_id` names the member of a JSON
    body that is the delivery's id, where that is signed. `realm` is the WWW-Authenticate of a 401.
    """

    check: Check
    hidden: frozenset[str] = frozenset()
    hidden_query: str | None = None
    body_id: str | None = None
    realm: str | None = None


def keys_of(config: Secrets) -> list[bytes]:
    """The secrets as bytes."""
    return [secret.encode() for secret in config.secrets]


def shown(request: Request, name: str) -> str:
    """The value of a header that must be there."""
    value = request.headers.get(name)
    if not value:
        raise Unverified(f"no {name} header")
    return value


def first_header(request: Request, names: Iterable[str]) -> str | None:
    """The first of these headers that is there."""
    return next((value for name in names if (value := request.headers.get(name))), None)


def match(given: list[str], expected: Iterable[str | bytes]) -> str:
    """The given text that equals an expected one, compared in constant time."""
    few(given)
    wanted = [text.encode() if isinstance(text, str) else text for text in expected]
    for text in given:
        # Headers were read as Latin-1, so this gives back the bytes that were sent.
        raw = text.encode("latin-1", "replace")
        if any(compare_digest(raw, right) for right in wanted):
            return text
    raise Unverified("no secret or signature matches")


def few(given: list[str]) -> None:
    """Refuse a list of signatures that only costs time."""
    if len(given) > _MOST_SIGNATURES:
        raise Unverified(f"more than {_MOST_SIGNATURES} signatures")


def in_time(text: str, now: int, tolerance_secs: float) -> None:
    """Refuse a time that is malformed, too old or too far ahead."""
    if not _TIMESTAMP.fullmatch(text):
        raise Unverified("the timestamp is no number of seconds")
    if abs(now - int(text)) > tolerance_secs:
        raise Unverified("the timestamp is outside the tolerance")


def hex_hmac(key: bytes, data: bytes) -> str:
    """HMAC-SHA256 in hexadecimal."""
    return hmac.digest(key, data, "sha256").hex()


def base64_hmac(key: bytes, data: bytes) -> str:
    """HMAC-SHA256 in base64."""
    return to_base64(hmac.digest(key, data, "sha256"))


def to_base64(data: bytes) -> str:
    """Base64 with padding."""
    return b64encode(data).decode()


def from_base64(text: str) -> bytes | None:
    """The bytes of strict base64, or None."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def authorization(request: Request, scheme: str) -> str:
    """What follows the scheme in Authorization."""
    found, _, value = shown(request, "authorization").partition(" ")
    if found.lower() != scheme or not value.strip():
        raise Unverified(f"Authorization is not {scheme}")
    return value.strip()


def fingerprint(secret: bytes) -> str:
    """A name for a caller that does not tell what it showed."""
    return hashlib.blake2b(secret, digest_size=9).hexdigest()
