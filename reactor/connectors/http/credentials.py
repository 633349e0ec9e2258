"""Schemes that show a secret instead of signing with it: gitlab, basic, bearer, api-key."""

from reactor.connectors.http.config import ApiKey, Secrets
from reactor.connectors.http.proof import (
    Sender,
    Unverified,
    Verifier,
    authorization,
    fingerprint,
    from_base64,
    keys_of,
    match,
    shown,
)
from reactor.model.http import Request


def gitlab(config: Secrets) -> Verifier:
    """GitLab's X-Gitlab-Token."""
    keys = keys_of(config)

    def check(request: Request, now: int) -> Sender:
        match([shown(request, "x-gitlab-token")], keys)
        return Sender("gitlab")

    return Verifier(check, frozenset({"x-gitlab-token"}))


def basic(config: Secrets) -> Verifier:
    """Authorization: Basic, each secret being user:password."""
    keys = keys_of(config)
    if not all(b":" in key for key in keys):
        raise ValueError("verify basic: the secret is user:password")

    def check(request: Request, now: int) -> Sender:
        raw = from_base64(authorization(request, "basic"))
        if raw is None:
            raise Unverified("the Basic credentials are not base64")
        match([raw.decode("latin-1")], keys)
        return Sender(fingerprint(raw.partition(b":")[0]))

    return Verifier(check, realm="Basic")


def bearer(config: Secrets) -> Verifier:
    """Authorization: Bearer."""
    keys = keys_of(config)

    def check(request: Request, now: int) -> Sender:
        token = authorization(request, "bearer")
        match([token], keys)
        return Sender(fingerprint(token.encode("latin-1")))

    return Verifier(check, realm="Bearer")


def api_key(config: ApiKey) -> Verifier:
    """A key in a header of its own or in the query."""
    keys = keys_of(config)
    if config.query is not None and config.header is not None:
        raise ValueError("verify api-key: the key is in a header or in the query, not in both")
    header, name = (config.header or "X-Api-Key").lower(), config.query

    def in_header(request: Request, now: int) -> Sender:
        given = shown(request, header)
        match([given], keys)
        return Sender(fingerprint(given.encode("latin-1")))

    def in_query(request: Request, now: int) -> Sender:
        given = request.query.get(name or "")
        if not isinstance(given, str):
            raise Unverified("the query has no key, or several")
        raw = given.encode("utf-8", "replace")
        match([raw.decode("latin-1")], keys)
        return Sender(fingerprint(raw))

    if name is None:
        return Verifier(in_header, frozenset({header}))
    return Verifier(in_query, hidden_query=name)
