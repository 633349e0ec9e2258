"""The source `poll` against a real web server."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from reactor.connectors.http.poll import poll
from reactor.errors import SourceFailed
from reactor.expr.parse import parse
from reactor.expr.scope import Scope
from reactor.plugin.context import Connection, Network
from tests.connectors.conftest import FixedClock, OpenedOnce
from tests.connectors.ears import Context, Crashed, Ears, running

DAY_MS = 86_400_000
JSON = "application/json"
FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>{}</channel></rss>"""


class Turned(Context):
    """A daemon's end where time passes when the test says so."""

    def __init__(self, ears, base):
        super().__init__(ears, base)
        self.hand = FixedClock(1_700_000_000_000)
        self.clock = self.hand
        self.looks = 0
        self.next = asyncio.Event()

    async def wait_until(self, ms):
        self.looks += 1
        self.due_ms = ms
        self.ears.happened.set()
        self.next.clear()
        await self.next.wait()

    async def look(self, after_ms=0):
        """Let time pass, and one more look."""
        before = self.looks
        self.hand._ms += after_ms
        self.next.set()
        await self.ears.until(lambda: self.looks > before or self.ears.ended, "one more look")


@pytest.fixture
async def context(tmp_path):
    """A daemon's end."""
    async with AsyncExitStack() as stack:
        context = Turned(Ears(), tmp_path)
        context.shared = OpenedOnce(stack)
        yield context


def expression(text):
    """An expression over what an answer brings."""
    fields = frozenset({"data", "status", "headers"})
    return parse(text, Scope({"event": fields}))


def say(site, value, path="/", **options):
    """What the server answers from now on."""
    site.answer(path, json.dumps(value).encode(), content_type=JSON, **options)


async def test_what_is_there_first_is_only_noted(context, site):
    """The first good answer starts nothing; what comes later is an event, once."""
    say(site, [{"id": 1}])
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        assert ears.heard == []

        say(site, [{"id": 1}, {"id": 2}, {"id": 3}], x_page="7")
        await context.look()
        await context.look()

    assert ears.data == [{"id": 2}, {"id": 3}]
    assert ears.heard[0].fields["status"] == 200
    assert ears.heard[0].fields["headers"]["x-page"] == "7"


