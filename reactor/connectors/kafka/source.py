"""The `kafka` source: records of topics, stored and then committed."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from reactor.connectors.kafka.cluster import (
    METADATA_MS,
    Cluster,
    Reached,
    check_reached,
    find_cluster,
    options,
)
from reactor.errors import ReactorError, SourceFailed
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.payload import Form
from reactor.plugin.spec import Complaint, Fields, connection, doc, source

_START_SECS = 8.0
_STOP_SECS = 0.5
_SHOWN_TOPICS = 5


class Topics(Reached, frozen=True):
    """Which records, as which member."""

    topics: Annotated[list[str] | None, doc("The topics to read.", ["orders"], strict=True)] = None
    pattern: Annotated[
        str | None,
        doc("A regular expression: topics whose whole name it fits, new ones too.", r"orders\..+"),
    ] = None
    group: Annotated[
        str,
        doc(
            "The consumer group. Daemons of one group share the partitions. Without one, a group "
            "of this trigger's own."
        ),
    ] = ""
    start: Annotated[
        Literal["earliest", "latest"],
        doc("Where to begin if neither Reactor nor the group has read here before."),
    ] = "earliest"
    decode: Annotated[Form, doc("What a record's value is.")] = "json"


class KafkaFields(Fields, frozen=True, kw_only=True):
    """What a record brings."""

    topic: Annotated[str, doc("The record's topic.")]
    partition: Annotated[int, doc("The record's partition.")]
    offset: Annotated[int, doc("The record's offset in its partition.")]
    headers: Annotated[
        dict[str, Any], doc("The record's headers: text, or bytes where it is not UTF-8.")
    ]
    timestamp: Annotated[Any, doc("The record's time; event.time is the same.")]
    cloudevent: Annotated[
        dict[str, Any], doc("With decode: cloudevent: the attributes, such as id and source.")
    ]


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from check_reached(written)
    if written.get("topics") == []:
        yield ("topics",), "topics names at least one: [orders]"
    pattern = written.get("pattern")
    if isinstance(pattern, str) and "${{" not in pattern and (wrong := _pattern_problem(pattern)):
        yield ("pattern",), wrong


def _pattern_problem(pattern: str) -> str | None:
    import re

    try:
        re.compile(pattern)
    except re.error as error:
        return f"pattern {pattern!r} is no regular expression: {error}"
    if "*" in pattern and not re.search(r"[.\])]\*", pattern):
        dotted = pattern.replace("*", ".*")
        return f"pattern is a regular expression, in which any text is .*: {dotted}"
    return None


@connection("kafka")
async def probe(config: Cluster) -> str:
    """A Kafka cluster."""
    from reactor.connectors.kafka.asking import ask

    answer = await ask(config)
    return f"{len(answer.brokers)} brokers, {len(answer.topics)} topics"


@source(
    "kafka",
    fields=KafkaFields,
    # Another `start` is no reason to read all again.
    identity=("connection", "brokers", "topics", "pattern", "group", "decode"),
    one_of=[("topics", "pattern")],
    check=_check,
    guarantee="at least once; exactly once while the partition stays with this daemon",
    examples=[
        "kafka: {brokers: [kafka1:9092], topics: [orders], group: billing}",
        'kafka: {connection: main, pattern: "orders[.].+", start: latest, decode: text}',
        """\
kafka:
  brokers: [kafka1:9093]
  tls: {ca: /etc/ssl/kafka.pem}
  sasl: {user: reactor, password: "${{ secrets.kafka }}", mechanism: scram-sha-512}
  topics: [orders]""",
    ],
)
async def kafka(config: Topics, emit: Emit, context: SourceContext) -> None:
    """Records of Kafka topics; the value of a tombstone is null."""
    from reactor.connectors.kafka.asking import ask
    from reactor.connectors.kafka.reader import Reader

    try:
        cluster = find_cluster(config, context.connection)
    except ReactorError as error:
        raise SourceFailed(str(error)) from error
    answer = await ask(cluster)
    topics = config.topics or []
    _look_for(topics, answer.topics)
    group = config.group or context.instance.replace(":", "-")
    async with member(cluster, group) as consumer:
        reader = Reader(
            consumer, emit, context, answer=answer, form=config.decode, start=config.start
        )
        await reader.run(topics, None if config.pattern is None else rf"(?:{config.pattern})\Z")


def _look_for(topics: Iterable[str], there: frozenset[str]) -> None:
    """Raise if a topic is not there: waiting for it would only look as if all were well."""
    for topic in topics:
        if topic in there:
            continue
        guess = get_close_matches(topic, there, 1)
        shown = ", ".join(sorted(there)[:_SHOWN_TOPICS])
        if guess:
            hint = f"did you mean {guess[0]}"
        elif there:
            hint = f"there are {shown}" + (" …" if len(there) > _SHOWN_TOPICS else "")
        else:
            hint = "there is none that this user may see"
        raise SourceFailed(f"there is no topic {topic!r} (create it, or correct topics): {hint}")


@asynccontextmanager
async def member(cluster: Cluster, group: str) -> AsyncIterator[Any]:
    """A member of the group that commits nothing by itself."""
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import KafkaError

    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.brokers,
        client_id="reactor",
        metadata_max_age_ms=METADATA_MS,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        heartbeat_interval_ms=1000,
        **options(cluster),
    )
    try:
        async with asyncio.timeout(_START_SECS):
            await consumer.start()
        yield consumer
    except TimeoutError as error:
        raise SourceFailed(f"no broker answers in {_START_SECS:g} s", lost=True) from error
    except KafkaError as error:
        message = f"group {group!r}: {error}"
        raise SourceFailed(message, lost=bool(error.retriable)) from error
    finally:
        await _leave(consumer)


async def _leave(consumer: Any) -> None:
    """Leave the group; a broker that does not answer must not hold us up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECS):
            await consumer.stop()
            return
    # It was cut off before it had ended its tasks and closed its connections.
    coordinator, fetcher, client = consumer._coordinator, consumer._fetcher, consumer._client  # noqa: SLF001
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECS):
            if coordinator is not None:
                await coordinator._stop_heartbeat_task()  # noqa: SLF001
                await coordinator._stop_commit_offsets_refresh_task()  # noqa: SLF001
            if fetcher is not None:
                await fetcher.close()
            await client.close()
