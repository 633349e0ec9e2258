"""What flows send to Redis: messages, stream entries, list elements, any command."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from reactor.connectors.redis.connection import (
    REPLY_SECS,
    At,
    Server,
    Word,
    address_of,
    complaints,
    fault,
    options,
    server_of,
)
from reactor.errors import ActionFailed, SourceFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.payload import write_payload
from reactor.plugin.spec import action, doc

_BODIES = ("json", "text", "body")
_MOST_CONNECTIONS = 32


class Message(At, frozen=True, kw_only=True):
    """What to send."""

    json: Annotated[Any, doc("What to send, as JSON.", {"id": 7})] | UnsetType = UNSET
    text: Annotated[str | None, doc("What to send, as text.", "hello")] = None
    body: Annotated[Any, doc("What to send as it is: text, or bytes from a template.")] = None


class Publish(Message, frozen=True, kw_only=True):
    """A message for a channel."""

    channel: Annotated[str, doc("The channel.", "alerts", strict=True)]


class Push(Message, frozen=True, kw_only=True):
    """An element for a list."""

    list: Annotated[str, doc("The list; made if it is not there.", "jobs", strict=True)]
    left: Annotated[
        bool, doc("Put it at the left end, from which the redis source takes, not at the right.")
    ] = False


class Add(At, frozen=True, kw_only=True):
    """An entry for a stream."""

    stream: Annotated[str, doc("The stream; made if it is not there.", "orders", strict=True)]
    fields: Annotated[
        dict[str, Any], doc("The entry's fields; maps and lists become JSON.", {"id": 7})
    ]
    max_length: Annotated[
        int | None, doc("Trim the stream to about this many entries.", 100_000)
    ] = None


class Command(At, frozen=True, kw_only=True):
    """Any command."""

    args: Annotated[
        list[Any],
        doc("The command and its arguments.", ["HINCRBY", "stock", "apples", 3], strict=True),
    ]


class Published(TypedDict):
    """What became of a message."""

    receivers: Annotated[int, doc("How many clients heard it; it is kept for nobody else.")]


class Added(TypedDict):
    """What became of an entry."""

    entry: Annotated[str, doc("The entry's id.")]


class Pushed(TypedDict):
    """What became of an element."""

    length: Annotated[int, doc("How many elements the list has now.")]


@action(
    "redis.publish",
    examples=["redis.publish: {channel: alerts, json: {disk: full}}"],
    one_of=[_BODIES],
    check=complaints,
    timeout_secs=30.0,
)
async def redis_publish(config: Publish, context: ActionContext) -> Published:
    """Send a message to a pub/sub channel."""
    return Published(receivers=await _do(config, context, "PUBLISH", config.channel, _body(config)))


@action(
    "redis.xadd",
    examples=["redis.xadd: {stream: orders, fields: {id: '${{ event.data.id }}'}}"],
    check=complaints,
    timeout_secs=30.0,
)
async def redis_xadd(config: Add, context: ActionContext) -> Added:
    """Add an entry to a stream.

    A step that a crash or a timeout interrupted runs again and may add twice: give the entry an id
    of your own as a field.
    """
    if not config.fields:
        raise ActionFailed("fields: an entry has at least one field", kind="type")
    trim: list[Word] = []
    if config.max_length is not None:
        trim = ["MAXLEN", "~", config.max_length]
    pairs = [part for name, value in config.fields.items() for part in (name, _word(value))]
    entry = await _do(config, context, "XADD", config.stream, *trim, "*", *pairs)
    return Added(entry=_plain(entry))


@action(
    "redis.push",
    examples=["redis.push: {list: jobs, json: {id: '${{ event.data.id }}'}}"],
    one_of=[_BODIES],
    check=complaints,
    timeout_secs=30.0,
)
async def redis_push(config: Push, context: ActionContext) -> Pushed:
    """Add an element to a list."""
    command = "LPUSH" if config.left else "RPUSH"
    return Pushed(length=await _do(config, context, command, config.list, _body(config)))


@action(
    "redis.command",
    examples=[
        "redis.command: {args: [HINCRBY, stock, apples, 3]}",
        "redis.command: {connection: main, args: [SET, '${{ event.data.id }}', seen, EX, 3600]}",
    ],
    check=complaints,
    timeout_secs=30.0,
)
async def redis_command(config: Command, context: ActionContext) -> Any:
    """Send any command; the output is the answer: texts, numbers, lists, maps."""
    if not config.args:
        raise ActionFailed("args: a command has at least its name", kind="type")
    return _plain(await _do(config, context, *map(_word, config.args)))


async def _do(config: At, context: ActionContext, *command: Word) -> Any:
    """The answer to one command; `ActionFailed` says why there is none."""
    from redis.exceptions import RedisError

    if config.url is not None and context.authored.get("url", config.url) != config.url:
        raise ActionFailed("url: data may not choose the server", kind="denied")
    try:
        server = server_of(config, context.connection)
        client = await context.shared(_key(server), lambda: _opened(server))
        try:
            return await client.execute_command(*command)
        except (RedisError, OSError) as error:
            meant = fault(error, address_of(server))
            raise SourceFailed(meant.message, lost=meant.lost) from error
    except SourceFailed as error:
        raise ActionFailed(str(error), kind="redis", transient=error.lost) from error


@asynccontextmanager
async def _opened(server: Server) -> AsyncIterator[Any]:
    """A client with a pool of connections, which it tries nothing on twice."""
    from redis.asyncio import BlockingConnectionPool, Redis

    class_, given = options(server)
    pool = BlockingConnectionPool(
        connection_class=class_,
        max_connections=_MOST_CONNECTIONS,
        timeout=REPLY_SECS,
        **{**given, "socket_timeout": REPLY_SECS},
    )
    client = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose()
        await pool.disconnect()


def _key(server: Server) -> str:
    """The name of what is shared; a password is no part of it that anybody could read."""
    return f"redis:{sha256(msgspec.json.encode(server)).hexdigest()}"


def _body(config: Message) -> bytes:
    return write_payload(json=config.json, text=config.text, body=config.body)


def _word(value: Any) -> Word:
    """A value as an argument of a command."""
    if isinstance(value, bool) or value is None:
        return msgspec.json.encode(value)
    if isinstance(value, str | bytes | int | float):
        return value
    return msgspec.json.encode(value)


def _plain(value: Any) -> Any:
    """An answer as data: bytes that are text become text."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, Mapping):
        return {str(_plain(name)): _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | datetime):
        return value
    return str(value)
