"""Replies as bytes, and the fixed ones that the listener gives by itself."""

import logging
from http import HTTPStatus

from reactor.model.http import Reply

_log = logging.getLogger(__name__)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
# Heads are few; a flow that renders a new Content-Type each time must not fill the memory.
_MOST_HEADS = 256
_heads: dict[tuple[int, str], bytes] = {}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def problem(status: int, error: str, *headers: tuple[str, str]) -> Reply:
    """A reply that says what is wrong and what to do; `error` needs no JSON escapes."""
    return Reply(status, b'{"error": "%b"}' % error.encode(), headers=headers)


NOT_FOUND = problem(404, "nothing is served at this path")
TOO_SLOW = problem(
    408, "the request took too long: send its head within 10 s, its body within 30 s"
)
FAILED = problem(500, "the request could not be handled; see the daemon's log")
DRAINING = problem(503, "shutting down: send the request again", ("Retry-After", "1"))
FULL = problem(503, "too many connections: try again later", ("Retry-After", "1"))


def malformed(why: str) -> Reply:
    """The answer to what is not HTTP as we take it."""
    return problem(400, f"malformed HTTP: {why}")


def render(reply: Reply, date: bytes, extra: str, *, keep: bool, with_body: bool) -> bytes:
    """The bytes of a reply.

    `date` is a whole header line, `extra` are lines besides the reply's own; without `keep` the
    client hears that the connection ends, without `with_body` (HEAD) it hears the length only.
    """
    status = reply.status
    if reply.headers:
        own = "".join([f"{name}: {value}\r\n" for name, value in reply.headers])
        # Last line of defence against header injection; who builds a reply checks before.
        if own.count("\r") != len(reply.headers) or own.count("\n") != len(reply.headers):
            _log.error("a reply was withheld: line break in a header", extra={"status": status})
            return render(FAILED, date, extra, keep=keep, with_body=with_body)
        extra += own
    lines = date + extra.encode("latin-1", "replace") if extra else date
    if not keep:
        lines += b"Connection: close\r\n"
    if status in {204, 304}:
        return b"%b%b\r\n" % (_head(status, ""), lines)
    head = _head(status, reply.content_type)
    content = reply.body
    return b"%bContent-Length: %d\r\n%b\r\n%b" % (
        head,
        len(content),
        lines,
        content if with_body else b"",
    )


def _head(status: int, content_type: str) -> bytes:
    head = _heads.get((status, content_type))
    if head is None:
        line = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n"
        if content_type:
            line += f"Content-Type: {content_type}\r\n"
        head = line.encode("latin-1", "replace")
        if len(_heads) < _MOST_HEADS:
            _heads[status, content_type] = head
    return head
