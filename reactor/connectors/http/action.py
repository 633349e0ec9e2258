"""The `http` action: one request, its answer decoded, its failures sorted."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypedDict
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType

from reactor.connectors.http import request, response
from reactor.connectors.http.client import Call, send
from reactor.connectors.http.request import (
    LONGEST_ANSWER,
    Follow,
    Headers,
    LongestAnswer,
    OfConnection,
    Pairs,
    Query,
    Sender,
    call_of,
    pairs,
)
from reactor.connectors.http.response import Expect, decoded, is_expected
from reactor.errors import ActionFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.spec import Complaint, Config, action, doc

_METHODS = ("get", "post", "put", "patch", "delete")
_BODIES = ("json", "form", "body")
_FORM = "application/x-www-form-urlencoded"


class Http(Config, frozen=True):
    """A request."""

    get: Annotated[
        str | None, doc("Fetch this URL.", "https://example.org/a", strict=True, authored=True)
    ] = None
    post: Annotated[
        str | None, doc("Post to this URL.", "https://example.org/a", strict=True, authored=True)
    ] = None
    put: Annotated[
        str | None, doc("Put to this URL.", "https://example.org/a/1", strict=True, authored=True)
    ] = None
    patch: Annotated[
        str | None, doc("Patch this URL.", "https://example.org/a/1", strict=True, authored=True)
    ] = None
    delete: Annotated[
        str | None, doc("Delete this URL.", "https://example.org/a/1", strict=True, authored=True)
    ] = None
    connection: OfConnection = None
    query: Query = msgspec.field(default_factory=dict)
    json: Annotated[Any, doc("The body, sent as JSON.", {"text": "hi"})] | UnsetType = UNSET
    form: Annotated[Pairs | None, doc("The body, sent as a form.", {"text": "hi"})] = None
    body: Annotated[Any, doc("The body as it is: text, or bytes from a template.", "<ping/>")] = (
        None
    )
    headers: Headers = msgspec.field(default_factory=dict)
    auth: Sender = None
    expect: Annotated[
        Expect,
        doc("The statuses that are a success; any other fails the step.", "2xx", ["2xx", 404]),
    ] = "2xx"
    follow: Follow = 5
    max_body: LongestAnswer = LONGEST_ANSWER


class Reply(TypedDict):
    """What came back."""

    status: Annotated[int, doc("The status code.", 200)]
    headers: Annotated[dict[str, str], doc("The headers, their names in lower case.")]
    body: Annotated[
        Any, doc("JSON as its value, text as text, all else as bytes; null if it is empty.")
    ]


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a request as written, beyond types."""
    given = [name for name in _BODIES if name in written]
    if len(given) > 1:
        yield (given[1],), f"{' and '.join(given)}: a request has one body, so give one of them"
    yield from request.complaints(written)


@action(
    "http",
    examples=[
        "http: {get: https://example.org/status}",
        "http: {post: https://example.org/orders, json: {id: '${{ event.body.id }}'}}",
        "http: {get: 'https://example.org/orders/${{ event.body.id }}', expect: [2xx, 404]}",
    ],
    one_of=[_METHODS],
    check=_complaints,
    timeout_secs=30.0,
)
async def http(config: Http, context: ActionContext) -> Reply:
    """Send a request and wait for the answer.

    A failed connection and the statuses 408, 425, 429 and 5xx may be tried again, after the time
    that the answer's Retry-After asks for.
    """
    call = _call(config, context)
    answer = await send(call, context)
    expected = is_expected(answer.status, config.expect)
    reply = Reply(
        status=answer.status, headers=answer.headers, body=decoded(answer, strict=expected)
    )
    if not expected:
        raise response.unexpected(call.method, call.url, answer, context.clock, output=dict(reply))
    return reply


def _call(config: Http, context: ActionContext) -> Call:
    given = [(name, getattr(config, name)) for name in _METHODS if getattr(config, name)]
    if len(given) != 1:
        raise ActionFailed(f"http takes exactly one of {', '.join(_METHODS)}", kind="type")
    field, text = given[0]
    content_type, body = _body(config)
    ours = {"idempotency-key": context.key}
    if content_type is not None:
        ours["content-type"] = content_type
    authored = context.authored.get(field, "")
    return call_of(field, text, config, context, authored=authored, headers=ours, body=body)


def _body(config: Http) -> tuple[str | None, bytes | None]:
    if config.json is not UNSET:
        return "application/json", msgspec.json.encode(config.json)
    if config.form is not None:
        return _FORM, urlencode(pairs(config.form)).encode()
    if isinstance(config.body, str):
        return "text/plain; charset=utf-8", config.body.encode()
    if config.body is None or isinstance(config.body, bytes):
        return (None, None) if config.body is None else ("application/octet-stream", config.body)
    raise ActionFailed("body takes text or bytes; lists and maps go under json", kind="type")
