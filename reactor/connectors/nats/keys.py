"""Logins by a key pair: an nkey, or a .creds file, which holds one beside a JWT.

Our own, because the library's way needs two packages more, one of them in C, and waits for ever on
a .creds file without a JWT.
"""

import base64
import binascii
import re
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

# Keys are base32 of a kind, 32 bytes and a check sum; of a seed the kind says whose it is, too.
# (github.com/nats-io/nkeys; after base32 a user's seed begins with SU, a user's key with U)
_SEED_OF_USER = b"\x95\x00"
_USER = b"\xa0"
_SIZE = 2 + 32 + 2
_PART = re.compile(r"-{3,}BEGIN ([A-Z ]+)-{3,}\s+(\S+)\s+-{3,}END")


class Key(Struct, frozen=True):
    """What proves that we are user `public`, with rights by the JWT if there is one."""

    public: str
    prove: Callable[[bytes], bytes]
    jwt: str | None = None

    def sign(self, nonce: str) -> bytes:
        """What the server asks for: its nonce, signed."""
        return base64.b64encode(self.prove(nonce.encode()))


def key_of_seed(seed: str, jwt: str | None = None) -> Key:
    """The key pair of a user's seed; ValueError, which does not show it, if it is none."""
    # Only logins by keys pay for the import.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    text = seed.strip()
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        raw = b""
    if len(raw) != _SIZE or not raw.startswith(_SEED_OF_USER) or raw[-2:] != _sum(raw[:-2]):
        raise ValueError("it is no seed of a user: that is 58 characters, the first of them SU")
    private = Ed25519PrivateKey.from_private_bytes(raw[2:-2])
    public = _USER + private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    name = base64.b32encode(public + _sum(public)).decode().rstrip("=")
    return Key(name, private.sign, jwt)


def key_of_file(path: str) -> Key:
    """The JWT and key pair of a .creds file; ValueError says what is wrong with it."""
    try:
        parts = dict(_PART.findall(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except UnicodeDecodeError:
        parts = {}
    for name in ("NATS USER JWT", "USER NKEY SEED"):
        if name not in parts:
            raise ValueError(f"no {name} in it: is it what `nsc generate creds` wrote")
    return key_of_seed(parts["USER NKEY SEED"], parts["NATS USER JWT"])


def _sum(raw: bytes) -> bytes:
    return binascii.crc_hqx(raw, 0).to_bytes(2, "little")
