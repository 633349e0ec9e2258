"""Kafka over TLS: the server's certificate, ours, and a user inside."""

import pytest

from reactor.connectors.kafka.action import publish
from reactor.connectors.kafka.cluster import Cluster, options
from reactor.connectors.kafka.source import kafka as source_kafka
from reactor.plugin.decode import decode
from tests.brokers.certificates import Certificates
from tests.brokers.kafka import USERS, Kafka
from tests.brokers.listening import Ears, listening
from tests.connectors.kafka.conftest import Topic

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ANN = {"user": "ann", "password": USERS["ann"], "mechanism": "scram-sha-256"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Whom broker and clients trust."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(certificates):
    """A broker that speaks TLS only, and asks for a certificate and for a user."""
    with Kafka(protocol="SASL_SSL", certificates=certificates) as server:
        yield server


@pytest.fixture
def tls(certificates):
    """What a flow writes under `tls`."""
    return {
        "ca": str(certificates.authority),
        "cert": str(certificates.cert),
        "key": str(certificates.key),
    }


async def test_records_go_and_come_over_tls(server, tls, attempt):
    """`kafka.publish` sends and `kafka` reads, each with the files of `tls` and a user."""
    cluster = {"brokers": [server.address], "tls": tls, "sasl": ANN}
    topic = Topic(server.address, "orders", options(decode(cluster, Cluster)))
    await topic.make()
    ears = Ears()

    await attempt.do(publish, {**cluster, "topic": topic.name, "value": {"id": 1}})
    async with listening(source_kafka, {**cluster, "topics": [topic.name]}, ears) as source:
        await ears.until_heard(1)
        state = source.state.state

    assert ears.data == [{"id": 1}]
    assert state == "up"


async def test_a_certificate_that_nobody_vouches_for_may_be_taken(server, tls):
    """`verify: false` asks no authority: only the topic is missing."""
    unsure = {"verify": False, "cert": tls["cert"], "key": tls["key"]}
    config = {"brokers": [server.address], "tls": unsure, "sasl": ANN, "topics": ["missing"]}

    async with listening(source_kafka, config, Ears()) as source:
        await source.failed("there is no topic 'missing'")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ca": None}, "its certificate is refused: unable to get local issuer certificate"),
        ({"ca": "stranger"}, "its certificate is refused: "),
        ({"cert": None, "key": None}, "wants a certificate of ours that it trusts (tls.cert)"),
    ],
)
async def test_a_wrong_certificate_is_told_in_words(server, tls, tmp_path, wrong, words):
    """Within ten seconds the state names the cause: their certificate, or ours."""
    if wrong.get("ca"):
        wrong = {"ca": str(Certificates(tmp_path).authority)}
    given = {name: file for name, file in {**tls, **wrong}.items() if file is not None}
    config = {"brokers": [server.address], "tls": given, "sasl": ANN, "topics": ["orders"]}

    async with listening(source_kafka, config, Ears()) as source:
        said = await source.failed(words, 10)

    assert said.startswith(server.address)
