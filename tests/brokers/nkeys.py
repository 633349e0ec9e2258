"""Key pairs of NATS, and the operator, accounts and users that JWTs make of them."""

import base64
import binascii
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import json

_KINDS = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
_SEED = 18 << 3
_HEAD = {"typ": "JWT", "alg": "ed25519-nkey"}
_NO_LIMITS = dict.fromkeys(["subs", "data", "payload"], -1)
_ACCOUNT_LIMITS = dict.fromkeys(["conn", "leaf", "imports", "exports"], -1) | {"wildcards": True}


class Pair:
    """A key pair: its two names, and what it signs."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._private = Ed25519PrivateKey.generate()
        number = _KINDS[kind]
        head = bytes([_SEED | number >> 5, (number & 31) << 3])
        self.seed = _text(head + self._private.private_bytes_raw())
        self.public = _text(bytes([number]) + self._private.public_key().public_bytes_raw())

    def jwt(self, of: "Pair", *, expires: int = 0, **claims: Any) -> str:
        """What this one says of another one, or of itself; until a time in seconds, or for ever."""
        said = {
            "jti": of.public,
            "iat": 0,
            "iss": self.public,
            "name": of.kind,
            "sub": of.public,
            "nats": {"type": of.kind, "version": 2, **claims},
            "exp": expires,
        }
        text = f"{_part(json.encode(_HEAD))}.{_part(json.encode(said))}"
        return f"{text}.{_part(self._private.sign(text.encode()))}"


class Operator:
    """An operator with an account, and what a server must know of them: `settings`."""

    def __init__(self) -> None:
        operator, system = Pair("operator"), Pair("account")
        self._account = Pair("account")
        known = {
            one.public: operator.jwt(one, limits=_NO_LIMITS | _ACCOUNT_LIMITS)
            for one in (system, self._account)
        }
        self.settings = f"""
operator: {operator.jwt(operator)}
system_account: {system.public}
resolver: MEMORY
resolver_preload: {json.encode(known).decode()}
"""

    def creds(self, file: Path, *, expires: int = 0) -> str:
        """Write the .creds file of a new user of the account; its seed."""
        user = Pair("user")
        jwt = self._account.jwt(user, expires=expires, **_NO_LIMITS)
        file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "*** IMPORTANT: keep it secret ***\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
        return user.seed


def _text(raw: bytes) -> str:
    check = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + check).decode().rstrip("=")


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
