"""Which Kafka, and how it is reached: as a connection or beside the topics of a flow."""

import hashlib
from typing import Annotated, Any, Literal

import msgspec

from reactor.errors import NotFound
from reactor.plugin.context import Connection
from reactor.plugin.decode import decode
from reactor.plugin.reach import Tls, tls_context
from reactor.plugin.spec import Complaint, Config, doc

PORT = 9092
# New partitions, and topics that fit a pattern, are seen within this time.
METADATA_MS = 30_000


class Sasl(Config, frozen=True):
    """Who we are."""

    user: Annotated[str, doc("The user's name.", "reactor")]
    password: Annotated[str, doc("The password.", "${{ secrets.kafka }}")]
    mechanism: Annotated[
        Literal["plain", "scram-sha-256", "scram-sha-512"],
        doc("How the password is shown; plain only inside TLS."),
    ] = "plain"


class Cluster(Config, frozen=True):
    """A Kafka cluster."""

    brokers: Annotated[
        list[str],
        doc("Brokers to begin with, as host or host:port.", ["kafka1:9092"], strict=True),
    ]
    sasl: Annotated[Sasl | None, doc("User and password.")] = None
    tls: Annotated[bool | Tls, doc("Whether the brokers speak TLS, and by which files.")] = False


class Reached(Config, frozen=True):
    """The part of a trigger or step that says which cluster: a connection, or the cluster here."""

    connection: Annotated[
        str | None,
        doc("The connection of kind kafka; it may be left out where there is only one.", "main"),
    ] = None
    brokers: Annotated[
        list[str] | None,
        doc("Brokers to begin with, instead of a connection.", ["kafka1:9092"], strict=True),
    ] = None
    sasl: Annotated[Sasl | None, doc("User and password, with brokers.")] = None
    tls: Annotated[bool | Tls, doc("With brokers: whether they speak TLS, and by which files.")] = (
        False
    )


def check_reached(written: Any) -> list[Complaint]:
    """What is wrong with the part of a config that says which cluster."""
    found: list[Complaint] = []
    if "brokers" not in written:
        found += [
            ((name,), f"{name} belongs to brokers: write both, or put both into the connection")
            for name in ("sasl", "tls")
            if name in written
        ]
    elif "connection" in written:
        found.append((("connection",), "connection takes the place of brokers: drop one"))
    if written.get("brokers") == []:
        found.append((("brokers",), "brokers names at least one: [kafka1:9092]"))
    return found


def find_cluster(config: Reached, find: Any) -> Cluster:
    """The cluster that a config names; `find` is `context.connection`. Raises `NotFound`."""
    if config.brokers is not None:
        return Cluster(brokers=config.brokers, sasl=config.sasl, tls=config.tls)
    try:
        found: Connection = find("kafka", config.connection)
    except NotFound as error:
        raise NotFound(f"{error}, or brokers: [host:port]") from error
    cluster: Cluster = decode(dict(found.config), Cluster)
    return cluster


def digest(cluster: Cluster) -> str:
    """A name for a cluster and how it is reached, from which no secret can be read."""
    return hashlib.sha256(msgspec.json.encode(cluster)).hexdigest()[:16]


def address(broker: str) -> tuple[str, int]:
    """Host and port of a broker as written; ValueError where there is none."""
    host, colon, port = broker.rpartition(":")
    if not colon or broker.endswith("]"):
        host, port = broker, str(PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"broker {broker!r} is no host:port")
    return host.strip("[]"), int(port)


def options(cluster: Cluster) -> dict[str, Any]:
    """What aiokafka takes to reach a cluster; ValueError names a file that does not do."""
    given: dict[str, Any] = {"security_protocol": "PLAINTEXT"}
    if cluster.tls:
        tls = Tls() if cluster.tls is True else cluster.tls
        given = {"security_protocol": "SSL", "ssl_context": tls_context(tls)}
    if cluster.sasl is not None:
        given["security_protocol"] = f"SASL_{given['security_protocol']}"
        given["sasl_mechanism"] = cluster.sasl.mechanism.upper()
        given["sasl_plain_username"] = cluster.sasl.user
        given["sasl_plain_password"] = cluster.sasl.password
    return given
