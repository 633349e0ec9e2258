"""The `http` source behind the real listener, with a router that the test plays."""

import asyncio
import hashlib
import hmac
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import pytest

from reactor.clock import SystemClock
from reactor.connectors.http.config import Hook
from reactor.connectors.http.source import http
from reactor.errors import Overloaded, SourceFailed
from reactor.ids import id_text
from reactor.model.event import Outcome, Receipt, Received, Started
from reactor.plugin.spec import Fields
from reactor.units import Duration, Size, parse_duration, parse_size
from reactor.web.listener import Listener
from reactor.web.routes import PathTable

EVENT, EXECUTION = id_text("evt", 7), id_text("exe", 8)
STORED = Receipt(7, (Started("f", 8),))
JSON = {"Content-Type": "application/json"}


class Router:
    """Takes what sources emit and answers with what the test has laid out."""

    def __init__(self) -> None:
        self.emitted: list[Received] = []
        self.receipt: Receipt | BaseException = STORED

    async def __call__(self, received):
        raise AssertionError("a webhook costs no task")

    async def many(self, received):
        raise AssertionError("a webhook costs no task")

    def nowait(self, received, done):
        self.emitted.append(received)
        asyncio.get_running_loop().call_soon(done, self.receipt)


class Context:
    """What the source may ask here."""

    instance = "http-1"
    log = logging.getLogger("test.http")
    clock = SystemClock()
    allow_unauthenticated = False
    listens_on_loopback = True

    def __init__(self) -> None:
        self.routes = PathTable(lambda: True)
        self.works = asyncio.Event()

    def up(self, detail=""):
        self.works.set()


class World:
    """A listener, a router and the sources that run."""

    def __init__(self) -> None:
        self.router = Router()
        self.context = Context()
        self.listener = Listener(self.context.routes, SystemClock())
        self.port = 0
        self.sources: list[asyncio.Task[None]] = []

    async def run(self, **written):
        """Start the source with a config as a flow would write it."""
        self.context.works.clear()
        assert http.run is not None
        running = asyncio.create_task(http.run(hook(written), self.router, self.context))
        self.sources.append(running)
        await self.context.works.wait()

    async def ask(self, body=b"", path="/hook", method="POST", headers=JSON):
        """One request; its status, headers and JSON body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        start, _, content = answer.partition(b"\r\n\r\n")
        first, *rest = start.decode().split("\r\n")
        pairs = dict(line.lower().split(": ", 1) for line in rest)
        return int(first.split()[1]), pairs, json.loads(content) if content else None


def hook(written):
    """The decoded config."""

    def from_text(kind, value):
        return {Duration: parse_duration, Size: parse_size}[kind](value)

    return msgspec.convert({"path": "/hook"} | written, Hook, dec_hook=from_text)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A listener without routes."""
    world = World()
    _, world.port = await world.listener.start()
    yield world
    for running in world.sources:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    world.listener.close()


async def test_a_request_becomes_an_event(world):
    """Data, fields, no identity; the answer has the ids after the commit."""
    await world.run(path="/hooks/{tenant}", verify="none")

    status, headers, body = await world.ask(b'{"a": 1}', "/hooks/acme?x=1")

    (received,) = world.router.emitted
    assert (status, headers["reactor-event"]) == (202, EVENT)
    assert body == {"execution": EXECUTION, "event": EVENT}
    assert received.data == {"a": 1}
    assert received.fields == {
        "headers": {
            "host": "a",
            "connection": "close",
            "content-type": "application/json",
            "content-length": "8",
        },
        "query": {"x": "1"},
        "path_params": {"tenant": "acme"},
        "method": "POST",
        "address": "127.0.0.1",
    }
    assert (received.identity, received.digest, received.wait) == (None, None, False)


async def test_the_fields_are_those_that_are_declared(world):
    """What the Spec says an event has is what it has; `body` is the engine's name for data."""
    await world.run(verify="none")

    await world.ask(b"{}")

    declared = http.fields
    assert declared is not None
    assert issubclass(declared, Fields)
    assert {*world.router.emitted[0].fields, "body"} == set(declared.__struct_fields__)


async def test_who_does_not_prove_who_it_is_gets_one_fixed_answer(world, caplog):
    """401 for every reason; the reason is in the log, once, and not in the answer."""
    await world.run(verify={"github": "secret"})

    answers = [
        await world.ask(b"{}", headers={"X-Hub-Signature-256": signature})
        for signature in ("", "sha256=00", "\xff", "sha256=00")
    ]

    assert {status for status, _, _ in answers} == {401}
    assert {json.dumps(body) for _, _, body in answers} == {'{"error": "not authorized"}'}
    assert world.router.emitted == []
    reasons = [record.__dict__["reason"] for record in caplog.records]
    assert sorted(reasons) == ["no secret or signature matches", "no x-hub-signature-256 header"]


