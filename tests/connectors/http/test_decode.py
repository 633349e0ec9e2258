"""Bodies become data, or a 415 or 422 that says what to send."""

import pytest

from reactor.connectors.http.decode import Undecodable, decode

JSON = "application/json"


def of_type(content_type):
    return {"content-type": content_type} if content_type else {}


@pytest.mark.parametrize(
    ("wanted", "content_type", "body", "data"),
    [
        ("auto", JSON, b'{"a": [1, null]}', {"a": [1, None]}),
        ("auto", "application/vnd.api+json; charset=utf-8", b"[1.5]", [1.5]),
        ("auto", "Application/JSON", b"true", True),
        ("auto", JSON, b"\xef\xbb\xbf{}", {}),
        ("auto", 'application/json; charset="UTF-16"', '{"ä": 1}'.encode("utf-16"), {"ä": 1}),
        ("auto", JSON, b"123456789012345678901234567890", 123456789012345678901234567890),
        ("auto", "application/x-www-form-urlencoded", b"a=1&b=2&b=%C3%A4+x&c=", {
            "a": "1", "b": ["2", "ä x"], "c": "",
        }),
        ("auto", "application/x-www-form-urlencoded; charset=iso-8859-1", b"a=%E4", {"a": "ä"}),
        ("auto", "text/plain", "grüß".encode(), "grüß"),
        ("auto", "text/csv; header=present; charset=latin-1", b"gr\xfc\xdf", "grüß"),
        ("auto", "application/octet-stream", b"\x00\xff", b"\x00\xff"),
        ("auto", "multipart/form-data; boundary=x", b"--x", b"--x"),
        ("auto", "", b"{}", b"{}"),
        ("auto", JSON, b"", None),
        ("json", "", b"{}", {}),
        ("json", "text/plain", b"", None),
        ("form", "", b"a=1", {"a": "1"}),
        ("text", JSON, b"{}", "{}"),
        ("bytes", JSON, b"{}", b"{}"),
        ("bytes", "text/plain; charset=bogus", b"{}", b"{}"),
    ],
)  # fmt: skip
def test_a_body_becomes_data(wanted, content_type, body, data):
    """By the route's wish first, else by Content-Type."""
    assert decode(wanted, of_type(content_type), body) == data


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"NaN",
        b"Infinity",
        b"1e999",
        b"1" * 5000,
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b"\xff",
        b"{} {}",
        b"'a'",
        b"[" * 100_000,
        b"[" * 300 + b"]" * 300,
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ],
)
def test_bad_json_is_unprocessable(body):
    """422, whatever is wrong with it, and without hanging."""
    with pytest.raises(Undecodable, match="JSON") as caught:
        decode("auto", of_type(JSON), body)

    assert caught.value.status == 422


def test_two_hundred_levels_are_fine():
    """The bound on nesting leaves room for what people send, also beside many brackets."""
    body = b"[" * 200 + b"]" * 200

    assert decode("auto", of_type(JSON), body)
    assert len(decode("auto", of_type(JSON), b"[" + b"[],{}," * 500 + b"[]]")) == 1001


@pytest.mark.parametrize(
    ("wanted", "headers"),
    [
        ("auto", {"content-encoding": "gzip"}),
        ("bytes", {"content-encoding": "br, gzip"}),
        ("auto", of_type("application/json; charset=bogus")),
        ("auto", of_type("text/plain; charset=rot13")),
        ("auto", of_type("text/plain; charset=unicode_escape")),
        ("auto", of_type("text/plain; charset=idna")),
        ("auto", of_type("text/plain; charset=\x00")),
        ("auto", of_type("text/plain; charset=" + "a" * 9000)),
        ("json", of_type("text/plain")),
        ("json", of_type("application/x-www-form-urlencoded")),
        ("form", of_type(JSON)),
    ],
)
def test_a_type_that_is_not_taken_is_a_415(wanted, headers):
    """A Content-Encoding, an unknown charset, or a type that the route does not take."""
    with pytest.raises(Undecodable) as caught:
        decode(wanted, headers, b"{}")

    assert caught.value.status == 415


def test_a_type_does_not_matter_without_a_body():
    """An empty body is null, but a Content-Encoding is refused all the same."""
    assert decode("json", of_type("text/plain; charset=bogus"), b"") is None
    with pytest.raises(Undecodable):
        decode("auto", {"content-encoding": "gzip"}, b"")


def test_text_in_another_charset_than_it_says_is_unprocessable():
    """The message names the charset."""
    with pytest.raises(Undecodable, match="the body is not utf-8") as caught:
        decode("auto", of_type("text/plain"), b"\xff")

    assert caught.value.status == 422


def test_a_form_with_too_many_fields_is_unprocessable():
    """A thousand names are enough for a form."""
    body = b"&".join(b"a%d=1" % number for number in range(1001))

    with pytest.raises(Undecodable, match="more than a thousand fields"):
        decode("form", {}, body)
