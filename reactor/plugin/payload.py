"""What brokers carry, to and from data: JSON, text, bytes, CloudEvents."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from reactor.clock import to_ms
from reactor.errors import ActionFailed
from reactor.model.event import Received
from reactor.units import format_size

Form = Literal["json", "text", "bytes", "cloudevent"]

DEEPEST = 200
LONGEST = 16 << 20
_UTF8_MARK = b"\xef\xbb\xbf"  # some programs write it; RFC 8259 lets us read past it
_CLOUD = ("id", "source", "type", "specversion")

_json = msgspec.json.Decoder()


class Payload(Struct, frozen=True):
    """What a message holds.

    `problem` says why it could not be decoded; then `data` is its bytes, to be emitted as
    `undecodable` and acknowledged: it will not get better. `cloud` are the attributes of a
    CloudEvent, beside which stand `type` and `time_ms` as an event takes them.
    """

    data: Any
    problem: str | None = None
    cloud: dict[str, Any] | None = None
    type: str | None = None
    time_ms: int | None = None

    def received(
        self, fields: dict[str, Any], *, time_ms: int | None = None, **more: Any
    ) -> Received:
        """The event of the message; the broker's `time_ms` counts where the payload has none."""
        if self.cloud is not None:
            fields = {**fields, "cloudevent": self.cloud}
        return Received(
            data=self.data,
            fields=fields,
            type=self.type,
            time_ms=time_ms if self.time_ms is None else self.time_ms,
            undecodable=self.problem,
            **more,
        )


def read_payload(form: Form, body: bytes, headers: Mapping[str, str] | None = None) -> Payload:
    """The data of a message; an empty one is null, whatever its form.

    `headers` are the attributes of a CloudEvent in binary mode, their names without the transport's
    prefix, and `content-type`.
    """
    if len(body) > LONGEST:
        return Payload(body, f"the message is over {format_size(LONGEST)}")
    try:
        if form == "cloudevent":
            return _cloudevent(body, headers or {})
        return Payload(_read(form, body) if body else None)
    except ValueError as error:
        return Payload(body, str(error))


def read_json(body: bytes) -> Any:
    """JSON as its value; ValueError says what is wrong with it."""
    try:
        data = _json.decode(body.removeprefix(_UTF8_MARK))
    except RecursionError:
        raise ValueError(f"the JSON is nested over {DEEPEST} levels") from None
    except msgspec.MsgspecError as error:
        raise ValueError(f"the message is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise ValueError("the message is not UTF-8") from None
    if body.count(b"[") + body.count(b"{") > DEEPEST and _too_deep(data):
        raise ValueError(f"the JSON is nested over {DEEPEST} levels")
    return data


def write_payload(
    *, json: Any | UnsetType = UNSET, text: str | None = None, body: Any = None
) -> bytes:
    """The bytes that a publishing action sends: of its `json`, its `text` or its `body`."""
    if json is not UNSET:
        return msgspec.json.encode(json)
    if text is not None:
        return text.encode()
    if isinstance(body, str):
        return body.encode()
    if body is None or isinstance(body, bytes):
        return body or b""
    raise ActionFailed("body takes text or bytes; lists and maps go under json", kind="type")


def _read(form: Form, body: bytes) -> Any:
    if form == "bytes":
        return body
    if form == "json":
        return read_json(body)
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise ValueError("the message is not UTF-8 text: take it with decode: bytes") from None


def _cloudevent(body: bytes, headers: Mapping[str, str]) -> Payload:
    """CloudEvents 1.0: attributes in headers (binary mode), else all of it as one JSON map."""
    if "specversion" in headers:
        cloud: dict[str, Any] = {k: v for k, v in headers.items() if k != "content-type"}
        media = headers.get("content-type", "application/json").partition(";")[0].strip()
        is_json = media.endswith(("/json", "+json"))
        data = _read("json" if is_json else "bytes", body) if body else None
    else:
        found = read_json(body) if body else None
        if not isinstance(found, dict) or "specversion" not in found:
            raise ValueError("the message is no CloudEvent: it has no specversion")
        data = found.pop("data", None)
        cloud = found
        if "data_base64" in cloud:
            data = _bytes(cloud.pop("data_base64"))
    missing = [name for name in _CLOUD if not isinstance(cloud.get(name), str)]
    if missing:
        raise ValueError(f"the message is no CloudEvent: it has no {', '.join(missing)}")
    return Payload(data, cloud=cloud, type=cloud["type"], time_ms=_time_ms(cloud.get("time")))


def _bytes(written: Any) -> bytes:
    try:
        return msgspec.convert(written, bytes)
    except msgspec.ValidationError:
        raise ValueError("data_base64 of the CloudEvent is not base64") from None


def _time_ms(written: Any) -> int | None:
    if written is None:
        return None
    try:
        return to_ms(msgspec.convert(written, datetime))
    except (msgspec.ValidationError, ValueError):
        raise ValueError(f"the CloudEvent's time {written!r} is no RFC 3339 time") from None


def _too_deep(data: Any) -> bool:
    level = [data]
    for _ in range(DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