async def test_the_signature_comes_before_the_parsing(world):
    """A body that does not decode tells nothing to a stranger."""
    await world.run(verify={"bearer": "token"})

    stranger = await world.ask(b"{", headers=JSON)
    friend = await world.ask(b"{", headers=JSON | {"Authorization": "Bearer token"})

    assert (stranger[0], friend[0]) == (401, 422)
    assert stranger[1]["www-authenticate"] == 'bearer realm="reactor"'


async def test_the_size_comes_before_the_signature(world):
    """A body over max_body is refused from its head."""
    await world.run(verify={"bearer": "token"}, max_body="1KiB")

    assert (await world.ask(b"x" * 1025))[0] == 413


async def test_credentials_are_not_stored(world):
    """Authorization, cookies, signatures and keys never reach the event."""
    await world.run(verify={"api-key": {"query": "token", "secrets": ["hush"]}})
    headers = {"Authorization": "x", "Cookie": "x", "Proxy-Authorization": "x", "X-Kept": "1"}

    await world.ask(b"{}", "/hook?token=hush&other=1", headers=headers)

    fields = world.router.emitted[0].fields
    assert fields["query"] == {"other": "1"}
    assert set(fields["headers"]) == {"host", "connection", "content-length", "x-kept"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("Idempotency-Key", "k-1"), ("webhook-id", "k-1"), ("Svix-Id", "k-1")],
)
async def test_an_id_of_the_sender_is_the_identity(world, name, value):
    """Scoped by sender and path, with the digest of the body."""
    await world.run(path="/{tenant}", verify={"basic": {"secrets": ["ann:a", "bob:b"]}})
    for user, path in (("ann:a", "/x"), ("ann:a", "/x"), ("ann:a", "/y"), ("bob:b", "/x")):
        basic = "Basic " + b64encode(user.encode()).decode()
        await world.ask(b"{}", path, headers={name: value, "Authorization": basic})

    first, again, other_path, other_sender = world.router.emitted
    assert first.identity == again.identity
    assert len({first.identity, other_path.identity, other_sender.identity}) == 3
    assert first.digest == hashlib.sha256(b"{}").digest()


async def test_a_long_id_is_shortened(world):
    """Identities have a bounded length and stay apart."""
    await world.run(verify="none")
    for end in ("a", "b"):
        await world.ask(b"{}", headers={"Idempotency-Key": "x" * 5000 + end})

    first, second = world.router.emitted
    assert first.identity != second.identity
    assert len(first.identity or "") < 200


async def test_the_id_of_a_signed_body_is_the_identity(world):
    """Stripe's event id counts, not an Idempotency-Key that nobody signed."""
    await world.run(verify={"stripe": "whsec_x"})
    now = world.context.clock.now_ms() // 1000
    body = b'{"id": "evt_stripe"}'
    signature = hmac.new(b"whsec_x", b"%d." % now + body, "sha256").hexdigest()
    headers = JSON | {"Stripe-Signature": f"t={now},v1={signature}", "Idempotency-Key": "other"}

    await world.ask(body, headers=headers)

    assert (world.router.emitted[0].identity or "").endswith("\tevt_stripe")
    assert "stripe-signature" not in world.router.emitted[0].fields["headers"]


@pytest.mark.parametrize(
    ("receipt", "status"),
    [
        (Receipt(None), 204),
        (Receipt(7, (Started("f", 8),), duplicate=True), 200),
        (Receipt(7, (Started("f", 8),), duplicate=True, conflict=True), 422),
        (Receipt(None, refused_secs=3), 429),
        (Overloaded("full", retry_after_secs=2), 503),
        (RuntimeError("unforeseen"), 500),
        (asyncio.CancelledError(), 503),
    ],
)
async def test_the_answer_says_what_became_of_it(world, receipt, status):
    """The codes of the manual, with Retry-After where coming back helps."""
    await world.run(verify="none")
    world.router.receipt = receipt

    answer = await world.ask(b"{}")

    assert answer[0] == status
    assert ("retry-after" in answer[1]) == (status in {429, 503})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "text/plain; charset=bogus"}, 415),
        ({"Content-Type": "application/json"}, 422),
    ],
)
async def test_a_body_that_is_no_data_stores_nothing(world, headers, status):
    """415 or 422, and a sentence that helps."""
    await world.run(verify="none")

    answer = await world.ask(b"\x1f\x8b", headers=headers)

    assert answer[0] == status
    assert answer[2]["error"]
    assert world.router.emitted == []


async def test_a_body_that_looks_like_an_upload_is_data(world):
    """Nothing in a body names a file or a program."""
    await world.run(verify="none")
    body = {"path": "/etc/shadow", "filename": "../../x", "$ref": "file:///", "__class__": 1}

    await world.ask(json.dumps(body).encode())

    assert world.router.emitted[0].data == body


