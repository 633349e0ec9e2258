"""Asks a Kafka cluster who it is; where nobody answers, says why in words."""

import asyncio
import logging
from contextlib import suppress

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest
from msgspec import Struct

from reactor.connectors.kafka.cluster import Cluster, address, options
from reactor.errors import SourceFailed
from reactor.plugin.reach import why

ASK_SECS = 8.0
_BROKER_SECS = 3.0
_CLOSE_SECS = 0.5

# It repeats itself ten times a second while a broker is away; the source's state says it once.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class Answer(Struct, frozen=True):
    """What a cluster says of itself: its id, its topics, where its brokers say they are."""

    cluster: str
    topics: frozenset[str]
    brokers: tuple[str, ...]


async def ask(cluster: Cluster) -> Answer:
    """The answer of the first broker that gives one; `SourceFailed` says why there is none."""
    try:
        given = options(cluster)
        brokers = [address(broker) for broker in cluster.brokers]
    except ValueError as error:
        raise SourceFailed(str(error)) from error
    reasons = []
    with suppress(TimeoutError):
        async with asyncio.timeout(ASK_SECS):
            for host, port in brokers:
                try:
                    return await _ask(host, port, cluster, given)
                except (OSError, KafkaError, ValueError) as error:
                    reasons.append(_why(error, f"{host}:{port}", cluster))
    raise SourceFailed("; ".join(reasons) or f"no broker answers in {ASK_SECS:g} s", lost=True)


async def _ask(host: str, port: int, cluster: Cluster, given: dict[str, object]) -> Answer:
    connection = await _connect(host, port, given)
    try:
        found = await connection.send(MetadataRequest(None))
    finally:
        await _close(connection)
    brokers = [(broker[1], broker[2]) for broker in found.brokers]
    if brokers and (host, port) not in brokers:
        # Clients go on at the addresses that the brokers give, whatever they began with.
        there = f"{brokers[0][0]}:{brokers[0][1]}"
        try:
            await _close(await _connect(*brokers[0], given))
        except (OSError, KafkaError) as error:
            said = _why(error, there, cluster)
            message = f"{host}:{port} sends us to {there} (advertised.listeners), but {said}"
            raise KafkaConnectionError(message) from None
    topics = frozenset(topic[1] for topic in found.topics if topic[0] == 0)
    return Answer(found.cluster_id or "", topics, tuple(f"{h}:{p}" for h, p in brokers))


async def _connect(host: str, port: int, given: dict[str, object]) -> AIOKafkaConnection:
    limit_ms = round(_BROKER_SECS * 1000)
    return await create_conn(host, port, client_id="reactor", request_timeout_ms=limit_ms, **given)


async def _close(connection: AIOKafkaConnection) -> None:
    """Close a connection; over TLS both ends say good-bye."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECS):
            await connection.close()


def _why(error: BaseException, there: str, cluster: Cluster) -> str:
    user = None if cluster.sasl is None else cluster.sasl.user
    if isinstance(error, SaslAuthenticationFailed):
        return f"{there}: user {user!r} or the password is wrong"
    if isinstance(error, UnsupportedSaslMechanismError):
        offered = str(error).rpartition("mechanisms are: ")[2] or "another one"
        mechanism = "" if cluster.sasl is None else cluster.sasl.mechanism
        return f"{there}: it does not take sasl.mechanism {mechanism}, it takes {offered}"
    if isinstance(error, IllegalSaslStateError):
        return f"{there}: it does not ask for a user: drop sasl"
    reason = why(error, there)
    closed = isinstance(error, KafkaConnectionError) and not isinstance(error.__cause__, OSError)
    if "advertised" in str(error):
        return str(error)
    if cluster.tls and isinstance(error, ConnectionError):
        return f"{there} closes the connection before TLS begins: does the port speak TLS"
    if closed and "closed" in str(error):
        reason = f"{there} closes the connection"
    if closed or isinstance(error, TimeoutError):
        missing = [
            name
            for name, given in (("tls", cluster.tls), ("sasl", cluster.sasl is not None))
            if not given
        ]
        reason += f": does it want {' or '.join(missing)}?" if missing else ""
    return reason
