"""A real Apache Kafka for tests: one KRaft broker, its jars fetched by Maven once."""

import os
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar

import pytest

from tests.brokers.certificates import Certificates
from tests.brokers.server import Server, ask, free_port, program

VERSION = "4.1.0"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reactor-tests"
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>reactor.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
_FETCH_SECS = 300.0
# A request ApiVersions, version 0, correlation 7: what every client asks first.
_VERSIONS = b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff"
USERS = {"ann": "correct horse", "bob": "staple"}


def jars() -> Path:
    """The folder of Kafka's jars, fetched by Maven if they are not in the cache yet."""
    found = _CACHE / f"kafka-{VERSION}" / "lib"
    if found.exists():
        return found
    maven = program("mvn", "maven")
    found.parent.mkdir(parents=True, exist_ok=True)
    # Two tests may fetch at the same time: each into a folder of its own, the first one stays.
    folder = Path(mkdtemp(dir=found.parent))
    (folder / "pom.xml").write_text(_POM)
    command = [maven, "-q", "-B", "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={folder}/lib", "-DincludeScope=runtime"]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_SECS, check=False
    )
    if ran.returncode != 0:
        missing = f"Maven cannot fetch Kafka's jars: {ran.stdout[-1000:]}"
        if os.environ.get("REACTOR_REQUIRE_BROKERS") == "1":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    with suppress(OSError):
        (folder / "lib").rename(found)
    return found


class Kafka(Server):
    """Kafka; with `strict` each append is on disk before it is answered.

    `advertise` is the port that clients are sent to: that of a proxy before it. `protocol` is that
    of its listener; those with SASL know `USERS` by PLAIN and SCRAM-SHA-256, those with SSL show
    `certificates` and want to see one of the same authority. `settings` are more lines of
    server.properties.
    """

    name: ClassVar[str] = "java"
    package: ClassVar[str] = "default-jre-headless"

    def __init__(
        self,
        *,
        strict: bool = True,
        protocol: str = "PLAINTEXT",
        certificates: Certificates | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.jars = jars()
        self.strict = strict
        self.protocol = protocol
        self.certificates = certificates
        self.settings = dict(settings or {})
        self.advertise: int | None = None
        self.controller = free_port()

    @property
    def address(self) -> str:
        """Where clients begin."""
        return f"127.0.0.1:{self.advertise or self.port}"

    def prepare(self) -> None:
        """Write server.properties and format the log folder."""
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller}",
            "listeners": f"CLIENT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            "advertised.listeners": f"CLIENT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,CLIENT:{self.protocol}",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "3",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # Or the topic that a test has misspelled would be there.
            "auto.create.topics.enable": "false",
            **({"log.flush.interval.messages": "1"} if self.strict else {}),
            **(self._with_users() if self.protocol.startswith("SASL") else {}),
            **self._with_tls(),
            **self.settings,
        }
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        (self.folder / "server.properties").write_text(text)
        users = []
        if self.protocol.startswith("SASL"):
            for name, password in USERS.items():
                users += ["--add-scram", f"SCRAM-SHA-256=[name={name},password={password}]"]
        cluster = urlsafe_b64encode(b"reactor-" + os.urandom(8)).decode().rstrip("=")
        properties = str(self.folder / "server.properties")
        format_ = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties]
        self.run(*self._java(), *format_, *users)

    def command(self) -> Sequence[str]:
        """The broker with its configuration."""
        return [*self._java(), "kafka.Kafka", str(self.folder / "server.properties")]

    def answers(self) -> bool:
        """Whether it answers a client's first request."""
        return ask(self.port, _VERSIONS, tls=self.certificates)[4:8] == b"\x00\x00\x00\x07"

    def _java(self) -> list[str]:
        small = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return [self.program, *small, "-cp", f"{self.jars}/*"]

    def _with_tls(self) -> dict[str, str]:
        if self.certificates is None:
            return {}
        shown = self.folder / "shown.pem"
        shown.write_bytes(self.certificates.key.read_bytes() + self.certificates.cert.read_bytes())
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(shown),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.authority),
            "listener.name.client.ssl.client.auth": "required",
        }

    def _with_users(self) -> dict[str, str]:
        first, password = next(iter(USERS.items()))
        known = " ".join(f'user_{name}="{word}"' for name, word in USERS.items())
        module = "org.apache.kafka.common.security"
        mine = f'username="{first}" password="{password}"'
        return {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config": (
                f"{module}.plain.PlainLoginModule required {mine} {known};"
            ),
            "listener.name.client.scram-sha-256.sasl.jaas.config": (
                f"{module}.scram.ScramLoginModule required {mine};"
            ),
        }
