"""The `http` action: one request, its answer decoded, its failures sorted."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, TypedDict
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType
from yarl import URL

from reactor import __version__
from reactor.clock import Clock, to_ms
from reactor.connectors.http.client import Answer, Call, send, shown, usable
from reactor.connectors.http.guard import is_authors_host
from reactor.errors import ActionFailed, NotFound
from reactor.plugin.context import ActionContext, Connection
from reactor.plugin.spec import Complaint, Config, action, doc
from reactor.units import Size, parse_size

Scalar = str | int | float | bool | None

_METHODS = ("get", "post", "put", "patch", "delete")
_BODIES = ("json", "form", "body")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_EXPECT = re.compile(r"[1-5](?:xx|[0-9][0-9])")
_LONGEST_BODY = parse_size("64MiB")
_TRY_AGAIN = frozenset([408, 425, 429])
_JSON = re.compile(r"(?:application|text)/(?:json|[^;]*\+json)")
_TEXT = re.compile(r"text/.*|application/(?:.*\+)?(?:xml|yaml|x-yaml|javascript|x-ndjson|toml)")
_FORM = "application/x-www-form-urlencoded"


class Basic(Config, frozen=True):
    """A user and a password."""

    user: Annotated[str, doc("The user's name.", "ann")]
    password: Annotated[str, doc("The password.", "${{ secrets.shop_password }}")]


class Auth(Config, frozen=True):
    """How the request says who sends it: one of these."""

    basic: Annotated[Basic | None, doc("HTTP Basic authentication.")] = None
    bearer: Annotated[str | None, doc("A bearer token.", "${{ secrets.token }}")] = None


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
    connection: Annotated[
        str | None,
        doc("The connection of kind http that a path such as /books belongs to.", "books"),
    ] = None
    query: Annotated[
        dict[str, Scalar | list[Scalar]],
        doc("Added to the URL as ?name=value; a list repeats the name, null leaves it out."),
    ] = msgspec.field(default_factory=dict)
    json: Annotated[Any, doc("The body, sent as JSON.", {"text": "hi"})] | UnsetType = UNSET
    form: Annotated[
        dict[str, Scalar | list[Scalar]] | None, doc("The body, sent as a form.", {"text": "hi"})
    ] = None
    body: Annotated[Any, doc("The body as it is: text, or bytes from a template.", "<ping/>")] = (
        None
    )
    headers: Annotated[
        dict[str, Scalar],
        doc("Headers to send; one written here replaces ours, null leaves it out."),
    ] = msgspec.field(default_factory=dict)
    auth: Annotated[
        Auth | None, doc("Who sends the request.", {"bearer": "${{ secrets.token }}"})
    ] = None
    expect: Annotated[
        str | int | list[str | int],
        doc("The statuses that are a success; any other fails the step.", "2xx", ["2xx", 404]),
    ] = "2xx"
    follow: Annotated[
        int,
        msgspec.Meta(ge=0, le=20),
        doc("How many redirects to follow; 0 gives the redirect itself.", 5),
    ] = 5
    max_body: Annotated[
        Size, doc("The longest answer that is read, at most 64MiB.", "16MiB", form="literal")
    ] = parse_size("4MiB")


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
    auth = written.get("auth")
    if isinstance(auth, Mapping) and len(auth) != 1:
        yield ("auth",), "auth takes exactly one of basic and bearer"
    expect = written.get("expect", "2xx")
    for each in expect if isinstance(expect, list) else [expect]:
        if "${{" not in str(each) and not _EXPECT.fullmatch(str(each)):
            yield ("expect",), f"{each} is no status: write 204, 2xx or a list such as [2xx, 404]"


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
    expected = _is_expected(answer.status, config.expect)
    reply = Reply(
        status=answer.status, headers=answer.headers, body=_decoded(answer, strict=expected)
    )
    if not expected:
        transient = answer.status in _TRY_AGAIN or answer.status >= 500
        raise ActionFailed(
            f"{call.method} {shown(call.url)} answered {answer.status} {answer.reason}".rstrip(),
            kind="http",
            status=answer.status,
            transient=transient,
            after_secs=_after_secs(answer, context.clock) if transient else None,
            output=dict(reply),
        )
    return reply


def _call(config: Http, context: ActionContext) -> Call:
    given = [(name, getattr(config, name)) for name in _METHODS if getattr(config, name)]
    if len(given) != 1:
        raise ActionFailed(f"http takes exactly one of {', '.join(_METHODS)}", kind="type")
    field, text = given[0]
    connection = _connection(config, text, context)
    try:
        url = usable(URL(text) if connection is None else _below(connection, text))
        if config.query:
            url = url.extend_query(_pairs(config.query))
    except ValueError as error:
        raise ActionFailed(f"{field}: {text!r}: {error}", kind="type") from error
    content_type, body = _body(config)
    headers = {
        "user-agent": f"reactor/{__version__}",
        "idempotency-key": context.key,
        **({} if content_type is None else {"content-type": content_type}),
        **_authorization(config, url, connection),
    }
    for name, value in [*_headers_of(connection), *config.headers.items()]:
        headers.pop(name.lower(), None)
        if value is not None:
            headers[name.lower()] = _text(value)
    return Call(
        method=field.upper(),
        url=url.with_user(None),
        headers=headers,
        body=body,
        authors_host=connection is not None
        or is_authors_host(text, context.authored.get(field, "")),
        follow=config.follow,
        max_body=min(config.max_body, _LONGEST_BODY),
    )


def _connection(config: Http, url: str, context: ActionContext) -> Connection | None:
    """The connection that a relative URL belongs to, named or the only one of its kind."""
    absolute = _ABSOLUTE.match(url) is not None
    if config.connection is None and absolute:
        return None
    if absolute:
        raise ActionFailed(
            f"{url!r} is a whole URL: with connection {config.connection!r} write only the path",
            kind="type",
        )
    try:
        return context.connection("http", config.connection)
    except NotFound as error:
        raise ActionFailed(f"{url!r} is no whole URL: {error}", kind="type") from error


def _below(connection: Connection, path: str) -> URL:
    """The URL of a path of a connection; it never leaves the connection's base."""
    base = str(connection.config["base"]).rstrip("/")
    # With the slash nothing in `path` can become part of the host.
    url = URL(f"{base}/{path.lstrip('/')}" if path[:1] not in ("?", "#", "") else base + path)
    inside = URL(base + "/")
    if url.origin() != inside.origin() or not f"{url.path}/".startswith(inside.path):
        raise ValueError(f"climbs out of {shown(inside)}, the base of {connection.name!r}")
    return url


