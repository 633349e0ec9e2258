"""The source `poll`: asks an address again and again, and each item it did not know is an event."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from reactor.connectors.http import request, response
from reactor.connectors.http.client import Answer, send
from reactor.connectors.http.feed import NoFeed, looks_like_xml, read_feed
from reactor.connectors.http.request import (
    LONGEST_ANSWER,
    Follow,
    Headers,
    LongestAnswer,
    OfConnection,
    Query,
    Sender,
    call_of,
)
from reactor.connectors.http.response import Expect, content_type, decoded, is_expected
from reactor.errors import ActionFailed, EvaluationError, SourceFailed
from reactor.expr.parse import Expression
from reactor.expr.values import to_text
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.spec import Complaint, Config, Fields, doc, source
from reactor.units import Duration, parse_duration

_EVERY = Duration(300)
_VALIDATORS = (("if-none-match", "etag"), ("if-modified-since", "last-modified"))
_JSON_FEED = "https://jsonfeed.org/version/"
# One look at an address, redirects and all.
_ASKED_SECS = 30.0
_FORGOTTEN_MS = 30 * 86_400_000
# So many items are one commit.
_PAGE = 100
_HERE = 0  # what is stored of an item while the answer has it; later the time when it had left


class Poll(Config, frozen=True):
    """What is asked, how often, and what in the answer is an item."""

    get: Annotated[str, doc("The address.", "https://example.org/feed.xml", strict=True)]
    every: Annotated[
        Duration, doc("How long after one look the next one follows.", "1m", form="literal")
    ] = _EVERY
    items: Annotated[
        Expression | None,
        doc(
            "The list of items in the answer, `event.data`; by default the entries of a feed or "
            "the elements of a list, else the answer itself is the one item.",
            "event.data.orders",
            form="deferred",
        ),
    ] = None
    id: Annotated[
        Expression | None,
        doc(
            "What tells an item, `event.data`, from others; by default what a feed calls its id, "
            "else all that the item holds.",
            "event.data.number",
            form="deferred",
        ),
    ] = None
    existing: Annotated[
        bool, doc("Whether what the very first answer holds are events; else it is only noted.")
    ] = False
    connection: OfConnection = None
    query: Query = msgspec.field(default_factory=dict)
    headers: Headers = msgspec.field(default_factory=dict)
    auth: Sender = None
    expect: Annotated[
        Expect, doc("The statuses that are good; any other is tried again.", "2xx")
    ] = "2xx"
    follow: Follow = 5
    max_body: LongestAnswer = LONGEST_ANSWER


class PollFields(Fields, frozen=True, kw_only=True):
    """What an answer brings beside its items."""

    status: Annotated[int, doc("The answer's status.")]
    headers: Annotated[dict[str, str], doc("The answer's headers, their names in lower case.")]


class Item(Struct, frozen=True):
    """One item of an answer and the name under which it is known."""

    name: str
    data: Any


class Read(Struct, frozen=True):
    """What an answer says, and its items where the flow does not say which they are.

    A `feed` begins with what is newest, its items here with what is oldest.
    """

    data: Any
    items: list[Any]
    feed: bool = False


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    yield from request.complaints(written)
    every = written.get("every")
    if isinstance(every, str) and parse_duration(every) < 1:
        yield ("every",), f"every: {every} is too often: at least 1s"


@source(
    "poll",
    fields=PollFields,
    # Who asks how often, and how much is read, is no reason to take all items for new ones.
    identity=("get", "connection", "query", "headers", "auth", "items", "id"),
    check=_check,
    guarantee="exactly once for each item that a look meets: it is noted with its event",
    examples=[
        "poll: {get: https://example.org/news.xml, every: 15m}",
        "poll: {get: https://example.org/orders, items: event.data.orders, id: event.data.number}",
        "poll: {get: /books, connection: books, query: {sort: new}, existing: true}",
    ],
)
async def poll(config: Poll, emit: Emit, context: SourceContext) -> None:
    """Items of a web address that were not there before: of JSON, RSS, Atom or anything else."""
    looks = _Looks(config, emit, context)
    await looks.begin()
    while True:
        due_ms = context.clock.now_ms() + round(config.every * 1000)
        await looks.look()
        await context.wait_until(due_ms)


class _Looks:
    """One address, look after look."""

    def __init__(self, config: Poll, emit: Emit, context: SourceContext) -> None:
        self._config = config
        self._emit = emit
        self._context = context
        self._known: dict[str, int] = {}
        self._stale: set[str] = set()
        self._first = self._told = False
        self._validators: dict[str, str] = {}

    async def begin(self) -> None:
        """Go on from what is stored."""
        position, places = await self._context.position(), await self._context.places()
        if isinstance(position, str) and position != "latest":
            raise SourceFailed(
                f"position {position!r}: an address is polled from earliest or latest", fatal=True
            )
        if isinstance(position, Mapping):
            self._known = {name: int(since) for name, since in places.items()}
            self._validators = {name: str(text) for name, text in position.items()}
            return
        self._first = True
        # Places without a position are left of a reset to earliest, which tells everything again.
        self._told = position is None and (self._config.existing or bool(places))
        self._stale = set(places)

    async def look(self) -> None:
        """Ask once, and emit what is new."""
        try:
            async with asyncio.timeout(_ASKED_SECS):
                call = call_of(
                    "get",
                    self._config.get,
                    self._config,
                    self._context,
                    authored=self._config.get,
                    headers=self._validators,
                )
                answer = await send(call, self._context)
            if answer.status == 304 and self._validators:
                self._say()
                return
            if not is_expected(answer.status, self._config.expect):
                raise response.unexpected("GET", call.url, answer, self._context.clock)
            items = await asyncio.to_thread(_items, answer, self._config, str(call.url))
        except TimeoutError as error:
            message = f"{self._config.get}: no whole answer within {_ASKED_SECS:.0f} s"
            raise SourceFailed(message) from error
        except ActionFailed as error:
            fatal = error.kind == "type"
            raise SourceFailed(str(error), fatal=fatal, after_secs=error.after_secs) from error
        await self._take(items, answer)
        self._say()

    async def _take(self, items: dict[str, Item], answer: Answer) -> None:
        """Emit what is new; store what no event carries, if there is any."""
        now_ms, known = self._context.clock.now_ms(), self._known
        gone = {name for name, since in known.items() if _is_forgotten(since, now_ms)}
        for name in gone:
            del known[name]
        new = [item for name, item in items.items() if name not in known]
        noted = {name: _HERE for name in items if known.get(name, _HERE) != _HERE}
        if self._first and not self._told:
            noted |= {item.name: _HERE for item in new}
            new = []
        noted |= await self._tell(new, answer)
        noted |= {
            name: now_ms for name, since in known.items() if since == _HERE and name not in items
        }
        known |= noted
        # Only now: had we stopped before, the server would have to say all of it again.
        self._validators = {
            ours: answer.headers[theirs] for ours, theirs in _VALIDATORS if theirs in answer.headers
        }
        gone = (gone | self._stale) - known.keys()
        if new or noted or gone or self._first:
            places = {**noted, **dict.fromkeys(gone)}
            await self._context.keep(places, position=self._validators)
        self._first, self._stale = False, set()

    async def _tell(self, new: list[Item], answer: Answer) -> dict[str, int]:
        """Emit items; those that no flow wanted, which were not stored with an event."""
        unwanted = {}
        fields = {"status": answer.status, "headers": answer.headers}
        for begin in range(0, len(new), _PAGE):
            page = new[begin : begin + _PAGE]
            receipts = await self._emit.many(
                [
                    Received(data=item.data, fields=fields, places={item.name: _HERE})
                    for item in page
                ]
            )
            for item, receipt in zip(page, receipts, strict=True):
                self._known[item.name] = _HERE
                if receipt.event is None:
                    unwanted[item.name] = _HERE
        return unwanted

    def _say(self) -> None:
        here = sum(since == _HERE for since in self._known.values())
        self._context.up(f"{here} items known")


def _is_forgotten(since_ms: int, now_ms: int) -> bool:
    return since_ms != _HERE and since_ms < now_ms - _FORGOTTEN_MS


def _items(answer: Answer, config: Poll, url: str) -> dict[str, Item]:
    """The items of an answer by their names, in the order of their events."""
    read = _read(answer, url)
    event = {"status": answer.status, "headers": answer.headers}
    found: Any = read.items
    if config.items is not None:
        try:
            found = config.items.evaluate({"event": {**event, "data": read.data}})
        except EvaluationError as error:
            raise ActionFailed(f"items: {error}", kind="decode") from error
        if not isinstance(found, list):
            message = f"{url}: items: {config.items.text} is no list in this answer"
            raise ActionFailed(message, kind="decode")
    items: dict[str, Item] = {}
    for each in found:
        name = _name(each, config.id, event, feed=read.feed)
        items.setdefault(name, Item(name, each))
    return items


def _read(answer: Answer, url: str) -> Read:
    if not answer.body:
        return Read(None, [])
    kind = content_type(answer)
    if looks_like_xml(answer.body):
        try:
            feed = read_feed(answer.body, kind.get_content_charset(), url)
            return Read(feed, feed["entries"][::-1], feed=True)
        except NoFeed as error:
            if "html" not in kind.get_content_type():
                raise ActionFailed(f"{url}: {error}", kind="decode") from error
    data = decoded(answer, strict=True)
    if isinstance(data, dict) and str(data.get("version", "")).startswith(_JSON_FEED):
        entries = data.get("items")
        return Read(data, entries[::-1] if isinstance(entries, list) else [], feed=True)
    return Read(data, data if isinstance(data, list) else [data])


def _name(item: Any, id_: Expression | None, event: dict[str, Any], *, feed: bool) -> str:
    """What an item is known by: a digest of its id, or of all of it where it has none."""
    ident = item.get("id") if feed and isinstance(item, dict) else None
    if id_ is not None:
        with suppress(EvaluationError):
            ident = id_.evaluate({"event": {**event, "data": item}})
    if ident is None:
        text = b"\0" + msgspec.json.encode(item, order="sorted")
    else:
        text = to_text(ident).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:32]
