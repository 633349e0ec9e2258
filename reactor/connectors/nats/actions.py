"""The actions `nats.publish` and `nats.request`."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from reactor.connectors.nats.servers import Reached, check_reached, digest, find_servers
from reactor.errors import ActionFailed, ReactorError, SourceFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.payload import Form, read_payload, write_payload
from reactor.plugin.spec import Complaint, action, doc

_ID = "Nats-Msg-Id"
_BODIES = ("json", "text", "body")


class Message(Reached, frozen=True, kw_only=True):
    """A message, and where it goes."""

    subject: Annotated[str, doc("The subject.", "orders.paid", strict=True)]
    json: Annotated[Any, doc("The message, sent as JSON.", {"id": 1})] | UnsetType = UNSET
    text: Annotated[str | None, doc("The message, sent as text.")] = None
    body: Annotated[Any, doc("The message as it is: text, or bytes from a template.")] = None
    headers: Annotated[
        dict[str, str | None], doc("Headers; one written here replaces ours, null leaves it out.")
    ] = msgspec.field(default_factory=dict)


class Publish(Message, frozen=True, kw_only=True):
    """A message to send, and who must have it."""

    stream: Annotated[
        str | None,
        doc("The JetStream stream that must store it; without, it goes to who listens now."),
    ] = None
    id: Annotated[
        str | None,
        doc(
            "With stream: the message's id, which a repeat within the stream's duplicate window "
            "shares. Without one, this step's own key, so that a retry stores nothing twice.",
            strict=True,
        ),
    ] = None


class Request(Message, frozen=True, kw_only=True):
    """A message that is answered."""

    decode: Annotated[Form, doc("What the answer is.")] = "json"


class Published(TypedDict):
    """Where it went."""

    subject: Annotated[str, doc("The subject.")]
    stream: Annotated[str | None, doc("The stream that stored it.")]
    sequence: Annotated[int | None, doc("Its number in the stream.")]
    duplicate: Annotated[bool, doc("Whether the stream had a message of this id already.")]


class Answered(TypedDict):
    """The answer."""

    data: Annotated[Any, doc("The answer, decoded.")]
    headers: Annotated[dict[str, str], doc("The answer's headers.")]


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from check_reached(written)
    given = [name for name in _BODIES if name in written]
    if len(given) > 1:
        yield (given[1],), f"{given[0]} and {given[1]} are two messages: drop one"
    if "id" in written and "stream" not in written:
        yield ("id",), "id is looked at by a stream: add stream: NAME"


@action(
    "nats.publish",
    check=_check,
    timeout_secs=30.0,
    examples=[
        'nats.publish: {servers: ["nats://nats1:4222"], subject: orders.paid, json: {id: 7}}',
        'nats.publish: {subject: orders.paid, stream: ORDERS, json: "${{ event.data }}"}',
        "nats.publish: {subject: lamp.set, text: on, headers: {from: reactor}}",
    ],
)
async def publish(config: Publish, context: ActionContext) -> Published:
    """Send a message; with `stream` wait until that has stored it."""
    from reactor.connectors.nats.outgoing import Outgoing

    outgoing = await _outgoing(config, context, Outgoing)
    headers = dict(config.headers)
    if config.stream is not None:
        headers = {_ID: context.key if config.id is None else config.id, **headers}
    found = await outgoing.publish(
        config.subject, _body(config), _texts(headers), stream=config.stream
    )
    return Published(
        subject=config.subject,
        stream=found["stream"],
        sequence=found["sequence"],
        duplicate=found["duplicate"],
    )


@action(
    "nats.request",
    check=_check,
    timeout_secs=30.0,
    examples=[
        "nats.request: {subject: price.of, json: {sku: a1}}",
        'nats.request: {servers: ["nats://nats1:4222"], subject: time, decode: text}',
    ],
)
async def request(config: Request, context: ActionContext) -> Answered:
    """Send a message and wait for its answer; the step's `timeout` bounds that."""
    from reactor.connectors.nats.outgoing import Outgoing

    outgoing = await _outgoing(config, context, Outgoing)
    body, headers = await outgoing.request(config.subject, _body(config), _texts(config.headers))
    payload = read_payload(config.decode, body)
    if payload.problem is not None:
        raise ActionFailed(f"the answer of {config.subject}: {payload.problem}", kind="decode")
    return Answered(data=payload.data, headers=headers)


async def _outgoing(config: Message, context: ActionContext, kind: Any) -> Any:
    try:
        servers = find_servers(config, context.connection)
        return await context.shared(f"nats:{digest(servers)}", lambda: kind.opened(servers))
    except SourceFailed as error:
        raise ActionFailed(str(error), kind="nats", transient=True) from error
    except ReactorError as error:
        raise ActionFailed(str(error), kind="nats") from error


def _body(config: Message) -> bytes:
    return write_payload(json=config.json, text=config.text, body=config.body)


def _texts(headers: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in headers.items() if text is not None}
