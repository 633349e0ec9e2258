"""The source `redis`: entries of streams, elements of lists, messages of channels."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from reactor.connectors.redis.channels import follow_channels
from reactor.connectors.redis.connection import At, complaints, line_to, server_of
from reactor.connectors.redis.lists import follow_list
from reactor.connectors.redis.streams import follow_streams
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form
from reactor.plugin.spec import Complaint, Fields, doc, source

_WAYS = ("channels", "patterns", "streams", "list")


class Listen(At, frozen=True, kw_only=True):
    """What to listen to."""

    channels: Annotated[
        list[str] | None, doc("Channels of pub/sub.", ["orders"], form="literal")
    ] = None
    patterns: Annotated[
        list[str] | None,
        doc(
            "Patterns of channels, also of keyspace notifications.",
            ["__keyevent@0__:expired"],
            form="literal",
        ),
    ] = None
    streams: Annotated[
        list[str] | None,
        doc("Streams; data is an entry's fields as text.", ["orders"], form="literal"),
    ] = None
    list: Annotated[str | None, doc("A list, taken from its left end.", "jobs", form="literal")] = (
        None
    )
    group: Annotated[
        str,
        doc(
            "Consumer group of the streams; daemons that share one share the work.", form="literal"
        ),
    ] = "reactor"
    start: Annotated[
        Literal["earliest", "latest"],
        doc("Where a group begins that is not there yet.", form="literal"),
    ] = "earliest"
    decode: Annotated[
        Form, doc("What messages and list elements are; not for streams.", form="literal")
    ] = "json"


class RedisFields(Fields, frozen=True, kw_only=True):
    """What Redis brings."""

    stream: Annotated[str, doc("The stream of an entry.")]
    entry: Annotated[str, doc("The id of an entry.")]
    channel: Annotated[str, doc("The channel of a message.")]
    list: Annotated[str, doc("The list of an element.")]
    cloudevent: Annotated[dict[str, Any], doc("Attributes, with decode: cloudevent.")]


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from complaints(written)
    if "streams" in written and "decode" in written:
        message = "data of a stream is an entry's fields as text: read one with "
        yield ("decode",), f"{message}parse_json(event.data.FIELD)"
    for name in ("group", "start"):
        if name in written and "streams" not in written:
            yield (name,), f"{name} is for streams only"
    for name in ("channels", "patterns", "streams"):
        if written.get(name) == []:
            yield (name,), f"{name} names at least one"


@source(
    "redis",
    fields=RedisFields,
    identity=("url", "connection", *_WAYS, "group", "decode"),
    one_of=[_WAYS],
    check=_check,
    guarantee="streams and lists at least once, a stream's entry once while its id is known (7 "
    "days); channels and patterns at most once",
    examples=[
        "redis: {url: 'redis://127.0.0.1:6379', streams: [orders], group: shop}",
        "redis: {url: 'redis://127.0.0.1:6379', list: jobs}",
        "redis: {url: 'redis://127.0.0.1:6379', channels: [alerts], decode: text}",
        "redis: {connection: main, patterns: ['__keyevent@0__:expired']}",
    ],
)
async def redis(config: Listen, emit: Emit, context: SourceContext) -> None:
    """Entries of streams, elements of a list, or messages of channels."""
    async with line_to(server_of(config, context.connection)) as line:
        if config.streams:
            await follow_streams(
                line, config.streams, config.group, config.start, emit=emit, context=context
            )
        elif config.list is not None:
            await follow_list(line, config.list, config.decode, emit=emit, context=context)
        else:
            await follow_channels(
                line,
                config.channels or (),
                config.patterns or (),
                config.decode,
                emit=emit,
                context=context,
            )
