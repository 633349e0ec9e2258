"""What requests have in common: where they go, with which headers, and who sends them."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Annotated, Protocol

import msgspec
from yarl import URL

from reactor import __version__
from reactor.connectors.http.client import Call, Lent, shown, usable
from reactor.connectors.http.guard import is_authors_host
from reactor.errors import ActionFailed, NotFound
from reactor.plugin.context import Connection
from reactor.plugin.spec import Complaint, Config, doc
from reactor.units import Size, parse_size

Scalar = str | int | float | bool | None
Pairs = dict[str, Scalar | list[Scalar]]

EXPECT = re.compile(r"[1-5](?:xx|[0-9][0-9])")
LONGEST_BODY = parse_size("64MiB")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Basic(Config, frozen=True):
    """A user and a password."""

    user: Annotated[str, doc("The user's name.", "ann")]
    password: Annotated[str, doc("The password.", "${{ secrets.shop_password }}")]


class Auth(Config, frozen=True):
    """How the request says who sends it: one of these."""

    basic: Annotated[Basic | None, doc("HTTP Basic authentication.")] = None
    bearer: Annotated[str | None, doc("A bearer token.", "${{ secrets.token }}")] = None


# The fields of every request, under `http` and under `poll`.
OfConnection = Annotated[
    str | None,
    doc("The connection of kind http that a path such as /books belongs to.", "books"),
]
Query = Annotated[
    Pairs, doc("Added to the URL as ?name=value; a list repeats the name, null leaves it out.")
]
Headers = Annotated[
    dict[str, Scalar],
    doc("Headers to send; one written here replaces ours, null leaves it out."),
]
Sender = Annotated[Auth | None, doc("Who sends the request.", {"bearer": "${{ secrets.token }}"})]
Follow = Annotated[
    int,
    msgspec.Meta(ge=0, le=20),
    doc("How many redirects to follow; 0 gives the redirect itself.", 5),
]
LongestAnswer = Annotated[
    Size, doc("The longest answer that is read, at most 64MiB.", "16MiB", form="literal")
]
LONGEST_ANSWER = parse_size("4MiB")


class Options(Protocol):
    """The fields of a request that say how it is sent."""

    @property
    def connection(self) -> str | None:
        """The name of a connection."""
        ...

    @property
    def query(self) -> Pairs:
        """What is added to the URL."""
        ...

    @property
    def headers(self) -> dict[str, Scalar]:
        """The flow's own headers."""
        ...

    @property
    def auth(self) -> Auth | None:
        """Who sends it."""
        ...

    @property
    def follow(self) -> int:
        """How many redirects to follow."""
        ...

    @property
    def max_body(self) -> Size:
        """The longest answer."""
        ...


def call_of(
    field: str,
    text: str,
    options: Options,
    context: Lent,
    *,
    authored: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Call:
    """The request of a field such as `get: url`.

    `authored` is the beginning of the URL that no data wrote; `headers` are ours, which those of
    the connection and of the flow replace. Raises `ActionFailed` of kind `type`.
    """
    connection = _connection(options.connection, text, context)
    try:
        url = usable(URL(text) if connection is None else _below(connection, text))
        if options.query:
            url = url.extend_query(pairs(options.query))
    except ValueError as error:
        raise ActionFailed(f"{field}: {text!r}: {error}", kind="type") from error
    sent = {
        "user-agent": f"reactor/{__version__}",
        **headers,
        **_authorization(options.auth, url, connection),
    }
    for name, value in [*_headers_of(connection), *options.headers.items()]:
        sent.pop(name.lower(), None)
        if value is not None:
            sent[name.lower()] = _text(value)
    return Call(
        method=field.upper(),
        url=url.with_user(None),
        headers=sent,
        body=body,
        authors_host=connection is not None or is_authors_host(text, authored),
        follow=options.follow,
        max_body=min(options.max_body, LONGEST_BODY),
    )


def complaints(written: Mapping[str, object]) -> Iterable[Complaint]:
    """What is wrong with these fields as written, beyond types."""
    auth = written.get("auth")
    if isinstance(auth, Mapping) and len(auth) != 1:
        yield ("auth",), "auth takes exactly one of basic and bearer"
    expect = written.get("expect", "2xx")
    for each in expect if isinstance(expect, list) else [expect]:
        if "${{" not in str(each) and not EXPECT.fullmatch(str(each)):
            yield ("expect",), f"{each} is no status: write 204, 2xx or a list such as [2xx, 404]"


def pairs(fields: Mapping[str, Scalar | list[Scalar]]) -> list[tuple[str, str]]:
    """The names and values of a query or a form, as text."""
    return [
        (name, _text(each))
        for name, value in fields.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]


def _connection(name: str | None, url: str, context: Lent) -> Connection | None:
    """The connection that a relative URL belongs to, named or the only one of its kind."""
    absolute = _ABSOLUTE.match(url) is not None
    if name is None and absolute:
        return None
    if absolute:
        raise ActionFailed(
            f"{url!r} is a whole URL: with connection {name!r} write only the path", kind="type"
        )
    try:
        return context.connection("http", name)
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


def _authorization(auth: Auth | None, url: URL, connection: Connection | None) -> dict[str, str]:
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


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
