"""What reactor.yaml and the environment change in a running daemon."""

import ssl
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from socket import create_connection
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.system.conftest import eventually

WHO = """
flow: who
when:
  http: {path: /who, verify: none, respond: {when: done}}
output: {address: "${{ event.address }}", name: "${{ env.WHO_NAME }}"}
do: [{log: hi}]
"""


def settings(daemon: Any, text: str) -> None:
    """Write reactor.yaml."""
    (daemon.folder / "reactor.yaml").write_text(text)


def test_a_flag_beats_the_environment_and_that_the_file(daemon: Any) -> None:
    """`listen` of the file, of the environment, of the flag: the last one that is given counts."""
    settings(daemon, "server: {listen: '127.0.0.2:0'}\n")
    daemon.start(listen=None)
    addresses = [daemon.address]
    daemon.stop()
    daemon.environ["REACTOR_SERVER_LISTEN"] = "127.0.0.3:0"
    daemon.start(listen=None)
    addresses.append(daemon.address)
    daemon.stop()
    daemon.start(listen="127.0.0.4:0")
    addresses.append(daemon.address)

    hosts = [address.partition(":")[0] for address in addresses]

    assert hosts == ["127.0.0.2", "127.0.0.3", "127.0.0.4"]


def test_flows_read_only_listed_variables(daemon: Any) -> None:
    """`env` names what flows may read; a flow that reads another one does not load."""
    settings(daemon, "env: [WHO_NAME]\n")
    daemon.environ |= {"WHO_NAME": "ann", "OTHER": "x"}
    daemon.flow("who", WHO)
    daemon.flow("bad", WHO.replace("WHO_NAME", "OTHER"))
    daemon.start()

    answer = daemon.post("/who", {})

    assert answer.json["name"] == "ann"
    assert daemon.flow_states()["bad.yaml"] == "broken"


def test_a_trusted_proxy_says_who_called(daemon: Any) -> None:
    """X-Forwarded-For counts only when it comes from a listed address."""
    daemon.environ |= {"WHO_NAME": "x", "REACTOR_ENV": "WHO_NAME"}
    daemon.flow("who", WHO)
    daemon.start()
    stranger = daemon.post("/who", {}, X_Forwarded_For="203.0.113.7").json
    daemon.stop()
    settings(daemon, "server: {trusted_proxies: [127.0.0.0/8]}\n")
    daemon.start()

    trusted = daemon.post("/who", {}, X_Forwarded_For="203.0.113.7").json

    assert (stranger["address"], trusted["address"]) == ("127.0.0.1", "203.0.113.7")


def test_connections_are_bounded(daemon: Any) -> None:
    """Over `max_connections` a client is answered 503; when one leaves there is room again."""
    settings(daemon, "server: {max_connections: 2}\n")
    daemon.start()
    host, _, port = daemon.address.partition(":")
    with create_connection((host, int(port))) as one, create_connection((host, int(port))) as two:
        for held in (one, two):
            held.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert held.recv(12) == b"HTTP/1.1 200"

        refused = daemon.get("/healthz")

    assert refused.status == 503
    assert "Retry-After" in refused.headers
    eventually(lambda: daemon.get("/healthz").status == 200, "room for a client")


def test_webhooks_over_tls(daemon: Any, tmp_path: Path) -> None:
    """With `server.tls` the listener speaks HTTPS with that certificate."""
    certificate, key = make_certificate(tmp_path)
    settings(daemon, f"server: {{tls: {{cert: {certificate}, key: {key}}}}}\nenv: [WHO_NAME]\n")
    daemon.environ["WHO_NAME"] = "x"
    daemon.flow("who", WHO)
    daemon.start()
    trusting = ssl.create_default_context(cafile=str(certificate))

    connection = HTTPSConnection(daemon.address, timeout=30, context=trusting)
    connection.request("POST", "/who", b"{}", {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()

    assert status == 200


def test_clients_with_a_certificate(daemon: Any, tmp_path: Path) -> None:
    """With `client_ca` a route may want a client certificate; who shows none is refused."""
    certificate, key = make_certificate(tmp_path)
    tls = f"cert: {certificate}, key: {key}, client_ca: {certificate}"
    settings(daemon, f"server: {{tls: {{{tls}}}}}\n")
    hook = "http: {path: /hi, verify: {mtls: 127.0.0.1}}"
    daemon.flow("hi", f"flow: hi\nwhen: {{{hook}}}\ndo: [{{log: hi}}]\n")
    daemon.start()

    statuses = []
    for shows in (False, True):
        trusting = ssl.create_default_context(cafile=str(certificate))
        if shows:
            trusting.load_cert_chain(certificate, key)
        connection = HTTPSConnection(daemon.address, timeout=30, context=trusting)
        connection.request("POST", "/hi", b"{}", {"Content-Type": "application/json"})
        statuses.append(connection.getresponse().status)
        connection.close()

    assert statuses == [401, 202]


def test_a_certificate_that_cannot_be_used(daemon: Any) -> None:
    """Exit 78, the files are named."""
    settings(daemon, "server: {tls: {cert: none.pem, key: none.key}}\n")

    daemon.spawn("--listen", "127.0.0.1:0")

    assert daemon.wait() == 78
    assert daemon.said("none.pem and none.key cannot be used")


def test_a_webhook_without_verify_wants_loopback(daemon: Any) -> None:
    """On an address of the network `verify: none` is refused, and the source says why."""
    daemon.flow("hi", "flow: hi\nwhen: {http: {path: /hi, verify: none}}\ndo: [{log: hi}]\n")
    daemon.start(listen="0.0.0.0:0")
    daemon.address = daemon.address.replace("0.0.0.0", "127.0.0.1")

    answer = daemon.post("/hi", {})

    assert answer.status == 404
    (source,) = daemon.api.get("sources")["items"]
    assert source["state"] == "stopped"
    assert "server.allow_unauthenticated" in source["detail"]


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files[1].write_bytes(private)
    return files
