"""What hostile and broken clients send, over real sockets: refused, and the listener lives on."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reactor.model.http import Reply

HOST = b"Host: a\r\n"
POST = b"POST /hook HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"

MALFORMED = {
    "length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "two different lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "signed length": POST + b"Content-Length: +3\r\n\r\nabc",
    "hex length": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "huge length": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "bare lf after the line": b"GET /healthz HTTP/1.1\n" + HOST + b"\r\n",
    "bare lf after a header": b"GET /healthz HTTP/1.1\r\nHost: a\n\r\n",
    "bare lf at the end": b"GET /healthz HTTP/1.1\r\nHost: a\r\n\n",
    "bare cr": b"GET /healthz HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "folded header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "nul in a header": POST + b"X: a\0b\r\n\r\n",
    "byte 255 in a name": POST + b"X\xff: a\r\n\r\n",
    "empty name": POST + b": a\r\n\r\n",
    "chunk with bare lf": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "chunk too long": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk size in words": CHUNKED + b"three\r\nabc\r\n0\r\n\r\n",
    "chunk size with prefix": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "negative chunk": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "overflowing chunk": CHUNKED + b"f" * 17 + b"\r\nabc\r\n0\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two equal hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
    "list of hosts": b"GET /healthz HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "chunks in 1.0": b"POST /hook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip encoding": POST + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "gzip and chunks": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "nearly chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "absolute target": b"GET http://a/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "target without slash": b"GET healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "star for get": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /healthz#a HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw bytes in the target": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "control byte in the target": b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "encoded slash": b"GET /a%2fb HTTP/1.1\r\n" + HOST + b"\r\n",
    "dot segments": b"GET /a/../healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "encoded dots": b"GET /%2e%2e/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "encoded nul": b"GET /healthz%00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "upgrade": b"GET /healthz HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" + HOST + b"\r\n",
    "upgrade without connection": b"GET /healthz HTTP/1.1\r\nUpgrade: h2c\r\n" + HOST + b"\r\n",
    "upgrade with a body": POST
    + b"Connection: upgrade\r\nUpgrade: a\r\nContent-Length: 3\r\n\r\nabc",
    "connect": b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version 2": b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n",
    "version 0.9": b"GET /healthz HTTP/0.9\r\n" + HOST + b"\r\n",
    "version 1.2": b"GET /healthz HTTP/1.2\r\n" + HOST + b"\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "lower case method": b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "other expectation": POST + b"Expect: 200-ok\r\n\r\n",
    "long header": POST + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
    "long target": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "many headers": POST + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"\r\n",
    "many query names": b"GET /healthz?" + b"a&" * 1001 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "long chunk extension": CHUNKED + b"3;" + b"a" * 60_000 + b"\r\nabc\r\n0\r\n\r\n",
    "long trailers": CHUNKED + b"0\r\n" + b"X: aaaaaaaaaaaaaaaa\r\n" * 3_000 + b"\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_not_http_as_we_take_it_is_refused(site, name):
    """400 and the end of the connection, whatever follows; no route hears of it."""
    async with site.client() as client:
        await client.send(MALFORMED[name] + HEALTH)
        status, headers, body = await client.answer()
        client.writer.close()
        rest = await client.rest()

    assert (status, headers["connection"], rest) == (400, "close", b"")
    assert body.startswith(b'{"error": "malformed HTTP: ')
    assert site.heard == []


@pytest.mark.parametrize("name", MALFORMED)
async def test_it_is_refused_byte_by_byte_too(site, name):
    """Where the bytes are cut changes nothing."""
    data = MALFORMED[name]
    size = 1 if len(data) < 500 else 777
    async with site.client() as client:
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
        await client.send(HEALTH)

        assert (await client.answer())[0] == 400
    assert site.heard == []


async def test_what_came_before_is_answered_first(bare):
    """A broken request behind a good one does not take away its answer."""
    await bare.start()
    await bare.serve(answer=bare.hold)
    async with bare.client() as client:
        await client.send(POST + b"Content-Length: 1\r\n\r\nxGARBAGE\r\n\r\n")
        (await bare.held())(Reply(202))

        assert [(await client.answer())[0] for _ in range(2)] == [202, 400]


async def test_a_trailer_is_no_header_of_the_next_request(site):
    """Trailers are dropped, also those that would change how the next request is read."""
    trailers = b"0\r\nX-Admin: 1\r\nUpgrade: a\r\nExpect: a\r\n\r\n"
    async with site.client() as client:
        await client.send(CHUNKED + trailers + POST + b"\r\n")

        assert [(await client.answer())[0] for _ in range(2)] == [200, 200]
    assert all("x-admin" not in request.headers for request in site.heard)


async def test_a_trailer_that_says_close_is_heeded(site):
    """The answer says close, and what follows is not read."""
    async with site.client() as client:
        await client.send(CHUNKED + b"0\r\nConnection: close\r\n\r\n" + POST + b"\r\n")
        status, headers, _ = await client.answer()

        assert (status, headers["connection"], await client.rest()) == (200, "close", b"")
    assert len(site.heard) == 1


async def test_a_large_body_is_refused_from_its_head(site):
    """413 before the body is sent."""
    status, headers, body = await site.ask(POST + b"Content-Length: 1001\r\n\r\n")

    assert (status, headers["connection"]) == (413, "close")
    assert b"larger than 1000 bytes" in body


async def test_an_endless_chunked_body_is_cut_off(site):
    """413 as soon as the limit is passed, while the client still sends."""
    async with site.client() as client:
        await client.send(CHUNKED)
        sending = asyncio.create_task(send_on(client, b"400\r\n" + b"x" * 1024 + b"\r\n"))
        status, *_ = await client.answer()
        sending.cancel()

    assert status == 413
    assert site.heard == []


async def send_on(client, data):
    """Send the same bytes for ever."""
    while True:
        await client.send(data)
        await asyncio.sleep(0)


async def test_very_small_chunks_are_cut_off(bare):
    """A body of single bytes costs more than it carries."""
    await bare.start()
    await bare.serve(max_body=1 << 20)

    status, _, body = await bare.ask(CHUNKED + b"1\r\nx\r\n" * 30_000)

    assert status == 400
    assert b"very small chunks" in body


async def test_the_largest_body_is_taken(site):
    """The limit itself is fine, in one piece and in chunks."""
    whole = await site.ask(POST + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000)
    chunked = await site.ask(
        CHUNKED + b"1f4\r\n" + b"x" * 500 + b"\r\n1F4\r\n" + b"x" * 500 + b"\r\n0\r\n\r\n"
    )

    assert whole[2] == chunked[2] == b'{"length": 1000}'


async def test_the_longest_head_is_taken(site):
    """A hundred headers and nearly 16 KiB are fine."""
    headers = b"".join(b"X-%02d: %s\r\n" % (n, b"a" * 140) for n in range(99))

    assert (await site.ask(POST + headers + b"\r\n"))[0] == 200


@pytest.mark.parametrize(
    ("limits", "sent", "status"),
    [
        ({"head_secs": 0.01}, b"POST /hook HT", 408),
        ({"head_secs": 0.01}, POST + b"X: ", 408),
        ({"body_secs": 0.01}, POST + b"Content-Length: 9\r\n\r\nabc", 408),
        ({"body_secs": 0.01}, CHUNKED + b"3\r\nab", 408),
    ],
)
async def test_half_a_request_has_a_deadline(bare, limits, sent, status):
    """A head and a body must be complete in time; the answer says so."""
    await bare.start(limits=limits)
    await bare.serve()

    assert (await bare.ask(sent))[0] == status
    await bare.empty()


async def test_a_trickle_does_not_move_the_deadline(bare):
    """A head that grows by a byte now and then ends as one that stands still."""
    await bare.start(limits={"head_secs": 0.05})
    async with bare.client() as client:
        trickle = asyncio.create_task(send_on(client, b"X"))
        await client.send(b"POST /hook HTTP/1.1\r\n")
        status, *_ = await client.answer()
        trickle.cancel()

    assert status in {400, 408}  # 400 when 16 KiB came first


@pytest.mark.parametrize("sent", [b"", HEALTH])
async def test_an_idle_connection_is_closed(bare, sent):
    """Silence ends a connection, before the first request and after the last."""
    await bare.start(limits={"head_secs": 0.01, "idle_secs": 0.01})
    async with bare.client() as client:
        await client.send(sent)

        rest = await client.rest()

    assert rest.count(b"HTTP/1.1") == (1 if sent else 0)


async def test_a_request_that_waits_has_no_deadline(bare):
    """While we owe the answer the client may be silent, also with the next head half sent."""
    await bare.start(limits={"head_secs": 0.01, "body_secs": 0.01, "idle_secs": 0.01})
    await bare.serve(answer=bare.hold)
    async with bare.client() as client:
        await client.send(POST + b"\r\nPOST /hook HTTP/1.1\r\n")
        respond = await bare.held()
        async with bare.client() as other:
            await other.rest()  # its deadline passed meanwhile
        respond(Reply(202))

        assert (await client.answer())[0] == 202


async def test_half_heads_on_many_connections_leave_room_for_others(bare):
    """Two hundred stalled clients do not stop the next one, and are gone after the deadline."""
    await bare.start(limits={"head_secs": 0.3})
    await bare.serve()
    stalled = [await asyncio.open_connection("127.0.0.1", bare.port) for _ in range(200)]
    for _, writer in stalled:
        writer.write(b"POST /hook HTTP/1.1\r\nX: ")

    assert (await bare.ask(POST + b"\r\n"))[0] == 200
    await bare.empty()
    for _, writer in stalled:
        writer.close()


@pytest.mark.parametrize("limits", [{"connections": 2}, {"per_address": 2}])
async def test_too_many_connections_are_turned_away(bare, limits):
    """503 with Retry-After, and a place is free again when one leaves."""
    await bare.start(limits=limits)
    async with bare.client() as first, bare.client() as second:
        for client in (first, second):
            await client.send(HEALTH)
            assert (await client.answer())[0] == 200
        async with bare.client() as third:
            status, headers, _ = await third.answer()
            assert (status, headers["retry-after"], await third.rest()) == (503, "1", b"")
    await bare.empty()

    assert (await bare.ask(HEALTH))[0] == 200


async def test_a_trusted_proxy_may_have_more_connections(bare):
    """Behind a proxy all clients have one address, so only the whole is limited."""
    await bare.start(limits={"per_address": 1}, trusted_proxies=["127.0.0.1"])
    async with bare.client() as first:
        await first.send(HEALTH)
        await first.answer()

        assert (await bare.ask(HEALTH))[0] == 200


async def test_a_flood_of_unknown_paths_leaves_nothing_behind(site):
    """404 a thousand times; the table does not grow."""
    async with site.client() as client:
        for number in range(1000):
            await client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            assert (await client.answer())[0] == 404

    assert set(site.table._exact) == {"/healthz", "/readyz", "/hook"}


async def test_tls(bare, tmp_path):
    """The same protocol behind a certificate; plain text is turned down."""
    server, client = tls_contexts(tmp_path)
    await bare.start(tls=server)
    await bare.serve()

    async with bare.client(ssl=client, server_hostname="127.0.0.1") as secure:
        await secure.send(POST + b"Content-Length: 3\r\n\r\nabc")
        answer = await secure.answer()
        await secure.send(b"GARBAGE\r\n\r\n")
        refused = await secure.answer()
    async with bare.client() as plain:
        await plain.send(HEALTH)
        nothing = await plain.rest()

    assert (answer[0], answer[2], refused[0]) == (200, b'{"length": 3}', 400)
    assert b"HTTP/1.1" not in nothing


def tls_contexts(folder):
    """A server's and a client's context around a certificate made for this test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))
