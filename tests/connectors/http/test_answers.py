"""What senders hear."""

import json

import pytest

from reactor.connectors.http import answers
from reactor.errors import Overloaded, StorageFailed
from reactor.ids import id_text
from reactor.model.event import Outcome, Receipt, Started

EVENT, EXECUTION = id_text("evt", 7), id_text("exe", 8)
ONE = (Started("f", 8),)


def heard(reply):
    return reply.status, json.loads(reply.body) if reply.body else None, dict(reply.headers)


@pytest.mark.parametrize(
    ("receipt", "status", "body"),
    [
        (Receipt(7, ONE), 202, {"execution": EXECUTION, "event": EVENT}),
        (Receipt(7, ONE, duplicate=True), 200, {"execution": EXECUTION, "event": EVENT}),
        (
            Receipt(7, (Started("f", 8), Started("g", 9))),
            202,
            {"execution": EXECUTION, "event": EVENT, "executions": [EXECUTION, id_text("exe", 9)]},
        ),
        (Receipt(7, (), ("f",)), 202, {"event": EVENT, "held": ["f"]}),
        (Receipt(7), 202, {"event": EVENT}),
    ],
)
def test_a_stored_event_is_answered_with_its_ids(receipt, status, body):
    """202 for a new one, 200 for a repeat, and always the event's id as a header."""
    assert heard(answers.received(receipt)) == (status, body, {"Reactor-Event": EVENT})


def test_what_nobody_wants_is_no_content():
    """204, without an event there is no header."""
    assert heard(answers.received(Receipt(None))) == (204, None, {})


def test_another_body_under_the_same_id_is_a_conflict():
    """422 and the first event's id."""
    status, body, headers = heard(answers.received(Receipt(7, ONE, duplicate=True, conflict=True)))

    assert (status, headers) == (422, {"Reactor-Event": EVENT})
    assert "use a new one" in body["error"]


def test_a_refused_event_may_come_again():
    """429 with whole seconds, rounded up."""
    status, _, headers = heard(answers.received(Receipt(None, refused_secs=2.1)))

    assert (status, headers) == (429, {"Retry-After": "3"})


def test_nothing_stored_is_a_503():
    """Retry-After says when; an error that nobody foresaw has no such answer."""
    overloaded = answers.failed(Overloaded("full", retry_after_secs=0.2))
    storage = answers.failed(StorageFailed("disk"))

    assert overloaded is not None
    assert heard(overloaded)[::2] == (503, {"Retry-After": "1"})
    assert storage is not None
    assert storage.status == 503
    assert answers.failed(KeyError("x")) is None


@pytest.mark.parametrize(
    ("outcome", "status", "body"),
    [
        (Outcome(8, "ok", output={"a": 1}), 200, {"a": 1}),
        (Outcome(8, "ok"), 200, {"execution": EXECUTION, "state": "ok"}),
        (Outcome(8, "skipped"), 200, {"execution": EXECUTION, "state": "skipped"}),
        (
            Outcome(8, "failed", error_kind="timeout"),
            500,
            {"execution": EXECUTION, "error": {"kind": "timeout"}},
        ),
        (Outcome(8, "cancelled"), 500, {"execution": EXECUTION, "error": {"kind": "cancelled"}}),
        (Outcome(8, "failed", reply={"status": 409, "json": [1]}), 409, [1]),
    ],
)
def test_a_flow_that_is_done_answers(outcome, status, body):
    """Its reply, else its output, else its state; a failure is a 500."""
    reply = answers.finished(Receipt(7, ONE), outcome)

    assert heard(reply) == (status, body, {"Reactor-Event": EVENT})


@pytest.mark.parametrize(
    ("said", "content_type", "body"),
    [
        ({"text": "grüß"}, "text/plain; charset=utf-8", "grüß".encode()),
        ({"body": b"\x00"}, "application/octet-stream", b"\x00"),
        ({"body": "<a>", "headers": {"Content-Type": "text/html"}}, "text/html", b"<a>"),
        ({"json": "a"}, "application/json", b'"a"'),
        ({}, "text/plain; charset=utf-8", b""),
    ],
)
def test_a_reply_has_a_body_and_its_type(said, content_type, body):
    """json, text or body; a Content-Type that the flow wrote wins."""
    reply = answers.rendered(said)

    assert (reply.status, reply.content_type, reply.body) == (200, content_type, body)


def test_a_reply_may_repeat_a_header():
    """A list becomes one header each."""
    reply = answers.rendered({"headers": {"Set-Cookie": ["a=1", "b=2"], "X-N": 5}})

    assert reply.headers == (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-N", "5"))


@pytest.mark.parametrize(
    "said",
    [
        {"status": 99},
        {"status": 101},
        {"status": 600},
        {"status": "200"},
        {"status": True},
        {"headers": {"X": "a\r\nSet-Cookie: b"}},
        {"headers": {"X": "a\nb"}},
        {"headers": {"X": "a\x00"}},
        {"headers": {"X": ["fine", "a\r"]}},
        {"headers": {"X": "snow\u2603"}},
        {"headers": {"X: a\r\nY": "b"}},
        {"headers": {"": "b"}},
        {"headers": {"Content-Length": "5"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"headers": {"Connection": "close"}},
        {"headers": {"Content-Type": "text/html\r\nX: y"}},
    ],
)
def test_a_reply_cannot_change_the_message_around_it(said):
    """Line breaks, framing headers and odd statuses are refused."""
    with pytest.raises(ValueError, match=r"reply (status|header)"):
        answers.rendered(said)
