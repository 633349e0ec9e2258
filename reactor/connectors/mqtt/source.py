"""The source `mqtt`: messages of topics, acknowledged when they are stored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from reactor.connectors.mqtt.config import At, complaints, server_of
from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form, read_payload
from reactor.plugin.spec import Complaint, Config, Fields, doc, source

_MOST = 128
_LAG_SECS = 5.0
_NO_QOS_2 = (
    "a source takes qos 0 and 1: with 2 the library answers before the event is stored, and a "
    "crash would lose it; write qos: 1, and dedup: {id: …} beside mqtt"
)


class Will(Config, frozen=True, kw_only=True):
    """What the broker publishes when we vanish without a goodbye."""

    topic: Annotated[str, doc("Where.", "reactor/state", strict=True)]
    text: Annotated[str, doc("What.", "gone")] = ""
    qos: Annotated[Literal[0, 1, 2], doc("How surely.", form="literal")] = 1
    retain: Annotated[bool, doc("Whether the broker keeps it for who comes later.")] = False


class Subscribe(At, frozen=True, kw_only=True):
    """Which messages."""

    topics: Annotated[
        list[str],
        doc(
            "Topics; + stands for one level, # for all that follow.",
            ["home/+/temperature", "alarm/#"],
            form="literal",
        ),
    ]
    qos: Annotated[int, doc("1: every message at least once; 0: at most once.", form="literal")] = 1
    session: Annotated[
        Literal["persistent", "clean"],
        doc("Whether the broker keeps messages for us while we are away.", form="literal"),
    ] = "persistent"
    client_id: Annotated[
        str | None,
        doc("Our name at the broker, ours alone; one is made and kept without it.", "reactor-1"),
    ] = None
    share: Annotated[
        str | None,
        doc("Name of a shared subscription: daemons with one share the messages.", form="literal"),
    ] = None
    retained: Annotated[
        bool, doc("Whether messages that the broker had kept before we came count.")
    ] = True
    will: Annotated[Will | None, doc("What the broker publishes when we vanish.")] = None
    decode: Annotated[Form, doc("What messages are.", form="literal")] = "json"


class MqttFields(Fields, frozen=True, kw_only=True):
    """What a message brings."""

    topic: Annotated[str, doc("Its topic.")]
    qos: Annotated[int, doc("How surely the broker sent it.")]
    retained: Annotated[bool, doc("Whether the broker had kept it before we came.")]
    properties: Annotated[
        dict[str, Any],
        doc("Of MQTT 5: user (a map), content_type, response_topic, correlation_data."),
    ]
    cloudevent: Annotated[dict[str, Any], doc("Attributes, with decode: cloudevent.")]


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from complaints(written)
    qos = written.get("qos", 1)
    if qos == 2:
        yield ("qos",), _NO_QOS_2
    elif isinstance(qos, int) and qos not in (0, 1):
        yield ("qos",), f"qos is 0 or 1, not {qos}"
    topics = written.get("topics")
    if topics == []:
        yield ("topics",), 'topics names at least one; all of them are "#"'
    for index, topic in enumerate(topics if isinstance(topics, list) else ()):
        if isinstance(topic, str) and (wrong := filter_complaint(topic)) is not None:
            yield ("topics", index), wrong
    share = written.get("share")
    if isinstance(share, str) and (not share or set(share) & set("/+#")):
        yield ("share",), "share is one word without / + #"


def filter_complaint(topic: str) -> str | None:
    """What is wrong with a topic filter, or None."""
    levels = topic.split("/")
    if not topic or "\0" in topic:
        return "an empty topic matches nothing"
    if topic.startswith("$share/"):
        return "write share: NAME beside topics"
    if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
        return f'{topic!r}: # stands alone, as the last level: "home/#"'
    if any("+" in level and level != "+" for level in levels):
        return f'{topic!r}: + stands for a whole level: "home/+/state"'
    return None


@source(
    "mqtt",
    fields=MqttFields,
    identity=("url", "connection", "topics", "qos", "share", "client_id", "retained", "decode"),
    check=_check,
    guarantee="qos 1 at least once, repeats have no identity of their own (dedup); qos 0 at most "
    "once",
    examples=[
        "mqtt: {url: 'mqtt://127.0.0.1', topics: ['home/+/temperature']}",
        "mqtt: {connection: home, topics: ['alarm/#'], retained: false, decode: text}",
    ],
)
async def mqtt(config: Subscribe, emit: Emit, context: SourceContext) -> None:
    """Messages of topics."""
    from reactor.connectors.mqtt.session import Subscription, session, will_of

    if config.qos not in (0, 1):
        raise SourceFailed(_NO_QOS_2, fatal=True)
    prefix = "" if config.share is None else f"$share/{config.share}/"
    wanted = [
        Subscription(prefix + topic, config.qos, retained=config.retained)
        for topic in config.topics
    ]
    places, last = await context.places(), config.will
    async with session(
        server_of(config, context.connection),
        identifier=config.client_id or await _client_id(context, places),
        persistent=config.session == "persistent",
        will=None if last is None else will_of(last.topic, last.text, last.qos, retain=last.retain),
    ) as line:
        asked = [[one.topic, one.qos] for one in wanted]
        # Subscribing again would bring what is retained again: it is enough that both remember.
        if not (line.session_present and places.get("subscribed") == asked):
            old = {topic for topic, _ in places.get("subscribed") or ()}
            await line.forget(sorted(old - {one.topic for one in wanted}))
            await line.subscribe_to(wanted)
            await context.keep({"subscribed": asked})
        context.up(_detail(config.topics, line.identifier, dropped=0))
        await _follow(line, config, emit, context)


async def _follow(line: Any, config: Subscribe, emit: Emit, context: SourceContext) -> None:
    said, look_secs = 0, 0.0
    while True:
        messages = await line.take(_MOST)
        events = [
            _received(message, config.decode)
            for message in messages
            if config.retained or not message.retain
        ]
        if events:
            await emit.many(events)
        # Only now: what is acknowledged is on disk here.
        line.acknowledge(messages)
        if line.dropped > said:
            said = line.dropped
            context.log.warning(
                "messages of qos 0 came faster than they could be stored: some are lost",
                extra={"lost": said},
            )
            context.up(_detail(config.topics, line.identifier, dropped=said))
        if context.clock.monotonic_secs() >= look_secs:
            look_secs = context.clock.monotonic_secs() + _LAG_SECS
            context.lag(len(line))


async def _client_id(context: SourceContext, places: Mapping[str, Any]) -> str:
    """Our name at the broker, made at the first start and kept: the session belongs to it."""
    known = places.get("client_id")
    if isinstance(known, str):
        return known
    name = f"reactor-{round(context.chance() * 16**12):012x}"
    await context.keep({"client_id": name})
    return name


def _detail(topics: Sequence[str], client_id: str, *, dropped: int) -> str:
    detail = f"listens to {', '.join(topics)} as {client_id}"
    return f"{detail}; {dropped} messages of qos 0 were lost" if dropped else detail


def _received(message: Any, form: Form) -> Received:
    properties = _properties(message)
    user = properties.get("user", {})
    headers = {**user, "content-type": properties.get("content_type", "application/json")}
    payload = read_payload(form, message.payload, headers)
    fields = {
        "topic": message.topic,
        "qos": message.qos,
        "retained": message.retain,
        "properties": properties,
    }
    return payload.received(fields)


def _properties(message: Any) -> dict[str, Any]:
    """What MQTT 5 says beside the payload."""
    given = getattr(message, "properties", None)
    if given is None:
        return {}
    found: dict[str, Any] = {}
    if pairs := getattr(given, "UserProperty", None):
        found["user"] = dict(pairs)
    for name, attribute in (
        ("content_type", "ContentType"),
        ("response_topic", "ResponseTopic"),
        ("correlation_data", "CorrelationData"),
    ):
        if (value := getattr(given, attribute, None)) is not None:
            found[name] = value
    return found
