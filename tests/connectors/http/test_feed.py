"""Feeds become plain data; hostile XML is refused."""

import pytest

from reactor.connectors.http.feed import NoFeed, looks_like_xml, read_feed

HERE = "https://example.org/news/feed.xml"
RSS = b"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
     xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel><title>News</title><link>https://example.org/</link>
<item><title>A &amp; B</title><link>/a</link><guid isPermaLink="false">tag:1</guid>
<description><![CDATA[<b>short</b>]]></description><content:encoded>long</content:encoded>
<dc:creator>ann</dc:creator><pubDate>Tue, 14 Nov 2023 22:13:20 +0100</pubDate>
<category>x</category><category>y</category>
<enclosure url="a.mp3" type="audio/mpeg" length="5"/></item>
<item><guid>https://example.org/b</guid><pubDate>some day</pubDate></item>
</channel></rss>"""
ATOM = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>
<link rel="self" href="feed.xml"/><link href="https://example.org/"/>
<entry><id>urn:1</id><title type="html">A</title><link rel="edit" href="edit"/>
<link href="a.html"/><link rel="enclosure" href="a.mp3" type="audio/mpeg"/>
<summary>short</summary>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">
<p>long <i>er</i></p></div></content>
<author><name>ann</name><email>ann@example.org</email></author>
<published>2023-11-14T22:13:20+01:00</published><updated>2023-11-15T00:00:00Z</updated>
<category term="x"/></entry></feed>"""
RDF = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="https://example.org/"><title>News</title></channel>
<item rdf:about="https://example.org/a"><title>A</title><dc:date>2023-11-14</dc:date></item>
</rdf:RDF>"""


def entries(body, charset=None):
    """The entries of a feed at `HERE`."""
    return read_feed(body, charset, HERE)["entries"]


def test_rss():
    """All that an item of RSS 2.0 says, its link from where the feed is."""
    first, second = entries(RSS)

    assert first == {
        "id": "tag:1",
        "title": "A & B",
        "link": "https://example.org/a",
        "summary": "<b>short</b>",
        "content": "long",
        "author": "ann",
        "published": "2023-11-14T21:13:20Z",
        "updated": None,
        "categories": ["x", "y"],
        "enclosures": [{"url": "https://example.org/news/a.mp3", "type": "audio/mpeg"}],
    }
    assert (second["link"], second["published"]) == ("https://example.org/b", "some day")


def test_atom():
    """All that an entry of Atom says; text inside markup is text."""
    (entry,) = entries(ATOM)

    assert entry == {
        "id": "urn:1",
        "title": "A",
        "link": "https://example.org/news/a.html",
        "summary": "short",
        "content": "long er",
        "author": "ann",
        "published": "2023-11-14T21:13:20Z",
        "updated": "2023-11-15T00:00:00Z",
        "categories": ["x"],
        "enclosures": [{"url": "https://example.org/news/a.mp3", "type": "audio/mpeg"}],
    }
    assert read_feed(ATOM, None, HERE)["link"] == "https://example.org/"


def test_rss_1():
    """RSS 1.0 has its items beside the channel, and names them by address."""
    (entry,) = entries(RDF)

    assert (entry["id"], entry["title"]) == ("https://example.org/a", "A")
    assert entry["published"] == "2023-11-14T00:00:00Z"


@pytest.mark.parametrize(
    ("declared", "charset"), [("windows-1252", None), ("utf-8", "windows-1252"), ("koi8-r", None)]
)
def test_other_letters(declared, charset):
    """What the server says of the encoding counts before what the document says."""
    title = "день" if declared == "koi8-r" else "grün €"
    text = (
        f'<?xml version="1.0" encoding="{declared}"?><rss><item><title>{title}</title></item></rss>'
    )

    (entry,) = entries(text.encode(charset or declared), charset)

    assert entry["title"] == title


BOMB = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><rss><item><title>&b;</title></item></rss>"""
FILE = b"""<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><title>&x;</title></rss>"""
PARAMETER = b"""<!DOCTYPE rss [<!ENTITY % x SYSTEM "http://127.0.0.1/x"> %x;]><rss/>"""


@pytest.mark.parametrize("body", [BOMB, FILE, PARAMETER], ids=["bomb", "file", "parameter"])
def test_entities_are_refused(body):
    """A document that declares entities is not read, whatever they are for."""
    with pytest.raises(NoFeed, match="declares entities"):
        entries(body)


def test_a_foreign_definition_is_not_fetched():
    """A DOCTYPE that points elsewhere is passed over."""
    body = b'<!DOCTYPE rss SYSTEM "http://127.0.0.1:1/rss.dtd"><rss><item><title>a</title></item></rss>'

    assert [entry["title"] for entry in entries(body)] == ["a"]


def test_deep_and_long_documents_are_refused():
    """Neither depth nor number of elements grows without bound."""
    with pytest.raises(NoFeed, match="nested over 100 levels"):
        entries(b"<rss>" + b"<a>" * 100_000)
    with pytest.raises(NoFeed, match="more than 200000 elements"):
        entries(b"<rss>" + b"<a/>" * 200_001)


@pytest.mark.parametrize("body", [b"<rss>", b"<rss>&nbsp;</rss>", b"<html/>", b"<?xml?>", b""])
def test_what_is_no_feed(body):
    """Anything else is an error that says why."""
    with pytest.raises(NoFeed):
        entries(body)


@pytest.mark.parametrize(
    ("body", "xml"),
    [(b"\xef\xbb\xbf <?xml", True), (b"<feed/>", True), (b"<html>", False), (b"{}", False)],
)
def test_what_looks_like_xml(body, xml):
    """The first letters say it; pages of HTML are text."""
    assert looks_like_xml(body) is xml
