"""The `nats` source: messages of subjects, or of a stream."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from reactor.connectors.nats.servers import Reached, Servers, check_reached, find_servers
from reactor.errors import ReactorError, SourceFailed
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form
from reactor.plugin.spec import Complaint, Fields, connection, doc, source


class Subjects(Reached, frozen=True):
    """Which messages, and as whom."""

    subjects: Annotated[
        list[str], doc("The subjects, with * and > as wildcards.", ["orders.>"], strict=True)
    ] = msgspec.field(default_factory=list)
    queue: Annotated[
        str, doc("Without stream: the queue group, of which one member gets each message.")
    ] = ""
    stream: Annotated[
        str | None, doc("The JetStream stream to read; without one, core NATS.", "ORDERS")
    ] = None
    durable: Annotated[
        str,
        doc(
            "With stream: the name of the durable consumer, for each of several subjects with its "
            "name behind. Without one, a durable of this trigger's own."
        ),
    ] = ""
    start: Annotated[
        Literal["earliest", "latest"],
        doc("With stream: where to begin if the durable is not there yet."),
    ] = "earliest"
    decode: Annotated[Form, doc("What a message is.")] = "json"


class NatsFields(Fields, frozen=True, kw_only=True):
    """What a message brings."""

    subject: Annotated[str, doc("The message's subject.")]
    headers: Annotated[dict[str, str], doc("The message's headers.")]
    sequence: Annotated[int, doc("With stream: the message's number in it.")]
    deliveries: Annotated[int, doc("With stream: how often it was delivered, this time included.")]
    reply: Annotated[str, doc("Without stream: the subject on which an answer is awaited.")]
    cloudevent: Annotated[
        dict[str, Any], doc("With decode: cloudevent: the attributes, such as id and source.")
    ]


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from check_reached(written)
    if "stream" in written:
        if "queue" in written:
            message = "queue is for core NATS; readers of a stream share its durable"
            yield ("queue",), message
    else:
        if not written.get("subjects"):
            yield ("subjects",), "subjects names at least one, or stream names a stream"
        for name in ("durable", "start"):
            if name in written:
                yield (name,), f"{name} belongs to a stream: add stream: NAME"


@connection("nats")
async def probe(config: Servers) -> str:
    """A NATS server, or several of one cluster."""
    from reactor.connectors.nats.link import connected

    async with connected(config) as link:
        client = link.client
        version = client.connected_server_version
        return f"NATS {version.major}.{version.minor}.{version.patch}"


@source(
    "nats",
    fields=NatsFields,
    # Another `start` is no reason to read all again.
    identity=("connection", "servers", "subjects", "queue", "stream", "durable", "decode"),
    check=_check,
    guarantee="of a stream at least once, exactly once for 7 days; of core NATS at most once",
    examples=[
        'nats: {servers: ["nats://nats1:4222"], subjects: [orders.>], queue: billing}',
        "nats: {connection: main, stream: ORDERS, subjects: [orders.paid], durable: billing}",
        "nats: {stream: ORDERS, start: latest, decode: text}",
    ],
)
async def nats(config: Subjects, emit: Emit, context: SourceContext) -> None:
    """Messages of NATS: of a JetStream stream, or of core NATS, which keeps nothing."""
    from reactor.connectors.nats import stream, subjects
    from reactor.connectors.nats.link import connected

    try:
        servers = find_servers(config, context.connection)
    except ReactorError as error:
        raise SourceFailed(str(error)) from error
    async with connected(servers) as link:
        if config.stream is None:
            reader = subjects.Subjects(link, emit, context, config.decode)
            await reader.run(config.subjects, config.queue)
            return
        wanted = stream.Stream(
            name=config.stream,
            subjects=config.subjects,
            durable=config.durable or context.instance.replace(":", "-"),
            start=config.start,
            form=config.decode,
        )
        await stream.Durables(link, emit, context, wanted).run()
