"""The action `mqtt.publish`: one connection per broker, kept and opened again when it is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from reactor.connectors.mqtt.config import At, Server, complaints, server_of
from reactor.errors import ActionFailed, SourceFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.payload import write_payload
from reactor.plugin.spec import Complaint, action, connection, doc

_BODIES = ("json", "text", "body")


class Publish(At, frozen=True, kw_only=True):
    """A message."""

    topic: Annotated[str, doc("Its topic.", "home/lamp/set", strict=True)]
    json: Annotated[Any, doc("What to send, as JSON.", {"on": True})] | UnsetType = UNSET
    text: Annotated[str | None, doc("What to send, as text.", "on")] = None
    body: Annotated[Any, doc("What to send as it is: text, or bytes from a template.")] = None
    qos: Annotated[
        Literal[1, 0, 2], doc("1 and 2 wait for the broker's word, 0 does not.", form="literal")
    ] = 1
    retain: Annotated[bool, doc("Whether the broker keeps it for who comes later.")] = False
    properties: Annotated[
        dict[str, str], doc("User properties of MQTT 5.", {"unit": "celsius"})
    ] = msgspec.field(default_factory=dict)


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from complaints(written)
    topic = written.get("topic")
    if isinstance(topic, str) and "${{" not in topic and set(topic) & set("+#"):
        yield ("topic",), f"{topic!r}: + and # are for listening; a message has one topic"


@action(
    "mqtt.publish",
    examples=[
        "mqtt.publish: {topic: home/lamp/set, json: {on: true}}",
        "mqtt.publish: {connection: home, topic: home/state, text: up, retain: true}",
    ],
    one_of=[_BODIES],
    check=_check,
    timeout_secs=30.0,
)
async def mqtt_publish(config: Publish, context: ActionContext) -> None:
    """Publish a message; with qos 1 or 2 the broker has it when the step ends."""
    if config.url is not None and context.authored.get("url", config.url) != config.url:
        raise ActionFailed("url: data may not choose the broker", kind="denied")
    if not config.topic or set(config.topic) & set("+#\0"):
        raise ActionFailed(f"topic {config.topic!r}: a message has one topic", kind="type")
    payload = write_payload(json=config.json, text=config.text, body=config.body)
    try:
        server = server_of(config, context.connection)
        key = f"mqtt:{sha256(msgspec.json.encode(server)).hexdigest()}"
        publisher = await context.shared(key, lambda: _publisher(server))
        await publisher.publish(config, payload)
    except SourceFailed as error:
        raise ActionFailed(str(error), kind="mqtt", transient=error.lost) from error


class _Publisher:
    """A connection that is opened when it is first needed, and again when it was lost."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._opening = asyncio.Lock()
        self._opened: Any = None
        self._line: Any = None

    async def publish(self, config: Publish, payload: bytes) -> None:
        """Send one message; `SourceFailed` says why it is not sure that it came."""
        line = await self._connected()
        await line.send(
            config.topic, payload, qos=config.qos, retain=config.retain, user=config.properties
        )

    async def close(self) -> None:
        """Say goodbye."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.__aexit__(None, None, None)

    async def _connected(self) -> Any:
        from reactor.connectors.mqtt.session import session

        async with self._opening:
            if self._opened is None or self._line.is_lost:
                await self.close()
                opened = session(self._server)
                self._line = await opened.__aenter__()
                self._opened = opened
            return self._line


@asynccontextmanager
async def _publisher(server: Server) -> AsyncIterator[_Publisher]:
    publisher = _Publisher(server)
    try:
        yield publisher
    finally:
        await publisher.close()


@connection("mqtt")
async def mqtt(config: Server) -> str:
    """An MQTT broker."""
    from reactor.connectors.mqtt.session import session

    async with session(config) as line:
        return f"{line.address} answers, version {config.version}"
