"""What the sender hears: the replies for receipts, outcomes and refusals."""

import math
import re
from typing import Any

import msgspec

from reactor.errors import Overloaded, StorageFailed
from reactor.ids import id_text
from reactor.model.event import Outcome, Receipt
from reactor.model.http import Reply

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# The listener writes these itself, or they would change where a message ends.
_OURS = {
    "connection", "content-length", "date", "keep-alive", "reactor-event", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip

_encode = msgspec.json.Encoder().encode

_CONFLICT = b'{"error": "this id was used with another body: use a new one for a new request"}'


def unauthorized(realm: str | None) -> Reply:
    """The one answer to everybody who does not prove who they are."""
    headers = () if realm is None else (("WWW-Authenticate", f'{realm} realm="reactor"'),)
    return Reply(401, b'{"error": "not authorized"}', headers=headers)


def refused(status: int, why: str) -> Reply:
    """A body that does not become data."""
    return Reply(status, _encode({"error": why}))


def later(status: int, why: str, secs: float) -> Reply:
    """The sender should come back."""
    wait = str(max(1, math.ceil(secs)))
    return Reply(status, _encode({"error": why}), headers=(("Retry-After", wait),))


def failed(error: BaseException) -> Reply | None:
    """The answer when nothing was stored; None for an error that nobody foresaw."""
    if isinstance(error, Overloaded):
        return later(503, "nothing was stored: send it again later", error.retry_after_secs)
    if isinstance(error, StorageFailed) or not isinstance(error, Exception):
        return later(503, "unknown whether it was stored: send it again with the same id", 5)
    return None


def received(receipt: Receipt, *, status: int = 0) -> Reply:
    """The answer to a stored, repeated, refused or unwanted event."""
    if receipt.refused_secs is not None:
        return later(429, "too many requests for this flow", receipt.refused_secs)
    if receipt.event is None:
        return _unwanted(receipt)
    event = id_text("evt", receipt.event)
    headers = (("Reactor-Event", event),)
    if receipt.conflict:
        return Reply(422, _CONFLICT, headers=headers)
    if not status:
        status = 200 if receipt.duplicate else 202
    if len(receipt.executions) == 1 and not receipt.held:
        execution = id_text("exe", receipt.executions[0].execution)
        body = f'{{"execution": "{execution}", "event": "{event}"}}'
        return Reply(status, body.encode(), headers=headers)
    return Reply(status, _encode(_ids(receipt, event)), headers=headers)


def _unwanted(receipt: Receipt) -> Reply:
    if receipt.unwanted is None:
        return Reply(204)
    return Reply(204, headers=(("Reactor-Event", id_text("evt", receipt.unwanted)),))


def _ids(receipt: Receipt, event: str) -> dict[str, Any]:
    executions = [id_text("exe", started.execution) for started in receipt.executions]
    ids: dict[str, Any] = {"execution": executions[0]} if executions else {}
    ids["event"] = event
    if len(executions) > 1:
        ids["executions"] = executions
    if receipt.held:
        ids["held"] = receipt.held
    return ids


def finished(receipt: Receipt, outcome: Outcome) -> Reply:
    """The answer of a flow that is done; ValueError when its `reply` makes no sense."""
    headers = () if receipt.event is None else (("Reactor-Event", id_text("evt", receipt.event)),)
    execution = id_text("exe", outcome.execution)
    if outcome.reply is not None:
        return rendered(outcome.reply, headers)
    if outcome.state in {"failed", "cancelled"}:
        kind = outcome.error_kind or outcome.state
        body = {"execution": execution, "error": {"kind": kind}}
        return Reply(500, _encode(body), headers=headers)
    if outcome.output is not None:
        return Reply(200, _encode(outcome.output), headers=headers)
    return Reply(200, _encode({"execution": execution, "state": outcome.state}), headers=headers)


def rendered(reply: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """What a `reply` step said as a reply; ValueError names what may not be sent."""
    status = reply.get("status", 200)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"reply status {status!r} is no number from 200 to 599")
    content_type, body = _content(reply)
    for name, value in (reply.get("headers") or {}).items():
        for text in value if isinstance(value, list) else [value]:
            _check_header(name, str(text))
            if name.lower() == "content-type":
                content_type = str(text)
            else:
                headers = (*headers, (name, str(text)))
    return Reply(status, body, content_type, headers)


def _content(reply: dict[str, Any]) -> tuple[str, bytes]:
    if reply.get("json") is not None:
        return "application/json", _encode(reply["json"])
    text = reply.get("text")
    given = reply.get("body") if text is None else str(text)
    if isinstance(given, bytes):
        return "application/octet-stream", given
    if isinstance(given, str) or given is None:
        return "text/plain; charset=utf-8", (given or "").encode()
    return "application/json", _encode(given)


def _check_header(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"reply header {name!r} has characters that a header may not have")
    if name.lower() in _OURS:
        raise ValueError(f"reply header {name!r} is written by the listener: leave it out")
