"""Schemes about the caller itself: twilio (what it was told to call), ip and mtls."""

import hashlib
import hmac
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from urllib.parse import parse_qsl

from reactor.connectors.http.config import Twilio
from reactor.connectors.http.proof import (
    Sender,
    Unverified,
    Verifier,
    keys_of,
    match,
    shown,
    to_base64,
)
from reactor.model.http import Request

_MOST_FIELDS = 1000
_PORTS = {"https": ":443", "http": ":80"}
_FORM = "application/x-www-form-urlencoded"
_TOKEN = "i-twilio-idempotency-token"  # noqa: S105 -- a header's name


def twilio(config: Twilio) -> Verifier:
    """X-Twilio-Signature: HMAC-SHA1 over the address that Twilio calls and the sorted form."""
    keys = keys_of(config)
    base = None if config.url is None else config.url.rstrip("/")

    def check(request: Request, now: int) -> Sender:
        given = shown(request, "x-twilio-signature")
        form = _form(request)
        signed = [(url + form).encode("utf-8", "replace") for url in _urls(request, base)]
        digests = (hmac.digest(key, text, "sha1") for key in keys for text in signed)
        match([given], map(to_base64, digests))
        _check_digest(request)
        return Sender("twilio", request.headers.get(_TOKEN))

    return Verifier(check, frozenset({"x-twilio-signature"}))


def _urls(request: Request, base: str | None) -> Iterator[str]:
    """What Twilio may have called; it writes the usual port or leaves it out."""
    if base is not None:
        yield base + request.target
        return
    host = request.headers.get("host", "")
    for scheme, usual in _PORTS.items():
        bare = host.removesuffix(usual)
        yield f"{scheme}://{bare}{request.target}"
        yield f"{scheme}://{bare}{usual}{request.target}"
        if bare != host or ":" not in host:
            continue
        # A listener of its own port behind a proxy that hides it.
        yield f"{scheme}://{host.rpartition(':')[0]}{request.target}"


def _form(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        return ""
    try:
        text = request.body.decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise Unverified("the form cannot be read") from error
    return "".join(name + value for name, value in sorted(set(pairs)))


def _check_digest(request: Request) -> None:
    """A body that is no form is signed by its digest, which is part of the address."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _FORM or not request.body:
        return
    wanted = request.query.get("bodySHA256")
    if not isinstance(wanted, str):
        raise Unverified("the body is not signed: bodySHA256 is missing")
    match([wanted.lower()], [hashlib.sha256(request.body).hexdigest()])


def ip(networks: list[str]) -> Verifier:
    """The caller's address, as `server.trusted_proxies` makes it known, is in a network."""
    try:
        allowed = [ip_network(each.strip()) for each in networks]
    except ValueError as error:
        raise ValueError(f"verify ip: {error}: write addresses or networks: 10.0.0.0/8") from error

    def check(request: Request, now: int) -> Sender:
        try:
            address = ip_address(request.address)
        except ValueError as error:
            raise Unverified("the caller has no address") from error
        if not any(address in network for network in allowed):
            raise Unverified("the caller's address is not on the list")
        return Sender(request.address)

    return Verifier(check)


def mtls(names: list[str]) -> Verifier:
    """A client certificate that `server.tls.client_ca` vouches for, with one of these names."""

    def check(request: Request, now: int) -> Sender:
        if not request.client:
            raise Unverified("no client certificate, or server.tls.client_ca knows none")
        for name in names:
            if name == "*" or name in request.client:
                return Sender(request.client[0])
        raise Unverified("the client certificate has another name")

    return Verifier(check)