async def test_existing_items_are_wanted(context, site):
    """With `existing: true` the first answer is told too."""
    say(site, [1, 2])
    async with running(poll, {"get": site.url(), "existing": True}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")

    assert ears.data == [1, 2]


async def test_items_and_their_id(context, site):
    """`items` finds the list in the answer, `id` says what an item is known by."""
    config = {
        "get": site.url(),
        "items": expression("event.data.orders"),
        "id": expression("event.data.number"),
    }
    say(site, {"orders": [{"number": 1, "state": "new"}]})
    async with running(poll, config, context) as ears:
        await ears.until(lambda: context.looks, "the first look")

        say(site, {"orders": [{"number": 1, "state": "paid"}, {"number": 2, "state": "new"}]})
        await context.look()

    assert ears.data == [{"number": 2, "state": "new"}]


async def test_an_answer_without_items_is_one(context, site):
    """A page that changes is an event each time that it is as never before."""
    say(site, {"version": "1"})
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        for version in ("1", "2", "2", "3"):
            say(site, {"version": version})
            await context.look()

    assert [each["version"] for each in ears.data] == ["2", "3"]


async def test_a_feed_gives_its_entries_oldest_first(context, site):
    """Entries are known by what the feed calls their id: a corrected text is no new one."""
    entry = "<item><guid>{}</guid><title>{}</title></item>"
    rss = "application/rss+xml"
    site.answer("/", FEED.format(entry.format("a", "A")).encode(), content_type=rss)
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        entries = [entry.format(*each) for each in (("c", "C"), ("b", "B"), ("a", "A!"))]
        site.answer("/", FEED.format("".join(entries)).encode(), content_type=rss)
        await context.look()

    assert [each["title"] for each in ears.data] == ["B", "C"]


async def test_a_json_feed_is_a_feed(context, site):
    """Items of JSON Feed are known by their id."""
    head = {"version": "https://jsonfeed.org/version/1.1"}
    say(site, {**head, "items": []})
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        for text in ("a", "b"):
            say(site, {**head, "items": [{"id": "2", "text": text}, {"id": "1"}]})
            await context.look()

    assert [each["id"] for each in ears.data] == ["1", "2"]


async def test_a_server_is_asked_for_what_is_new(context, site):
    """ETag and Last-Modified go back; 304 finds nothing, and nothing is stored."""
    asked = []

    async def answer(request):
        asked.append(dict(request.headers))
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304)
        moment = "Tue, 14 Nov 2023 22:13:20 GMT"
        return web.json_response([1], headers={"ETag": '"1"', "Last-Modified": moment})

    site.answers["/"] = answer
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        kept = ears.kept
        await context.look()

    async with running(poll, {"get": site.url()}, context):
        await ears.until(lambda: len(asked) == 3, "the look of another life")

    assert asked[1]["If-Modified-Since"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert asked[2]["If-None-Match"] == '"1"'
    assert (ears.heard, ears.kept) == ([], kept)


async def test_finding_nothing_leaves_no_trace(context, site):
    """An answer without anything new writes nothing, whatever its ETag."""
    say(site, [1], etag='"a"')
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        kept = ears.kept
        say(site, [1], etag='"b"')
        await context.look()

    assert (ears.kept, ears.batches) == (kept, [])
    assert site.asked[-1].headers["If-None-Match"] == '"a"'


async def test_it_goes_on_where_it_was(context, site):
    """After a restart only what came meanwhile is new."""
    say(site, [1])
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
    say(site, [1, 2])
    async with running(poll, {"get": site.url()}, context):
        await ears.until(lambda: ears.heard, "the item of meanwhile")

    assert ears.data == [2]


async def test_a_crash_repeats_nothing(context, site):
    """An event and what is known of its item are one commit."""
    say(site, [0])
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
    say(site, list(range(251)))
    ears.crash_after = 2
    with pytest.raises(Crashed):
        async with running(poll, {"get": site.url()}, context) as ears:
            await ears.until(lambda: ears.ended, "the crash")
    async with running(poll, {"get": site.url()}, context):
        await ears.until(lambda: len(ears.heard) >= 250, "the rest")

    assert ears.data == list(range(1, 251))
    assert ears.batches == [100, 100, 50]


async def test_what_no_flow_wanted_is_known_too(context, site):
    """An item that no condition let through is not asked about again."""
    say(site, [])
    context.ears.wanted = lambda one: one.data != 1
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        say(site, [1, 2])
        await context.look()
    context.ears.wanted = lambda _: True
    async with running(poll, {"get": site.url()}, context):
        await ears.until(lambda: context.looks > 2, "another look")

    assert ears.data == [2]


async def test_an_item_may_come_back(context, site):
    """Gone for less than 30 days it is still known; after that it is new."""
    say(site, [1])
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        for days in (29, 31):
            say(site, [])
            await context.look()
            say(site, [1])
            await context.look(days * DAY_MS)

    assert ears.data == [1]


async def test_what_stays_is_never_forgotten(context, site):
    """An item that is there for a year is no new one, also where the server says 304."""

    async def unchanged(request):
        return web.Response(status=304)

    say(site, [1], etag='"a"')
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
        site.answers["/"] = unchanged
        for _ in range(12):
            await context.look(30 * DAY_MS)
        say(site, [1], etag='"b"')
        await context.look()

    assert ears.heard == []


@pytest.mark.parametrize(("position", "expected"), [("latest", []), (None, [1])])
async def test_a_reset(context, site, position, expected):
    """`earliest` tells all that is there, `latest` notes it."""
    say(site, [1])
    async with running(poll, {"get": site.url()}, context) as ears:
        await ears.until(lambda: context.looks, "the first look")
    ears.position = position
    say(site, [1, 2][: len(expected) + 1] if position else [1])
    async with running(poll, {"get": site.url()}, context):
        await ears.until(lambda: context.looks == 2, "the look after the reset")

    assert ears.data == expected


async def test_each_look_follows_the_last(context, site):
    """`every` after one look began the next one does."""
    say(site, [])
    async with running(poll, {"get": site.url(), "every": "2m"}, context):
        await context.ears.until(lambda: context.looks, "the first look")

    assert context.due_ms == context.clock.now_ms() + 120_000
    assert context.detail == "0 items known"


async def failure(config, context):
    """Why a look fails."""
    with pytest.raises(SourceFailed) as raised:
        async with running(poll, config, context) as ears:
            await ears.until(lambda: ears.ended, "its end")
    return raised.value


async def test_a_failure_is_told_and_tried_again(context, site):
    """The status is in the error; how long the server asks to wait is obeyed."""
    site.answer("/", status=503, retry_after="120")

    error = await failure({"get": site.url("/?key=x")}, context)

    assert str(error) == f"GET {site.url()} answered 503 Service Unavailable"
    assert (error.fatal, error.after_secs) == (False, 120.0)


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"{", JSON, "the answer is no JSON"),
        (b"<rss><a>", "text/xml", "the XML cannot be read"),
        (b"<?xml version='1.0'?><a/>", "text/xml", "the XML is no feed: its root is a"),
        (b"{}", JSON, "items: event.data.orders is no list in this answer"),
        (b'{"orders": "x"}', JSON, "items: event.data.orders is no list in this answer"),
        (b"[" + b"1," * 3_000_000 + b"1]", JSON, "max_body sets the limit"),
    ],
)
async def test_an_answer_that_makes_no_sense(context, site, body, content_type, said):
    """It is an error that says why, and nothing is noted."""
    site.answer("/", body, content_type=content_type)

    error = await failure({"get": site.url(), "items": expression("event.data.orders")}, context)

    assert said in str(error)
    assert context.ears.position is None


