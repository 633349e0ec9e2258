"""Messages of NATS as events."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from nats.aio.msg import Msg

from reactor.model.event import Received
from reactor.plugin.payload import Form, Payload, read_payload

_CLOUD = "ce-"
_ACK = "$JS.ACK."
_SHORT, _LONG = 9, 11


class Delivery(Struct, frozen=True):
    """What the address of an acknowledgement says of a message in a stream."""

    sequence: int
    deliveries: int
    time_ms: int
    left: int


def delivery(reply: str) -> Delivery | None:
    """The facts in an acknowledgement's address; None if it is none.

    `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<…>.<nanoseconds>.<left>`, newer servers
    with domain and account before the stream.
    """
    if not reply.startswith(_ACK):
        return None
    parts = reply.split(".")
    if len(parts) == _SHORT:
        facts = parts[4:]
    elif len(parts) >= _LONG:
        facts = parts[6:]
    else:
        return None
    return Delivery(int(facts[1]), int(facts[0]), int(facts[3]) // 1_000_000, int(facts[4]))


def received(message: Msg, form: Form, *, found: Delivery | None = None, **more: Any) -> Received:
    """The event of a message; `more` goes into the event as it is."""
    headers: Mapping[str, str] = message.headers or {}
    payload = _payload(message.data, form, headers)
    fields: dict[str, Any] = {"subject": message.subject, "headers": dict(headers)}
    time_ms = None
    if found is not None:
        fields |= {"sequence": found.sequence, "deliveries": found.deliveries}
        time_ms = found.time_ms
    elif message.reply:
        fields["reply"] = message.reply
    return payload.received(fields, time_ms=time_ms, **more)


def _payload(body: bytes, form: Form, headers: Mapping[str, str]) -> Payload:
    if form != "cloudevent":
        return read_payload(form, body)
    cloud = {
        name.lower().removeprefix(_CLOUD): text
        for name, text in headers.items()
        if name.lower().startswith(_CLOUD) or name.lower() == "content-type"
    }
    return read_payload(form, body, cloud)
