"""What brokers carry becomes data, or says why not."""

import pytest

from reactor.errors import ActionFailed
from reactor.plugin.payload import LONGEST, Payload, read_payload, write_payload

CLOUD = b'{"specversion":"1.0","id":"7","source":"/s","type":"t","time":"2026-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    ("form", "body", "data"),
    [
        ("json", b'{"a": [1, null]}', {"a": [1, None]}),
        ("json", b"\xef\xbb\xbf1", 1),
        ("json", b"", None),
        ("text", "ä".encode(), "ä"),
        ("text", b"", None),
        ("bytes", b"\xff", b"\xff"),
    ],
)
def test_a_payload_becomes_data(form, body, data):
    """By what the source says that it is."""
    assert read_payload(form, body) == Payload(data)


@pytest.mark.parametrize(
    ("form", "body", "words"),
    [
        ("json", b"{oops", "not JSON"),
        ("json", b"\xff", "not JSON"),
        ("json", b"[" * 300 + b"]" * 300, "nested over 200 levels"),
        ("json", b"[" * 100_000, "nested over 200 levels"),
        ("text", b"\xff", "not UTF-8 text"),
        ("json", b" " * (LONGEST + 1), "over 16MiB"),
        ("cloudevent", b"{}", "no specversion"),
        ("cloudevent", b'{"specversion":"1.0"}', "no id, source, type"),
        ("cloudevent", CLOUD.replace(b"2026-01-01T00:00:00Z", b"noon") + b"}", "no RFC 3339 time"),
        ("cloudevent", CLOUD + b',"data_base64":"?"}', "not base64"),
    ],
)
def test_what_cannot_be_read_stays_raw(form, body, words):
    """The reason goes with the bytes."""
    found = read_payload(form, body)

    assert found.data == body
    assert words in (found.problem or "")


def test_a_cloudevent_as_one_map():
    """Structured mode: data beside the attributes."""
    found = read_payload("cloudevent", CLOUD + b',"data":{"a":1}}')

    assert (found.data, found.type, found.time_ms) == ({"a": 1}, "t", 1_767_225_600_000)
    assert found.cloud is not None
    assert found.cloud["source"] == "/s"


def test_a_cloudevent_with_bytes():
    """`data_base64` is bytes."""
    assert read_payload("cloudevent", CLOUD + b',"data_base64":"/w=="}').data == b"\xff"


@pytest.mark.parametrize(("media", "data"), [("application/json", 1), ("image/png", b"1")])
def test_a_cloudevent_in_headers(media, data):
    """Binary mode: attributes in headers, the body is the data."""
    headers = {"specversion": "1.0", "id": "7", "source": "/s", "type": "t"}

    found = read_payload("cloudevent", b"1", {**headers, "content-type": media})

    assert (found.data, found.cloud) == (data, headers)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"json": {"a": 1}}, b'{"a":1}'),
        ({"json": None}, b"null"),
        ({"text": "ä"}, "ä".encode()),
        ({"body": b"\xff"}, b"\xff"),
        ({"body": "a"}, b"a"),
        ({}, b""),
    ],
)
def test_what_is_sent(given, sent):
    """JSON, text, or the body as it is."""
    assert write_payload(**given) == sent


def test_a_map_is_no_body():
    """Maps go under json."""
    with pytest.raises(ActionFailed, match="under json"):
        write_payload(body={"a": 1})