async def test_verify_none_is_for_loopback(world):
    """On another address the source does not start, and says what would help."""
    world.context.listens_on_loopback = False
    assert http.run is not None

    with pytest.raises(SourceFailed, match="allow_unauthenticated: true") as caught:
        await http.run(hook({"verify": "none"}), world.router, world.context)
    assert caught.value.fatal

    world.context.allow_unauthenticated = True
    await world.run(verify="none")


async def test_an_empty_secret_stops_the_source(world):
    """A route without a secret never opens."""
    assert http.run is not None

    with pytest.raises(SourceFailed, match="POST /hook: verify github: the secret is empty") as e:
        await http.run(hook({"verify": {"github": ""}}), world.router, world.context)

    assert e.value.fatal
    assert (await world.ask(b"{}"))[0] == 404


async def test_a_cancelled_source_closes_its_route(world):
    """After the end the path is unknown."""
    await world.run(verify="none")
    world.sources[0].cancel()
    with suppress(asyncio.CancelledError):
        await world.sources[0]

    assert (await world.ask(b"{}"))[0] == 404


def synchronous(world, outcome=None, **more):
    """Lay out a receipt whose outcome the test decides."""
    future = asyncio.get_running_loop().create_future()
    if outcome is not None:
        future.set_result(outcome)
    world.router.receipt = Receipt(7, (Started("f", 8),), outcome=future, **more)
    return future


async def test_the_answer_of_a_flow_is_the_answer(world):
    """`respond: {when: done}` waits for the reply."""
    await world.run(verify="none", respond={"when": "done"})
    synchronous(world, Outcome(8, "replied", reply={"status": 201, "json": {"sum": 3}}))

    status, headers, body = await world.ask(b"{}")

    assert (status, headers["reactor-event"], body) == (201, EVENT, {"sum": 3})
    assert world.router.emitted[0].wait


async def test_a_flow_that_takes_too_long_is_answered_late(world):
    """The ids, or what `late` says; what comes after that is nobody's."""
    await world.run(verify="none", respond={"when": "done", "timeout": "1ms"})
    future = synchronous(world)

    late = await world.ask(b"{}")
    future.set_result(Outcome(8, "ok", output=1))

    assert (late[0], late[2]) == (202, {"execution": EXECUTION, "event": EVENT})


async def test_late_may_be_written(world):
    """Status and body of the late answer are the flow's."""
    late = {"status": 504, "json": {"try": "later"}}
    await world.run(verify="none", respond={"when": "done", "timeout": "1ms", "late": late})
    synchronous(world)

    status, headers, body = await world.ask(b"{}")

    assert (status, headers["reactor-event"], body) == (504, EVENT, {"try": "later"})


async def test_a_duplicate_that_runs_is_answered_with_its_ids(world):
    """202 while the first one runs; its reply once there is one."""
    await world.run(verify="none", respond={"when": "done"})
    world.router.receipt = Receipt(7, (Started("f", 8),), duplicate=True)
    running = await world.ask(b"{}")
    synchronous(world, Outcome(8, "replied", reply={"json": "done"}), duplicate=True)

    done = await world.ask(b"{}")

    assert running[0] == 202
    assert (done[0], done[2]) == (200, "done")


async def test_a_reply_that_cannot_be_sent_is_a_500(world):
    """Header injection by event data ends here."""
    await world.run(verify="none", respond={"when": "done"})
    synchronous(world, Outcome(8, "replied", reply={"headers": {"X": "a\r\nSet-Cookie: b"}}))

    status, headers, body = await world.ask(b"{}")

    assert status == 500
    assert "set-cookie" not in headers
    assert "reply header 'X'" in body["error"]


async def test_an_outcome_that_is_cancelled_is_answered_late(world):
    """A daemon that stops while a caller waits gives the ids."""
    await world.run(verify="none", respond={"when": "done"})
    synchronous(world).cancel()

    assert (await world.ask(b"{}"))[0] == 202


@pytest.mark.parametrize(
    ("written", "place", "message"),
    [
        ({"path": "hook"}, ("path",), "begins with /: /hook"),
        ({"path": "/a//b"}, ("path",), "two / in a row"),
        ({"path": "/a/{b}c"}, ("path",), "neither plain text nor one {name}"),
        ({"path": "/a%20b"}, ("path",), "without %"),
        ({"path": "/a?b=1"}, ("path",), "event.query"),
        ({"path": "/{a}/{a}"}, ("path",), "twice"),
        ({"path": "/a/../b"}, ("path",), "no client sends"),
        ({"path": "/healthz"}, ("path",), "health check"),
        ({"path": "/a", "verify": {"github": "a", "hmac": {}}}, ("verify",), "exactly one scheme"),
        ({"path": "/a", "respond": {"when": "later"}}, ("respond", "when"), "{when: done}"),
    ],
)
def test_mistakes_are_found_at_load(written, place, message):
    """The check names the place inside the config and the remedy."""
    assert http.check is not None

    complaints = list(http.check(written))

    assert [path for path, _ in complaints] == [place]
    assert message in complaints[0][1]
