"""The `kafka.publish` action: one record, or a batch."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from reactor.connectors.kafka.cluster import Reached, check_reached, digest, find_cluster
from reactor.errors import ActionFailed, ReactorError, SourceFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.spec import Complaint, Config, action, doc

# Two hundred thousand of them would be a file, not a step.
_MOST = 10_000
_KEY = "idempotency-key"


class Message(Config, frozen=True):
    """One record."""

    value: Annotated[
        Any, doc("Text and bytes as they are, null as a tombstone, all else as JSON.", {"id": 1})
    ]
    key: Annotated[
        str | None, doc("The record's key: equal keys go to one partition.", strict=True)
    ] = None
    headers: Annotated[dict[str, str | None], doc("Headers of the record.")] = msgspec.field(
        default_factory=dict
    )


class Publish(Reached, frozen=True, kw_only=True):
    """What to send, and where."""

    topic: Annotated[str, doc("The topic.", "orders", strict=True)]
    value: (
        Annotated[
            Any,
            doc("Text and bytes as they are, null as a tombstone, all else as JSON.", {"id": 1}),
        ]
        | UnsetType
    ) = UNSET
    messages: Annotated[
        list[Message] | None,
        doc("Several records instead of one value, sent together in this order."),
    ] = None
    key: Annotated[
        str | None, doc("The record's key: equal keys go to one partition.", strict=True)
    ] = None
    headers: Annotated[dict[str, str | None], doc("Headers of every record.")] = msgspec.field(
        default_factory=dict
    )
    partition: Annotated[
        Annotated[int, msgspec.Meta(ge=0)] | None,
        doc("The partition, where the key is not to choose it."),
    ] = None


class Published(TypedDict):
    """Where it went."""

    topic: Annotated[str, doc("The topic.")]
    count: Annotated[int, doc("How many records were sent.")]
    partition: Annotated[int, doc("The partition of the last one.")]
    offset: Annotated[int, doc("The offset of the last one.")]


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from check_reached(written)
    if "messages" in written and "key" in written:
        yield ("key",), "with messages each one has its own key"


@action(
    "kafka.publish",
    one_of=[("value", "messages")],
    check=_check,
    timeout_secs=30.0,
    examples=[
        'kafka.publish: {brokers: [kafka1:9092], topic: orders, value: "${{ event.data }}"}',
        'kafka.publish: {topic: orders, key: "${{ event.data.id }}", value: null}',
        "kafka.publish: {topic: lines, messages: [{key: a, value: 1}, {key: b, value: 2}]}",
    ],
)
async def publish(config: Publish, context: ActionContext) -> Published:
    """Send records to a Kafka topic, and wait until all replicas that must have them do.

    Each carries the header `idempotency-key` unless the flow writes one.
    """
    from reactor.connectors.kafka.producer import Outgoing

    try:
        cluster = find_cluster(config, context.connection)
        outgoing = await context.shared(
            f"kafka.publish:{digest(cluster)}", lambda: Outgoing.opened(cluster)
        )
    except SourceFailed as error:
        raise ActionFailed(str(error), kind="kafka", transient=True) from error
    except ReactorError as error:
        raise ActionFailed(str(error), kind="kafka") from error
    messages = _messages(config)
    records = [
        _record(message, config.headers, f"{context.key}:{number}" if number else context.key)
        for number, message in enumerate(messages)
    ]
    sent = await outgoing.send(config.topic, config.partition, records)
    return Published(topic=config.topic, count=len(sent), partition=sent[-1][0], offset=sent[-1][1])


def _messages(config: Publish) -> list[Message]:
    if config.messages is None:
        value = None if config.value is UNSET else config.value
        return [Message(value=value, key=config.key)]
    if not 0 < len(config.messages) <= _MOST:
        message = f"messages holds 1 to {_MOST:,} records, not {len(config.messages):,}"
        raise ActionFailed(message, kind="type")
    return config.messages


def _record(message: Message, headers: Mapping[str, str | None], key: str) -> dict[str, Any]:
    if message.value is None and message.key is None:
        raise ActionFailed("a record without value is a tombstone: it needs a key", kind="type")
    written = {_KEY: key, **headers, **message.headers}
    return {
        "key": None if message.key is None else message.key.encode(),
        "value": _bytes(message.value),
        "headers": [(name, text.encode()) for name, text in written.items() if text is not None],
    }


def _bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)
