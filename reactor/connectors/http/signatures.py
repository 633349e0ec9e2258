"""Schemes that sign the body: github, gitea, shopify, stripe, slack, standard-webhooks, hmac."""

import hmac
from collections.abc import Sequence

from reactor.connectors.http.config import Generic, Secrets, Timed
from reactor.connectors.http.proof import (
    Sender,
    Unverified,
    Verifier,
    base64_hmac,
    few,
    first_header,
    from_base64,
    hex_hmac,
    in_time,
    keys_of,
    match,
    shown,
    to_base64,
)
from reactor.model.http import Request


def github(config: Secrets) -> Verifier:
    """GitHub's X-Hub-Signature-256."""
    return _plain_hmac(
        config, "github", "x-hub-signature-256", prefix="sha256=", ids=("x-github-delivery",),
        also=("x-hub-signature",),
    )  # fmt: skip


def gitea(config: Secrets) -> Verifier:
    """Gitea's and Forgejo's X-Gitea-Signature."""
    return _plain_hmac(
        config, "gitea", "x-gitea-signature", prefix="", ids=("x-gitea-delivery",),
        also=("x-hub-signature", "x-hub-signature-256", "x-gogs-signature", "x-forgejo-signature"),
    )  # fmt: skip


def _plain_hmac(
    config: Secrets, name: str, header: str, *, prefix: str, ids: Sequence[str], also: Sequence[str]
) -> Verifier:
    keys = keys_of(config)

    def check(request: Request, now: int) -> Sender:
        given = shown(request, header)
        expected = (prefix + hex_hmac(key, request.body) for key in keys)
        match([given], expected)
        return Sender(name, first_header(request, ids))

    return Verifier(check, frozenset({header, *also}))


def shopify(config: Secrets) -> Verifier:
    """Shopify's X-Shopify-Hmac-SHA256."""
    keys = keys_of(config)
    header = "x-shopify-hmac-sha256"

    def check(request: Request, now: int) -> Sender:
        given = shown(request, header)
        match([given], (base64_hmac(key, request.body) for key in keys))
        return Sender(
            "shopify", first_header(request, ("x-shopify-webhook-id", "x-shopify-event-id"))
        )

    return Verifier(check, frozenset({header}))


def stripe(config: Timed) -> Verifier:
    """Stripe-Signature: a time and signatures over time and body."""
    keys = keys_of(config)

    def check(request: Request, now: int) -> Sender:
        given = shown(request, "stripe-signature")
        parts = [part.partition("=") for part in given.split(",")]
        times = [value for key, _, value in parts if key.strip() == "t"]
        if len(times) != 1:
            raise Unverified("Stripe-Signature has not exactly one t=")
        in_time(times[0], now, config.tolerance)
        signed = times[0].encode() + b"." + request.body
        signatures = [value for key, _, value in parts if key.strip() == "v1"]
        return Sender("stripe", match(signatures, (hex_hmac(key, signed) for key in keys)))

    return Verifier(check, frozenset({"stripe-signature"}), body_id="id")


def slack(config: Timed) -> Verifier:
    """Slack's X-Slack-Signature."""
    keys = keys_of(config)

    def check(request: Request, now: int) -> Sender:
        given = shown(request, "x-slack-signature")
        time = shown(request, "x-slack-request-timestamp")
        in_time(time, now, config.tolerance)
        signed = b"v0:" + time.encode() + b":" + request.body
        return Sender("slack", match([given], ("v0=" + hex_hmac(key, signed) for key in keys)))

    return Verifier(check, frozenset({"x-slack-signature"}), body_id="event_id")


def standard_webhooks(config: Timed) -> Verifier:
    """Standard Webhooks: HMAC (v1) or ed25519 (v1a) over id, time and body."""
    keys = [_standard_key(secret) for secret in config.secrets]

    def check(request: Request, now: int) -> Sender:
        style = "webhook" if "webhook-id" in request.headers else "svix"
        ident, time, given = (
            shown(request, f"{style}-{part}") for part in ("id", "timestamp", "signature")
        )
        in_time(time, now, config.tolerance)
        signed = f"{ident}.{time}.".encode("latin-1") + request.body
        _any_standard(given.split(" "), keys, signed)
        return Sender("standard-webhooks", ident)

    return Verifier(check, frozenset({"webhook-signature", "svix-signature"}))


def _standard_key(secret: str) -> tuple[str, bytes]:
    version = "v1a" if secret.startswith("whpk_") else "v1"
    key = from_base64(secret.removeprefix("whsec_").removeprefix("whpk_"))
    if not key or (version == "v1a" and len(key) != 32):
        raise ValueError(
            "verify standard-webhooks: the secret is whsec_ or whpk_ and base64, as the sender "
            "shows it"
        )
    return version, key


def _any_standard(given: list[str], keys: list[tuple[str, bytes]], signed: bytes) -> None:
    few(given)
    for text in given:
        version, _, signature = text.partition(",")
        raw = from_base64(signature)
        prove = {"v1": _hmac, "v1a": _ed25519}.get(version)
        if raw is None or prove is None:
            continue
        if any(prove(key, raw, signed) for kind, key in keys if kind == version):
            return
    raise Unverified("no secret or signature matches")


def _hmac(key: bytes, signature: bytes, signed: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(key, signed, "sha256"), signature)


def _ed25519(key: bytes, signature: bytes, signed: bytes) -> bool:
    # Only callers with ed25519 keys pay for the import.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def generic(config: Generic) -> Verifier:
    """Any other HMAC, by the names that the config gives."""
    keys = [_generic_key(secret, config.key_encoding) for secret in config.secrets]
    header, time_header, id_header = (
        (name or "").lower() for name in (config.header, config.timestamp, config.id)
    )
    wants = {name for name in ("timestamp", "id") if f"{{{name}}}" in config.signed}
    if "{body}" not in config.signed:
        raise ValueError("verify hmac: signed must contain {body}, or anybody could change it")
    for name, named in (("timestamp", time_header), ("id", id_header)):
        if name in wants and not named:
            raise ValueError(f"verify hmac: signed has {{{name}}}: name its header, {name}: X-…")
    if time_header and "timestamp" not in wants:
        raise ValueError(
            'verify hmac: an unsigned time proves nothing: signed: "{timestamp}.{body}"'
        )
    before, _, after = config.signed.partition("{body}")

    def check(request: Request, now: int) -> Sender:
        given = shown(request, header)
        time = shown(request, time_header) if time_header else ""
        ident = shown(request, id_header) if id_header else ""
        if time_header:
            in_time(time, now, config.tolerance)
        start, end = (
            part.replace("{timestamp}", time).replace("{id}", ident).encode("latin-1", "replace")
            for part in (before, after)
        )
        signed = start + request.body + end
        digests = (hmac.digest(key, signed, config.algorithm) for key in keys)
        encode = bytes.hex if config.encoding == "hex" else to_base64
        found = match([given], (config.prefix + encode(digest) for digest in digests))
        # An id that is not signed could be exchanged to send a recorded request again.
        own = ident if "id" in wants or not time_header else found
        return Sender("hmac", own or None)

    return Verifier(check, frozenset({header}))


def _generic_key(secret: str, encoding: str) -> bytes:
    if encoding == "text":
        return secret.encode()
    try:
        key = bytes.fromhex(secret) if encoding == "hex" else from_base64(secret)
    except ValueError:
        key = None
    if not key:
        raise ValueError(f"verify hmac: the secret is not {encoding}: see key_encoding")
    return key