def _body(config: Http) -> tuple[str | None, bytes | None]:
    if config.json is not UNSET:
        return "application/json", msgspec.json.encode(config.json)
    if config.form is not None:
        return _FORM, urlencode(_pairs(config.form)).encode()
    if isinstance(config.body, str):
        return "text/plain; charset=utf-8", config.body.encode()
    if config.body is None or isinstance(config.body, bytes):
        return (None, None) if config.body is None else ("application/octet-stream", config.body)
    raise ActionFailed("body takes text or bytes; lists and maps go under json", kind="type")


def _authorization(config: Http, url: URL, connection: Connection | None) -> dict[str, str]:
    auth = config.auth
    if auth is None and connection is not None and "auth" in connection.config:
        auth = msgspec.convert(connection.config["auth"], Auth)
    if auth is None and url.user is not None:
        auth = Auth(basic=Basic(user=url.user, password=url.password or ""))
    if auth is None:
        return {}
    if auth.bearer is not None:
        return {"authorization": f"Bearer {auth.bearer}"}
    if auth.basic is None:
        raise ActionFailed("auth takes one of basic and bearer", kind="type")
    pair = f"{auth.basic.user}:{auth.basic.password}".encode()
    return {"authorization": f"Basic {b64encode(pair).decode()}"}


def _headers_of(connection: Connection | None) -> Iterable[tuple[str, Scalar]]:
    return () if connection is None else connection.config.get("headers", {}).items()


def _pairs(fields: Mapping[str, Scalar | list[Scalar]]) -> list[tuple[str, str]]:
    return [
        (name, _text(each))
        for name, value in fields.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_expected(status: int, expect: str | int | list[str | int]) -> bool:
    for each in expect if isinstance(expect, list) else [expect]:
        wanted = str(each)
        if not _EXPECT.fullmatch(wanted):
            raise ActionFailed(f"expect: {each!r} is no status such as 204 or 2xx", kind="type")
        if wanted in (str(status), f"{status // 100}xx"):
            return True
    return False


def _decoded(answer: Answer, *, strict: bool) -> Any:
    """The body by its Content-Type; what lies about being JSON fails if `strict`."""
    if not answer.body:
        return None
    header = Message()
    header["content-type"] = answer.headers.get("content-type", "application/octet-stream")
    content_type = header.get_content_type()
    if _JSON.fullmatch(content_type):
        try:
            return msgspec.json.decode(answer.body)
        except msgspec.DecodeError as error:
            if strict:
                raise ActionFailed(f"the answer is no JSON: {error}", kind="decode") from error
    elif not _TEXT.fullmatch(content_type):
        return answer.body
    with suppress(LookupError):
        return answer.body.decode(header.get_content_charset("utf-8"), "replace")
    return answer.body.decode("utf-8", "replace")


def _after_secs(answer: Answer, clock: Clock) -> float | None:
    """What Retry-After asks for: seconds, or until a date."""
    asked = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", asked):
        return float(asked)
    with suppress(ValueError):
        return max(0.0, (to_ms(parsedate_to_datetime(asked)) - clock.now_ms()) / 1000)
    return None
