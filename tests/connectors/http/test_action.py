"""The `http` action against real servers."""

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from reactor import __version__
from reactor.connectors.http.action import http as http_action
from reactor.errors import ActionFailed
from reactor.plugin.context import Connection, Network

JSON = "application/json"


async def test_json_goes_out_and_comes_back(attempt, site):
    """The body is JSON both ways; status and headers are in the output."""
    site.answer("/orders", b'{"id": 7}', status=201, content_type=JSON, x_trace="t1")

    output = await attempt.do(
        http_action, {"post": site.url("/orders"), "json": {"name": "ann"}, "query": {"dry": True}}
    )

    assert output["status"] == 201
    assert output["body"] == {"id": 7}
    assert output["headers"]["x-trace"] == "t1"
    assert json.loads(site.bodies[0]) == {"name": "ann"}
    assert site.asked[0].method == "POST"
    assert site.asked[0].headers["content-type"] == JSON
    assert site.asked[0].query == {"dry": "true"}


async def test_our_headers_are_sent_and_may_be_replaced(attempt, site):
    """User-Agent and Idempotency-Key are ours until the flow writes them; null leaves one out."""
    site.answer("/")

    await attempt.do(http_action, {"get": site.url()})
    await attempt.do(
        http_action,
        {"get": site.url(), "headers": {"idempotency-key": "mine", "X-N": 5, "X-Not": None}},
    )

    first, second = (request.headers for request in site.asked)
    assert first["user-agent"] == f"reactor/{__version__}"
    assert first["idempotency-key"] == attempt.key
    assert second.getall("idempotency-key") == ["mine"]
    assert second["x-n"] == "5"
    assert "x-not" not in second


async def test_null_is_a_json_body(attempt, site):
    """`json: null` sends null, no `json` sends nothing."""
    site.answer("/")

    await attempt.do(http_action, {"post": site.url(), "json": None})
    await attempt.do(http_action, {"post": site.url()})

    assert site.bodies == [b"null", b""]


async def test_a_form_is_encoded(attempt, site):
    """A form goes out as browsers send it."""
    site.answer("/")

    await attempt.do(
        http_action, {"put": site.url(), "form": {"a": "x y&", "b": [1, 2], "c": None}}
    )

    assert site.bodies == [b"a=x+y%26&b=1&b=2"]
    assert site.asked[0].headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "sent", "body"),
    [
        ("application/problem+json; charset=utf-8", b'["a"]', ["a"]),
        ("text/plain; charset=latin-1", b"gr\xfcn", "grün"),
        ("text/plain; charset=no-such", b"plain", "plain"),
        ("application/xml", b"<a/>", "<a/>"),
        ("image/png", b"\x89PNG", b"\x89PNG"),
        ("application/json", b"", None),
    ],
)
async def test_the_body_is_decoded_by_its_type(attempt, site, content_type, sent, body):
    """JSON becomes a value, text a text, all else stays bytes, nothing is null."""
    site.answer("/", sent, content_type=content_type)

    output = await attempt.do(http_action, {"get": site.url()})

    assert output["body"] == body


async def test_broken_json_is_an_error(attempt, site):
    """An answer that says JSON and is none fails for good."""
    site.answer("/", b"{nope", content_type=JSON)

    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": site.url()})

    assert (raised.value.kind, raised.value.transient) == ("decode", False)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_some_statuses_are_transient(attempt, site, status):
    """What may pass says so, with the answer and the time that it asks for."""
    site.answer("/a", b'{"why": "busy"}', status=status, content_type=JSON, retry_after="7")

    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": site.url("/a?token=abc")})

    error = raised.value
    assert (error.kind, error.status, error.transient, error.after_secs) == (
        "http",
        status,
        True,
        7.0,
    )
    assert error.output["body"] == {"why": "busy"}
    assert str(error).startswith(f"GET {site.url('/a')} answered {status}")


async def test_other_statuses_are_final(attempt, site):
    """A 404 will not pass by asking again."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": site.url("/none")})

    assert (raised.value.status, raised.value.transient) == (404, False)


async def test_retry_after_may_be_a_date(attempt, site):
    """A date counts from now, by the daemon's clock."""
    site.answer("/", status=503, retry_after="Tue, 14 Nov 2023 22:13:50 GMT")

    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": site.url()})

    assert raised.value.after_secs == 30.0


