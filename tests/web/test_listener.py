"""The webhook listener over real sockets: what it serves and how."""

import asyncio
import socket

import pytest

from reactor.errors import BadConfig
from reactor.model.http import Reply
from reactor.plugin.context import Cors
from reactor.web.listener import Listener

HOST = b"Host: a\r\n"


def post(body: bytes, path: bytes = b"/hook", extra: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + extra + length + b"\r\n" + body


def get(path: bytes, extra: bytes = b"", method: bytes = b"GET") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\n" + HOST + extra + b"\r\n"


async def test_a_request_reaches_its_route(site):
    """The answer gets method, path, target, headers, query, body and address."""
    await site.ask(
        post(b"abc", b"/hook?a=1&b=2&b=%C3%A4", b"X-Name: \xff\r\nX-Two: 1\r\nx-two: 2\r\n")
    )

    (heard,) = site.heard
    assert (heard.method, heard.path, heard.target) == (
        "POST",
        "/hook",
        "/hook?a=1&b=2&b=%C3%A4",
    )
    assert heard.headers["x-name"] == "\xff"
    assert heard.headers["x-two"] == "1, 2"
    assert heard.query == {"a": "1", "b": ["2", "ä"]}
    assert (heard.body, heard.address, heard.path_params) == (b"abc", "127.0.0.1", {})


async def test_an_answer_has_date_length_and_type(site):
    """Content-Length, Content-Type and Date stand in each answer with a body."""
    status, headers, body = await site.ask(post(b"abc"))

    assert (status, body) == (200, b'{"length": 3}')
    assert headers["content-length"] == "13"
    assert headers["content-type"] == "application/json"
    assert headers["date"].endswith("GMT")
    assert "connection" not in headers


async def test_a_connection_serves_many_requests(site):
    """Keep-alive is the default of HTTP/1.1."""
    async with site.client() as client:
        for size in range(3):
            await client.send(post(b"x" * size))
            assert (await client.answer())[2] == b'{"length": %d}' % size


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(bare):
    """The second request is not handled before the first has its answer."""
    await bare.start()
    await bare.serve(answer=bare.hold)
    async with bare.client() as client:
        await client.send(post(b"1") + post(b"22") + get(b"/healthz") + post(b"333"))

        for expected in (b"1", b"22"):
            respond = await bare.held()
            assert [request.body for request in bare.heard] == [expected]
            bare.heard.clear()
            respond(Reply(200, expected))
            assert (await client.answer())[2] == expected
        assert (await client.answer())[2] == b'{"status": "ok"}'
        (await bare.held())(Reply(200, b"last"))
        assert (await client.answer())[2] == b"last"


async def test_a_thousand_pipelined_requests_wait_outside(bare):
    """While one request waits for its answer the rest is neither parsed nor handled."""
    await bare.start()
    await bare.serve(answer=bare.hold)
    async with bare.client() as client:
        await client.send(post(b"") * 1000)
        for _ in range(1000):
            respond = await bare.held()
            assert bare._held.empty()
            respond(Reply(204))
        for _ in range(1000):
            assert (await client.answer())[0] == 204
    assert len(bare.heard) == 1000


async def test_pipelined_requests_behind_a_chunked_body_are_all_answered(site):
    """A chunked request ends where its last chunk ends."""
    chunked = b"POST /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"3\r\nabc\r\n4;x=1\r\n\r\n\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n"

    async with site.client() as client:
        await client.send(chunked + post(b"") * 40)
        answers = [await client.answer() for _ in range(41)]

    assert {status for status, _, _ in answers} == {200}
    assert site.heard[0].body == b"abc\r\n\r\n"
    assert "x-trailer" not in site.heard[0].headers | site.heard[1].headers


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
async def test_the_connection_is_kept_as_the_version_says(site, version, connection, kept):
    """HTTP/1.1 keeps it unless told to close, HTTP/1.0 closes it unless told to keep."""
    request = b"POST /hook HTTP/" + version + b"\r\n" + HOST + connection + b"\r\n"

    async with site.client() as client:
        await client.send(request)
        status, headers, _ = await client.answer()
        await client.send(request)
        rest = await asyncio.wait_for(client.reader.read(1), 5)

    assert status == 200
    assert bool(rest) is kept
    assert headers.get("connection") == (
        ("keep-alive" if version == b"1.0" else None) if kept else "close"
    )


async def test_a_client_that_closed_its_side_gets_its_answers(bare):
    """A half-closed connection still hears what it asked for."""
    await bare.start()
    await bare.serve(answer=bare.hold)
    async with bare.client() as client:
        await client.send(post(b"1") + post(b"2"))
        client.writer.write_eof()
        for text in (b"one", b"two"):
            (await bare.held())(Reply(200, text))

        rest = await client.rest()

    assert rest.index(b"one") < rest.index(b"two")


async def test_a_client_that_went_away_harms_nobody(bare):
    """A late or second answer to a closed connection does nothing."""
    await bare.start()
    await bare.serve(answer=bare.hold)
    async with bare.client() as client:
        await client.send(post(b"1"))
        respond = await bare.held()
        client.writer.transport.abort()

    respond(Reply(200, b"x" * 100_000))
    respond(Reply(200))

    await bare.empty()
    assert (await bare.ask(get(b"/healthz")))[0] == 200


async def test_a_second_answer_is_ignored(bare):
    """Only the first call of respond counts."""

    def twice(request, respond):
        respond(Reply(200, b"first"))
        respond(Reply(200, b"second"))

    await bare.start()
    await bare.serve(answer=twice)
    async with bare.client() as client:
        await client.send(post(b"") + post(b"", extra=b"Connection: close\r\n"))

        rest = await client.rest()

    assert rest.count(b"first") == 2
    assert b"second" not in rest


async def test_an_answer_that_fails_is_a_500(bare, caplog):
    """A mistake in a source is logged and the connection lives on."""

    def broken(request, respond):
        raise RuntimeError("broken")

    await bare.start()
    await bare.serve(answer=broken)
    async with bare.client() as client:
        await client.send(post(b""))
        first = await client.answer()
        await client.send(get(b"/healthz"))
        second = await client.answer()

    assert (first[0], second[0]) == (500, 200)
    assert "an answer failed" in caplog.text


async def test_a_header_with_a_line_break_never_leaves(bare):
    """Header injection that passed everything else ends as a 500."""
    await bare.start()
    await bare.serve(
        answer=lambda _, respond: respond(Reply(200, headers=(("X", "1\r\nSet-Cookie: a=b"),)))
    )

    status, headers, _ = await bare.ask(post(b""))

    assert status == 500
    assert "set-cookie" not in headers


async def test_head_has_no_body(bare):
    """HEAD tells the length of what it leaves out."""
    await bare.start()
    async with bare.client() as client:
        await client.send(get(b"/healthz", method=b"HEAD") + get(b"/nothing", method=b"HEAD"))
        status, headers, _ = await client.answer(with_body=False)
        missing, *_ = await client.answer(with_body=False)

    assert (status, headers["content-length"], missing) == (200, "16", 404)


async def test_no_content_has_neither_body_nor_length(bare):
    """204 ends with its head."""
    await bare.start()
    await bare.serve(answer=lambda _, respond: respond(Reply(204, b"ignored")))

    async with bare.client() as client:
        await client.send(post(b"", extra=b"Connection: close\r\n"))
        rest = await client.rest()

    assert rest.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert rest.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in rest


async def test_health_and_readiness(bare):
    """/healthz says that the process lives, /readyz whether it serves."""
    await bare.start()

    assert (await bare.ask(get(b"/healthz")))[0] == 200
    assert (await bare.ask(get(b"/readyz")))[0] == 200
    bare.ready = False
    status, headers, _ = await bare.ask(get(b"/readyz"))
    assert (status, headers["retry-after"]) == (503, "1")
    assert (await bare.ask(get(b"/healthz")))[0] == 200


async def test_another_method_is_told_which_ones_there_are(bare):
    """405 comes with Allow and a sentence, and the body is not waited for."""
    await bare.start()
    await bare.serve(method="POST")
    await bare.serve(method="PUT")

    request = b"PATCH /hook HTTP/1.1\r\n" + HOST + b"Content-Length: 999999\r\n\r\n"
    status, headers, body = await bare.ask(request)

    assert (status, headers["allow"]) == (405, "OPTIONS, POST, PUT")
    assert body == b'{"error": "this path does not take PATCH: use POST or PUT"}'
    assert headers["connection"] == "close"


async def test_an_unknown_path_is_answered_without_its_body(site):
    """404 does not wait for a body, and keeps the connection where there is none left."""
    request = b"POST /other HTTP/1.1\r\n" + HOST + b"Content-Length: 999999\r\n\r\n"

    refused = await site.ask(request)
    async with site.client() as client:
        await client.send(post(b"abc", b"/other") + post(b""))
        first, second = await client.answer(), await client.answer()

    assert (refused[0], refused[1]["connection"]) == (404, "close")
    assert (first[0], second[0]) == (404, 200)


async def test_options_says_what_a_path_takes(site):
    """OPTIONS needs no route of its own."""
    assert (await site.ask(get(b"/hook", method=b"OPTIONS")))[1]["allow"] == "OPTIONS, POST"
    assert (await site.ask(get(b"*", method=b"OPTIONS")))[0] == 204
    assert (await site.ask(get(b"/other", method=b"OPTIONS")))[0] == 404


async def test_a_preflight_is_answered_from_the_route(bare):
    """A page of a listed origin may call; another hears nothing of it."""
    await bare.start()
    await bare.serve(cors=Cors(origins=("https://a.example",), headers=("content-type", "x-b")))
    asks = b"Access-Control-Request-Method: POST\r\n"

    _, listed, _ = await bare.ask(
        get(b"/hook", asks + b"Origin: https://a.example\r\n", b"OPTIONS")
    )
    _, stranger, _ = await bare.ask(get(b"/hook", asks + b"Origin: null\r\n", b"OPTIONS"))
    _, answer, _ = await bare.ask(post(b"", extra=b"Origin: https://a.example\r\n"))
    _, other, _ = await bare.ask(post(b"", extra=b"Origin: https://b.example\r\n"))

    assert listed["access-control-allow-origin"] == "https://a.example"
    assert listed["access-control-allow-methods"] == "POST"
    assert listed["access-control-allow-headers"] == "content-type, x-b"
    assert listed["access-control-max-age"] == "600"
    assert "access-control-allow-origin" not in stranger | other
    assert answer["access-control-allow-origin"] == "https://a.example"
    assert answer["vary"] == other["vary"] == "Origin"


async def test_expect_continue_is_answered_before_the_body(site):
    """A client that waits hears that it may send; one that asks too much hears 413 instead."""
    expect = b"Expect: 100-continue\r\n"
    async with site.client() as client:
        await client.send(b"POST /hook HTTP/1.1\r\n" + HOST + expect + b"Content-Length: 3\r\n\r\n")
        interim = await client.answer()
        await client.send(b"abc")
        final = await client.answer()

    large = b"POST /hook HTTP/1.1\r\n" + HOST + expect + b"Content-Length: 1001\r\n\r\n"
    refused = await site.ask(large)

    assert (interim[0], final[0], final[2]) == (100, 200, b'{"length": 3}')
    assert refused[0] == 413


async def test_a_draining_listener_finishes_what_runs(bare):
    """Idle connections close, running requests are answered with close, new ones get 503."""
    await bare.start()
    await bare.serve(answer=bare.hold)
    async with bare.client() as busy, bare.client() as idle:
        await idle.send(get(b"/healthz"))
        await idle.answer()
        await busy.send(post(b"1") + post(b"2"))
        respond = await bare.held()

        drained = asyncio.create_task(bare.listener.drain(5))
        gone = await idle.rest()
        respond(Reply(202))
        answer = await busy.answer()

        assert gone == b""
        assert (answer[0], answer[1]["connection"]) == (202, "close")
        assert await drained is True


async def test_a_request_that_comes_while_draining_is_told_to_come_back(bare):
    """503 and Retry-After for a request whose head was not complete when the drain began."""
    await bare.start()
    await bare.serve()
    async with bare.client() as client:
        await client.send(get(b"/healthz") + b"POST /hook HTTP/1.1\r\n")
        await client.answer()
        drained = asyncio.create_task(bare.listener.drain(5))
        await client.send(HOST + b"\r\n")
        status, headers, _ = await client.answer()
        await client.rest()
        assert await drained is True

    assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
    assert bare.heard == []


async def test_a_drain_has_a_deadline(bare):
    """An answer that never comes does not hold up the end."""
    await bare.start()
    await bare.serve(answer=bare.hold)
    async with bare.client() as client:
        await client.send(post(b"1"))
        await bare.held()

        assert await bare.listener.drain(0.01) is False


async def test_a_taken_address_is_a_bad_setting(bare):
    """The error names the address and says what to do."""
    await bare.start()
    other = Listener(bare.table, bare.listener._clock, port=bare.port)

    with pytest.raises(BadConfig, match=rf"server.listen 127.0.0.1:{bare.port}: .*choose another"):
        await other.start()


async def test_a_trusted_proxy_speaks_for_its_clients(bare):
    """X-Forwarded-For counts from a trusted peer only, and only up to the first stranger."""
    await bare.start(trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    await bare.serve()

    await bare.ask(post(b"", extra=b"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.7\r\n"))

    assert bare.heard[0].address == "1.2.3.4"


async def test_a_stranger_does_not_choose_its_address(site):
    """Without trusted proxies X-Forwarded-For is a header like any other."""
    await site.ask(post(b"", extra=b"X-Forwarded-For: 1.2.3.4\r\n"))

    assert site.heard[0].address == "127.0.0.1"


async def test_a_client_that_does_not_read_is_not_served_on(bare):
    """Answers that pile up stop the handling of further requests, then end the connection."""
    reply = Reply(200, b"x" * 100_000)
    served = []
    started = asyncio.Event()

    def large(request, respond):
        served.append(request)
        started.set()
        respond(reply)

    await bare.start(limits={"idle_secs": 0.05, "linger_secs": 0.05})
    await bare.serve(answer=large)
    connection = socket.create_connection(("127.0.0.1", bare.port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with connection:
        connection.sendall(post(b"") * 500)
        await started.wait()
        await bare.empty()

    assert len(served) < 500
