"""The path table by itself."""

import pytest

from reactor.errors import SourceFailed
from reactor.plugin.context import Route
from reactor.web.head import decode_path
from reactor.web.routes import PathTable


def route(path, method="POST"):
    return Route(method=method, path=path, max_body=10)


def answer(request, respond):
    """Stand in for a source."""


def other(request, respond):
    """Stand in for another source."""


@pytest.fixture
def table():
    return PathTable(lambda: True)


def who(table, path, method="POST"):
    """The answer that serves a path, and the values of its segments."""
    found = table.find(path)
    return None if found is None else (found[0].serving[method].answer, found[1])


async def test_a_literal_goes_before_a_name(table):
    """The most literal route serves; the others catch the rest."""
    async with table.add(route("/a/{x}/c"), answer), table.add(route("/a/b/{y}"), other):
        assert who(table, "/a/b/c") == (other, ("c",))
        assert who(table, "/a/z/c") == (answer, ("z",))
        assert who(table, "/a/b/d") == (other, ("d",))
        assert who(table, "/a/z/d") is None
        assert who(table, "/a/b") is None
        assert who(table, "/a//c") is None
        assert who(table, "/a/{x}/c") == (answer, ("{x}",))


async def test_a_route_is_served_while_it_is_open(table):
    """After the context nothing of it is left, and exact paths are forgotten."""
    async with table.add(route("/a"), answer), table.add(route("/b/{c}"), answer):
        assert who(table, "/a") == (answer, ())

    assert table.find("/a") is None
    assert table.find("/b/c") is None
    assert table.exact("/a") is None


async def test_on_reload_the_newest_serves(table):
    """The new route opens before the old one closes, and closing the old one changes nothing."""
    old, new = table.add(route("/a"), answer, "s"), table.add(route("/a"), other, "s")
    await old.__aenter__()
    await new.__aenter__()
    assert who(table, "/a") == (other, ())
    await old.__aexit__(None, None, None)
    assert who(table, "/a") == (other, ())
    await new.__aexit__(None, None, None)

    assert table.find("/a") is None


async def test_a_new_route_that_fails_gives_the_path_back(table):
    """When the newest closes first the older one serves again."""
    async with table.add(route("/a"), answer):
        async with table.add(route("/a"), other):
            pass

        assert who(table, "/a") == (answer, ())


async def test_two_owners_may_not_share_a_route(table):
    """The error names the other one; another method is fine, another name of a segment is not."""
    one, two = table.owned_by("one"), table.owned_by("two")
    async with one.add(route("/a"), answer), one.add(route("/b/{c}"), answer):
        for path in ("/a", "/b/{d}"):
            with pytest.raises(SourceFailed, match=rf"POST {path} is served by 'one' already"):
                await two.add(route(path), other).__aenter__()
        async with two.add(route("/a", "PUT"), other):
            assert who(table, "/a", "PUT") == (other, ())


@pytest.mark.parametrize(
    ("path", "method", "message"),
    [
        ("/healthz", "GET", "health check"),
        ("/readyz", "POST", "health check"),
        ("a", "POST", "begins with /"),
        ("/a", "FETCH", "no method 'FETCH'"),
    ],
)
async def test_a_path_that_cannot_be_served_is_refused(table, path, method, message):
    """Reserved and malformed paths stop the source for good."""
    with pytest.raises(SourceFailed, match=message) as caught:
        await table.add(route(path, method), answer).__aenter__()

    assert caught.value.fatal


async def test_the_root_and_a_trailing_slash_are_paths(table):
    """`/`, `/a` and `/a/` are three different paths."""
    async with table.add(route("/"), answer), table.add(route("/a/"), other):
        assert who(table, "/") == (answer, ())
        assert who(table, "/a/") == (other, ())
        assert table.find("/a") is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/a%20b", "/a b"),
        ("/%C3%A4", "/ä"),
        ("/a+b", "/a+b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a..b/...", "/a..b/..."),
        ("/%2561", "/%61"),
    ],
)
def test_escapes_are_decoded_once(written, meant):
    """A decoded path is never decoded again."""
    assert decode_path(written) == meant


@pytest.mark.parametrize(
    "path",
    [
        "/a%", "/a%2", "/a%zz", "/%u0041", "/a%2fb", "/a%2Fb", "/a%5cb", "/%ff", "/%c0%af",
        "/%ed%a0%80", "/a%00", "/a%0d%0aX:%20y", "/%7f", "/a/../b", "/a/./b", "/..", "/%2e%2e/a",
        "/a/%2e", "/.%2e/",
    ],
)  # fmt: skip
def test_a_path_that_could_be_read_in_two_ways_is_refused(path):
    """Encoded slashes, dot segments, overlong UTF-8, control characters."""
    with pytest.raises(ValueError, match="path"):
        decode_path(path)