@pytest.mark.parametrize("expect", [404, "404", ["2xx", 404], "4xx"])
async def test_other_statuses_may_be_expected(attempt, site, expect):
    """`expect` takes a number, a class or a list."""
    output = await attempt.do(http_action, {"get": site.url("/none"), "expect": expect})

    assert output["status"] == 404


async def test_no_listener_is_transient(attempt):
    """A refused connection may pass."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": "http://127.0.0.1:1/"})

    assert (raised.value.kind, raised.value.transient) == ("http", True)


async def test_a_long_answer_is_refused(attempt, site):
    """An answer over `max_body` fails with the limit's name, also when it grows by unpacking."""
    site.answer("/", gzip.compress(b"a" * 100_000), content_encoding="gzip")

    with pytest.raises(ActionFailed, match="longer than 64KiB; max_body") as raised:
        await attempt.do(http_action, {"get": site.url(), "max_body": "64KiB"})

    assert raised.value.kind == "too_large"


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://a b/", "nope", "http://[::1"])
async def test_what_is_no_url_is_a_type_error(attempt, url):
    """A URL that cannot be sent is the flow's mistake."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": url})

    assert raised.value.kind == "type"


async def test_a_header_cannot_hold_a_line_break(attempt, site):
    """Data cannot smuggle a header."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": site.url(), "headers": {"x-a": "b\r\nx-c: d"}})

    assert raised.value.kind == "type"
    assert site.asked == []


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"basic": {"user": "ann", "password": "pä"}}, "Basic YW5uOnDDpA=="),
        ({"bearer": "t0k"}, "Bearer t0k"),
    ],
)
async def test_auth_is_sent(attempt, site, auth, header):
    """`auth` becomes an Authorization header."""
    site.answer("/")

    await attempt.do(http_action, {"get": site.url(), "auth": auth})

    assert site.asked[0].headers["authorization"] == header


async def test_a_password_in_the_url_is_sent_as_a_header(attempt, site):
    """`http://user:password@host/` is Basic authentication."""
    site.answer("/")

    await attempt.do(http_action, {"get": site.url().replace("127", "ann:pw@127")})

    assert site.asked[0].headers["authorization"] == "Basic YW5uOnB3"


async def test_a_connection_gives_base_auth_and_headers(attempt, site):
    """A path belongs to the only connection of kind http."""
    attempt.connections["books"] = Connection(
        name="books",
        kind="http",
        config={"base": site.url("/v1"), "auth": {"bearer": "t"}, "headers": {"x-a": "1"}},
    )
    site.answer("/v1/orders/7")

    await attempt.do(http_action, {"get": "/orders/7"}, data={"get": ""})

    assert site.asked[0].headers["authorization"] == "Bearer t"
    assert site.asked[0].headers["x-a"] == "1"


@pytest.mark.parametrize(
    "path", ["/../admin", "..", "/%2e%2e/admin", "http://127.0.0.1/", "//evil.org/", "/v10/.."]
)
async def test_data_does_not_leave_a_connection(attempt, site, path):
    """A path from data stays on the host and below the base of the connection."""
    attempt.connections["books"] = Connection(
        name="books", kind="http", config={"base": site.url("/v1")}
    )

    with pytest.raises(ActionFailed):
        await attempt.do(http_action, {"get": path, "connection": "books"}, data={"get": ""})

    assert [request.path for request in site.asked if not request.path.startswith("/v1/")] == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "127.0.0.1.",
        "localhost",
        "localhost.",
        "0",
    ],
)
async def test_data_does_not_reach_this_machine(attempt, site, host):
    """However loopback is spelled, a host from data does not get there."""
    site.answer("/")

    with pytest.raises(ActionFailed) as raised:
        await attempt.do(
            http_action, {"get": f"http://{host}:{site.server.port}/"}, data={"get": "http://"}
        )

    # The client library refuses the numeric spellings before the guard has to.
    assert raised.value.kind in ("denied", "type")
    assert not raised.value.transient
    assert site.asked == []


async def test_an_open_connection_of_the_author_is_not_lent_to_data(attempt, site):
    """A kept connection to a private host serves only requests whose author wrote the host."""
    site.answer("/")
    await attempt.do(http_action, {"get": site.url()})

    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": site.url()}, data={"get": "http://127.0.0.1:"})

    assert raised.value.kind == "denied"
    assert len(site.asked) == 1


