"""Functions that write, read, encode and digest."""

import base64
import binascii
import hashlib
import hmac
import secrets
import uuid
from typing import Any
from urllib.parse import quote

import msgspec

from reactor.errors import EvaluationError
from reactor.expr.function import Function, Param
from reactor.expr.values import MAX_BUILT, Fuel, to_json, to_text, weigh

_NAMES = uuid.UUID("0b5f4c1e-6e0c-5a3e-9a55-6f1f6a0c8d11")  # of ids made from a name


def _json(fuel: Fuel, value: Any) -> str:
    weigh(value, MAX_BUILT)
    text = to_json(value).decode()
    fuel.build(len(text))
    return text


def _parse_json(fuel: Fuel, text: str | bytes) -> Any:
    fuel.build(len(text))
    fuel.scan(4 * len(text))
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"the text is no JSON: {error}") from None


def _base64(fuel: Fuel, value: str | bytes) -> str:
    data = _bytes(value)
    fuel.build(len(data) * 4 // 3)
    return base64.b64encode(data).decode()


def _unbase64(fuel: Fuel, text: str) -> str | bytes:
    fuel.build(len(text))
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EvaluationError("the text is no base64") from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _sha256(fuel: Fuel, value: str | bytes) -> str:
    data = _bytes(value)
    fuel.spend(64 + (len(data) >> 3))
    return hashlib.sha256(data).hexdigest()


def _hmac_sha256(fuel: Fuel, value: str | bytes, key: str | bytes) -> str:
    data = _bytes(value)
    fuel.spend(128 + (len(data) >> 3) + (len(key) >> 3))
    return hmac.new(_bytes(key), data, "sha256").hexdigest()


def _uuid(fuel: Fuel, name: str) -> str:
    fuel.scan(len(name))
    made = uuid.uuid5(_NAMES, name) if name else uuid.UUID(bytes=secrets.token_bytes(16), version=4)
    return str(made)


def _urlencode(fuel: Fuel, value: str | dict[str, Any]) -> str:
    if isinstance(value, str):
        return _quoted(fuel, value)
    pairs = []
    for key, each in value.items():
        name = _quoted(fuel, key)
        listed = each if type(each) is list else [each]
        pairs += [f"{name}={_quoted(fuel, to_text(one))}" for one in listed]
    text = "&".join(pairs)
    fuel.build(len(text))
    return text


def _quoted(fuel: Fuel, text: str) -> str:
    fuel.build(3 * len(text))
    return quote(text, safe="")


def _bytes(value: str | bytes) -> bytes:
    try:
        return value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError:
        raise EvaluationError("the text holds half a character (a lone surrogate)") from None


_DATA = Param("value", "text or bytes")

FUNCTIONS = (
    Function(
        "json", (Param("value", "any or null"),), "text", "The value as compact JSON.",
        'json({"a": [1, null]})', '{"a":[1,null]}', _json,
    ),
    Function(
        "parse_json", (Param("text", "text or bytes"),), "any", "What a JSON text says.",
        "parse_json('[1, 2]')", [1, 2], _parse_json,
    ),
    Function("base64", (_DATA,), "text", "The value in base64.", 'base64("hi")', "aGk=", _base64),
    Function(
        "unbase64", (Param("text", "text"),), "text or bytes",
        "What a base64 text holds: text where it is UTF-8, else bytes.",
        'unbase64("aGk=")', "hi", _unbase64,
    ),
    Function(
        "sha256", (_DATA,), "text", "The SHA-256 digest in hexadecimal.",
        'sha256("abc")',
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", _sha256,
    ),
    Function(
        "hmac_sha256", (_DATA, Param("key", "text or bytes")), "text",
        "The HMAC-SHA-256 of a value under a key, in hexadecimal.",
        'hmac_sha256("what do ya want for nothing?", "Jefe")',
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", _hmac_sha256,
    ),
    Function(
        "uuid", (Param("name", "text", ""),), "text",
        "A new random UUID; with a name, always the same one for that name.",
        'uuid("order-17")', "cfae22a3-642b-559b-960a-00de28c9999b", _uuid,
    ),
    Function(
        "urlencode", (Param("value", "text or map"),), "text",
        "The text as a part of a URL; a map as a query string.",
        'urlencode({"q": "a b", "n": 1})', "q=a%20b&n=1", _urlencode,
    ),
)  # fmt: skip
