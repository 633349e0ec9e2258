"""Records of Kafka as events."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.structs import ConsumerRecord

from reactor.clock import instant
from reactor.connectors.kafka.marks import Mark
from reactor.model.event import Received
from reactor.plugin.payload import Form, Payload, read_payload

_CLOUD = "ce_"


def received(record: ConsumerRecord, form: Form, places: Mapping[str, Mark]) -> Received:
    """The event of a record; `places` are stored with it. A tombstone's data is null."""
    headers = _headers(record.headers)
    payload = _payload(record.value, form, headers)
    is_timed = record.timestamp is not None and record.timestamp >= 0
    time_ms = record.timestamp if is_timed else None
    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "headers": headers,
        "timestamp": None if time_ms is None else instant(time_ms),
    }
    key = None if record.key is None else _text(record.key)
    return payload.received(fields, time_ms=time_ms, key=key, places=places)


def _payload(value: bytes | None, form: Form, headers: Mapping[str, Any]) -> Payload:
    if value is None:
        return Payload(None)
    if form != "cloudevent":
        return read_payload(form, value)
    cloud = {
        name.removeprefix(_CLOUD): text
        for name, text in headers.items()
        if isinstance(text, str) and (name.startswith(_CLOUD) or name == "content-type")
    }
    return read_payload(form, value, cloud)


def _headers(written: Sequence[tuple[str, bytes | None]]) -> dict[str, Any]:
    """Text where it is UTF-8, else bytes; the last one of a name counts."""
    found: dict[str, Any] = {}
    for name, value in written:
        try:
            found[name] = None if value is None else value.decode()
        except UnicodeDecodeError:
            found[name] = value
    return found


def _text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return b64encode(key).decode()