async def test_listed_hosts_are_for_data_too(attempt, site):
    """`net.allow` opens a private host to data, by name or by network."""
    site.answer("/")

    for entry in ("127.0.0.0/8", f"127.0.0.1:{site.server.port}"):
        attempt.network = Network(allow=(entry,))
        await attempt.do(http_action, {"get": site.url()}, data={"get": "http://"})
    attempt.network = Network(allow=("localhost",))
    await attempt.do(
        http_action,
        {"get": site.url().replace("127.0.0.1", "localhost")},
        data={"get": "http://"},
    )

    assert len(site.asked) == 3


async def test_redirects_on_one_host_are_followed(attempt, site):
    """Within one origin credentials stay, and POST becomes GET at 303."""
    site.answer("/a", status=303, location="/b")
    site.answer("/b", b"here", content_type="text/plain")

    output = await attempt.do(
        http_action, {"post": site.url("/a"), "body": "x", "auth": {"bearer": "t"}}
    )

    assert output["body"] == "here"
    assert [request.method for request in site.asked] == ["POST", "GET"]
    assert site.asked[1].headers["authorization"] == "Bearer t"
    assert site.bodies == [b"x", b""]


async def test_method_and_body_survive_307(attempt, site):
    """A temporary redirect repeats the request as it was."""
    site.answer("/a", status=307, location="/b")
    site.answer("/b")

    await attempt.do(http_action, {"post": site.url("/a"), "json": {"a": 1}})

    assert [request.method for request in site.asked] == ["POST", "POST"]
    assert site.bodies[0] == site.bodies[1] == b'{"a":1}'


async def test_a_redirect_does_not_reach_this_machine(attempt, site, other_site):
    """An answer is data: it may not lead to a private address of another origin."""
    site.answer("/", status=302, location=other_site.url())
    other_site.answer("/")

    with pytest.raises(ActionFailed) as raised:
        await attempt.do(http_action, {"get": site.url()})

    assert raised.value.kind == "denied"
    assert other_site.asked == []


async def test_credentials_do_not_follow_to_another_origin(attempt, site, other_site):
    """Only harmless headers follow a redirect to another origin."""
    attempt.network = Network(allow=("127.0.0.0/8",))
    site.answer("/", status=307, location=other_site.url("/b"))
    other_site.answer("/b")

    await attempt.do(
        http_action,
        {
            "post": site.url(),
            "json": {},
            "auth": {"bearer": "t"},
            "headers": {"cookie": "a=b", "private-token": "s", "accept": "text/x"},
        },
    )

    headers = other_site.asked[0].headers
    assert {"authorization", "cookie", "private-token", "idempotency-key"} & {
        name.lower() for name in headers
    } == set()
    assert (headers["accept"], headers["content-type"]) == ("text/x", JSON)


async def test_redirects_are_counted(attempt, site):
    """A circle ends after `follow` redirects; 0 gives the redirect itself."""
    site.answer("/", status=302, location="/")

    with pytest.raises(ActionFailed, match="more than 2 redirects"):
        await attempt.do(http_action, {"get": site.url(), "follow": 2})
    output = await attempt.do(http_action, {"get": site.url(), "follow": 0, "expect": 302})

    assert output["headers"]["location"] == "/"
    assert len(site.asked) == 4


async def test_cookies_are_not_kept(attempt, site):
    """What one request was given does not go out with the next."""
    site.answer("/", set_cookie="a=b")

    await attempt.do(http_action, {"get": site.url()})
    await attempt.do(http_action, {"get": site.url()})

    assert "cookie" not in site.asked[1].headers


async def test_a_cancelled_request_ends(attempt, site):
    """Cancelling passes through while the other side is silent."""
    heard, never = asyncio.Event(), asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        heard.set()
        await never.wait()
        return web.Response()

    site.answers["/"] = hang
    sending = asyncio.create_task(attempt.do(http_action, {"get": site.url()}))
    await heard.wait()

    sending.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([sending])

    never.set()
    assert sending.cancelled()


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"get": "https://a/", "json": 1, "body": "x"}, ("body",)),
        ({"get": "https://a/", "auth": {"bearer": "a", "basic": {}}}, ("auth",)),
        ({"get": "https://a/", "expect": "ok"}, ("expect",)),
    ],
)
def test_mistakes_are_told_at_load(written, path):
    """What can be seen without running is told with its place."""
    assert http_action.check is not None
    assert [place for place, _ in http_action.check(written)] == [path]