async def test_a_connection_says_where_and_who(context, site):
    """`base` and `auth` of a connection hold for a poll as for a request."""
    say(site, [], "/api/books")
    config = {"base": site.url("/api"), "auth": {"bearer": "s3cret"}}
    context.connections["books"] = Connection(name="books", kind="http", config=config)
    async with running(poll, {"get": "/books", "connection": "books", "query": {"n": 5}}, context):
        await context.ears.until(lambda: context.looks, "the first look")

    assert site.asked[0].headers["authorization"] == "Bearer s3cret"
    assert site.asked[0].query_string == "n=5"
    assert "idempotency-key" not in site.asked[0].headers


async def test_an_answer_leads_to_no_private_address(context, site, other_site):
    """A redirect is the server's word, not the author's: it reaches public addresses only."""
    site.answer("/", status=302, location=other_site.url("/inside"))

    error = await failure({"get": site.url()}, context)

    assert "not a public address" in str(error)
    assert other_site.asked == []

    context.network = Network(allow=("127.0.0.1",))
    say(other_site, [], "/inside")
    async with running(poll, {"get": site.url()}, context):
        await context.ears.until(lambda: context.looks, "the first look")

    assert len(other_site.asked) == 1


async def test_what_is_no_address_stops_it(context):
    """Only a person can mend that."""
    error = await failure({"get": "ftp://example.org/"}, context)

    assert error.fatal


async def test_a_foreign_position(context, site):
    """A reset to something that no poll understands says what there is."""
    context.ears.position = "yesterday"

    error = await failure({"get": site.url()}, context)

    assert error.fatal
    assert "earliest or latest" in str(error)
