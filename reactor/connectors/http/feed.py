"""RSS and Atom: the entries of a feed as plain data. Hostile XML is refused before it grows."""

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urljoin
from xml.parsers import expat

from reactor.connectors.http.decode import CHARSETS

_DEEPEST = 100
_MOST_ELEMENTS = 200_000
_ROOTS = ("rss", "RDF", "feed")
_BEGINNINGS = (b"<?xml", b"<rss", b"<feed", b"<rdf:RDF", b"<!--", b"<!DOCTYPE rss")
_MARK = b"\xef\xbb\xbf"
_SPACE = " "  # between a namespace and a name, which hold none
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#" + _SPACE
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{1,200}encoding\s*=\s*["']([\w.-]{1,40})""")
_CONTENT = "http://purl.org/rss/1.0/modules/content/"


class NoFeed(ValueError):
    """The text is XML-like and no feed that can be read; the message says why."""


class _Element:
    """One element; names are without their namespace, but for `content:encoded`."""

    __slots__ = ("attributes", "children", "name", "parts")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[_Element] = []
        self.parts: list[str] = []

    def all(self, *names: str) -> Iterator["_Element"]:
        """The children of these names, in order."""
        return (child for child in self.children if child.name in names)

    def text(self, *names: str) -> str | None:
        """The text of the first child of the first of these names that has any."""
        for name in names:
            for child in self.all(name):
                if text := child.whole():
                    return text
        return None

    def whole(self) -> str:
        """All text inside, without space around it."""
        found: list[str] = []
        waiting = [self]
        while waiting:
            element = waiting.pop()
            found += element.parts
            waiting += reversed(element.children)
        return "".join(found).strip()


def looks_like_xml(body: bytes) -> bool:
    """Whether a body may be a feed, whatever its type says."""
    return body.removeprefix(_MARK).lstrip()[:16].startswith(_BEGINNINGS)


def read_feed(body: bytes, charset: str | None, url: str) -> dict[str, Any]:
    """`{title, link, entries}` of RSS 0.9 to 2.0 or Atom; relative links start at `url`.

    Each entry is `{id, title, link, summary, content, author, published, updated, categories,
    enclosures}`; what it does not have is null or empty. Raises `NoFeed`.
    """
    root = _parse(body, charset)
    if root.name not in _ROOTS:
        raise NoFeed(f"the XML is no feed: its root is {root.name[:40]}, not rss, RDF or feed")
    channel = next(root.all("channel"), root)
    entries = list(channel.all("item", "entry")) or list(root.all("item"))
    return {
        "title": channel.text("title"),
        "link": _link(channel, url),
        "entries": [_entry(entry, url) for entry in entries],
    }


def _parse(body: bytes, charset: str | None) -> _Element:
    # Space before the declaration is a mistake that many make.
    body, encoding = _in_utf8(body.removeprefix(_MARK).lstrip(), charset)
    parser = expat.ParserCreate(encoding, _SPACE)
    document = _Element("", {})
    open_: list[_Element] = [document]
    count = 0

    def refuse(*_: Any) -> NoReturn:
        raise NoFeed("the XML declares entities: such a document is not read")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > _MOST_ELEMENTS:
            raise NoFeed(f"the XML has more than {_MOST_ELEMENTS} elements")
        if len(open_) > _DEEPEST:
            raise NoFeed(f"the XML is nested over {_DEEPEST} levels")
        element = _Element(_short(name), attributes)
        open_[-1].children.append(element)
        open_.append(element)

    def text(part: str) -> None:
        open_[-1].parts.append(part)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_.pop()
    parser.CharacterDataHandler = text
    # A document that defines entities can grow without bound, or ask for files and addresses.
    parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise NoFeed(f"the XML cannot be read: {error}") from error
    return document.children[0]


def _in_utf8(body: bytes, charset: str | None) -> tuple[bytes, str | None]:
    """A document in an encoding that the parser does not know, in one that it does."""
    if charset is None and (declared := _DECLARED.match(body)):
        charset = declared[1].decode()
    with suppress(LookupError, ValueError):
        name = codecs.lookup(charset or "").name
        if name in CHARSETS and not name.startswith("utf"):
            return body.decode(name, "replace").encode(), "utf-8"
    return body, None


def _short(name: str) -> str:
    space, _, local = name.rpartition(_SPACE)
    return f"content:{local}" if space == _CONTENT else local


def _entry(entry: _Element, url: str) -> dict[str, Any]:
    link = _link(entry, url)
    title = entry.text("title")
    return {
        "id": entry.text("id", "guid") or entry.attributes.get(f"{_RDF}about") or link or title,
        "title": title,
        "link": link,
        "summary": entry.text("summary", "description"),
        "content": entry.text("content", "content:encoded"),
        "author": _author(entry),
        "published": _time(entry.text("published", "pubDate", "date", "issued")),
        "updated": _time(entry.text("updated", "modified")),
        "categories": [
            term
            for each in entry.all("category", "subject")
            if (term := each.attributes.get("term") or each.whole())
        ],
        "enclosures": [
            {"url": urljoin(url, where), "type": each.attributes.get("type")}
            for each in entry.all("enclosure", "link")
            if (where := each.attributes.get("url") or _enclosed(each))
        ],
    }


def _enclosed(link: _Element) -> str | None:
    return link.attributes.get("href") if link.attributes.get("rel") == "enclosure" else None


def _author(entry: _Element) -> str | None:
    for author in entry.all("author", "creator"):
        return author.text("name", "email") or author.whole() or None
    return None


def _link(element: _Element, url: str) -> str | None:
    for link in element.all("link"):
        where = link.attributes.get("href") or link.whole()
        if where and link.attributes.get("rel", "alternate") == "alternate":
            return _joined(url, where)
    permanent = next(element.all("guid"), None)
    if permanent is not None and permanent.attributes.get("isPermaLink", "true") == "true":
        where = permanent.whole()
        return where if where.startswith(("http://", "https://")) else None
    return None


def _joined(url: str, where: str) -> str:
    try:
        return urljoin(url, where)
    except ValueError:
        return where


def _time(text: str | None) -> str | None:
    """RFC 3339 in UTC; what is no time stays as it was written."""
    if text is None:
        return None
    found: datetime | None = None
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
    if found is None:
        with suppress(ValueError):
            found = parsedate_to_datetime(text)
    if found is None:
        return text
    moment = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    with suppress(OverflowError):
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return text
