"""Values as bytes: whatever an event or a step holds can be stored and read back.

The form is MessagePack: bytes stay bytes and instants stay instants. What cannot be encoded becomes
a text that says so, in its place, because a value must never stop the commit that carries it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, msgpack

from reactor.model.execution import Entry, Failure

_HUGE = 1  # our extension type for whole numbers beyond 64 bits, as JSON may carry them
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1
_LARGEST_COLUMN = (1 << 63) - 1


def _foreign(value: Any) -> Any:
    """What the encoder does not know: the base of a subclass, else a text that says so."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    return _refusal(value)


def _extension(code: int, data: memoryview) -> Any:
    return int(bytes(data)) if code == _HUGE else bytes(data)


_pack = msgpack.Encoder(enc_hook=_foreign).encode
_unpack = msgpack.Decoder(ext_hook=_extension).decode
_unpack_journal = msgpack.Decoder(tuple[Entry, ...], ext_hook=_extension).decode
_unpack_failure = msgpack.Decoder(Failure, ext_hook=_extension).decode


def encode(value: Any) -> bytes:
    """The stored form of any value; never raises."""
    try:
        return _pack(value)
    except Exception:  # noqa: BLE001  a value of any class may fail in any way
        return _encode_in_parts(value)


def decode(data: bytes) -> Any:
    """The value of its stored form; a text that says so if it nests too deeply to be read."""
    try:
        return _unpack(data)
    except RecursionError:
        return "cannot be read: it nests too deeply"


def encode_journal(entries: Sequence[Entry]) -> bytes:
    """The stored form of journal entries; one bad value costs nothing but itself."""
    try:
        return _pack(entries)
    except Exception:  # noqa: BLE001  see encode
        return b"".join(
            (
                _array_head(len(entries)),
                *(encode_entry(entry) for entry in entries),
            )
        )


def decode_journal(data: bytes) -> tuple[Entry, ...]:
    """The journal entries of their stored form."""
    return _unpack_journal(data)


def encode_failure(failure: Failure) -> bytes:
    """The stored form of an execution's error."""
    try:
        return _pack(failure)
    except Exception:  # noqa: BLE001  see encode
        fields = {name: getattr(failure, name) for name in failure.__struct_fields__}
        fields["output"], fields["item"] = (
            decode(encode(failure.output)),
            decode(encode(failure.item)),
        )
        return encode(fields)


def decode_failure(data: bytes | None) -> Failure | None:
    """The error of an execution from its stored form."""
    return None if data is None else _unpack_failure(data)


def column(value: Any) -> Any:
    """A scalar that SQLite takes: text it can encode, a number of 64 bits."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return max(-_LARGEST_COLUMN, min(value, _LARGEST_COLUMN))
    return value if value is None or isinstance(value, float | bytes) else _text(str(value))


def encode_entry(entry: Entry) -> bytes:
    """The stored form of one journal entry."""
    return b"".join((b"\x93", encode(entry.path), encode(entry.kind), encode(entry.value)))


def _encode_in_parts(value: Any) -> bytes:
    try:
        return _pack(_plain(value))
    except Exception as error:  # noqa: BLE001  a cycle, or deeper than the stack
        return _pack(f"cannot be stored: {str(error)!a}")


def _array_head(length: int) -> bytes:
    return b"\xdd" + length.to_bytes(4, "big")


def _plain(value: Any) -> Any:
    """The same value, with what cannot be encoded replaced in its place."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        inside = _LOWEST <= value <= _HIGHEST
        return value if inside else msgpack.Ext(_HUGE, str(value).encode())
    if isinstance(value, Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    try:
        _pack(value)
    except Exception:  # noqa: BLE001  see encode
        return _refusal(value)
    return value


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def _refusal(value: Any) -> str:
    return f"cannot be stored: a value of type {type(value).__name__}"
