"""A few small words, so that loading is tested without any connector."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from reactor.expr.parse import Expression
from reactor.plugin.catalog import Catalog
from reactor.plugin.spec import Config, Fields, Spec, doc
from reactor.units import Duration, Size


class HttpFields(Fields, frozen=True):
    """What a request brings."""

    body: Annotated[Any, doc("The body.")] = None
    headers: Annotated[Any, doc("The headers.")] = None
    query: Annotated[Any, doc("The query.")] = None


class NoFields(Fields, frozen=True):
    """Nothing."""


class Late(Config, frozen=True):
    """The late answer."""

    status: Annotated[int, doc("The status.")] = 202


class Done(Config, frozen=True):
    """Answers when done."""

    when: Annotated[Literal["done"], doc("When.", form="literal")]
    timeout: Annotated[Duration, doc("How long.", form="literal")] = Duration(30)
    late: Annotated[Late | None, doc("Otherwise.")] = None


class Hook(Config, frozen=True):
    """A webhook."""

    path: Annotated[str, doc("The path.", "/hooks/github", form="literal")]
    verify: Annotated[
        Mapping[str, Any] | Literal["none"],
        doc(
            "How the caller proves who it is.",
            hint="a webhook says how it trusts its caller: "
            '{github: "${{ secrets.x }}"} … or none (loopback only)',
        ),
    ]
    method: Annotated[Literal["GET", "POST"], doc("The method.", form="literal")] = "POST"
    max_body: Annotated[Size, doc("The largest body.", form="literal")] = Size(1 << 20)
    respond: Annotated[Literal["accepted"] | Done, doc("The answer.")] = "accepted"


class Inputs(Config, frozen=True):
    """What a caller gives."""

    inputs: Annotated[Mapping[str, Any], doc("Inputs.", form="literal")] = {}


class OfType(Config, frozen=True):
    """An inner event."""

    type: Annotated[str, doc("The type.", form="literal")]


class Finished(Config, frozen=True):
    """Another flow's end."""

    finished: Annotated[str | None, doc("Which flow.", form="literal")] = None
    failed: Annotated[str | None, doc("Which flow.", form="literal")] = None


class Startup(Config, frozen=True):
    """Nothing."""


class Line(Config, frozen=True):
    """A line of the log."""

    message: Annotated[str, doc("The text.")]


class Request(Config, frozen=True):
    """A request."""

    get: Annotated[str | None, doc("The URL.", strict=True, authored=True)] = None
    post: Annotated[str | None, doc("The URL.", strict=True, authored=True)] = None
    json: Annotated[Any, doc("The body.")] = None
    headers: Annotated[Mapping[str, str], doc("The headers.")] = {}
    expect: Annotated[tuple[int | str, ...], doc("Which statuses are fine.", form="literal")] = ()


class Shell(Config, frozen=True):
    """A command."""

    args: Annotated[list[str] | None, doc("The words.", strict=True)] = None
    run: Annotated[
        str | None,
        doc(
            "A script.",
            form="literal",
            hint='data may not be part of a script (a tag named "; rm -rf ~" would run): '
            'shell: {args: [deploy, "${{ event.body.tag }}"]}, or '
            'shell: {run: \'deploy "$TAG"\', env: {TAG: "${{ event.body.tag }}"}}',
        ),
    ] = None
    env: Annotated[Mapping[str, str], doc("The environment.")] = {}


class Emitted(Config, frozen=True):
    """An inner event."""

    type: Annotated[str, doc("The type.")]
    data: Annotated[Any, doc("The data.")] = None
    key: Annotated[str | list[str] | None, doc("The key.", form="expression")] = None


class Mapped(Config, frozen=True):
    """A transform."""

    over: Annotated[Any, doc("What to go over.", form="expression")]
    where: Annotated[Expression | None, doc("Which ones.", form="deferred")] = None


class Empty(Config, frozen=True):
    """A reason."""

    reason: Annotated[str | None, doc("Why.")] = None


async def _run(config: Any, context: Any) -> None:
    """Nothing."""


SOURCES = (
    Spec(word="http", kind="source", config=Hook, summary="A webhook.", fields=HttpFields,
         identity=("path", "method")),
    Spec(word="call", kind="source", config=Inputs, summary="A call.", fields=NoFields),
    Spec(word="event", kind="source", config=OfType, summary="An event.", fields=NoFields,
         shorthand="type", match=lambda config: (("type", config["type"]),)),
    Spec(word="flow", kind="source", config=Finished, summary="A flow.", fields=NoFields,
         one_of=(("finished", "failed"),)),
    Spec(word="startup", kind="source", config=Startup, summary="A start.", fields=NoFields),
)  # fmt: skip
ACTIONS = (
    Spec(word="log", kind="action", config=Line, summary="Logs.", shorthand="message"),
    Spec(word="set", kind="action", config=Mapping[str, Any], summary="Sets."),
    Spec(word="vars", kind="action", config=Mapping[str, Any], summary="Names."),
    Spec(word="emit", kind="action", config=Emitted, summary="Emits.", shorthand="type"),
    Spec(word="map", kind="action", config=Mapped, summary="Maps."),
    Spec(word="fail", kind="action", config=Empty, summary="Fails.", shorthand="reason"),
    Spec(word="stop", kind="action", config=Empty, summary="Stops.", shorthand="reason"),
    Spec(word="http", kind="action", config=Request, summary="Asks.", run=_run,
         one_of=(("get", "post"),), timeout_secs=30),
    Spec(word="shell", kind="action", config=Shell, summary="Runs.", run=_run,
         one_of=(("args", "run"),)),
)  # fmt: skip


class SmallCatalog(Catalog):
    """Only the words of this file."""

    def __init__(self) -> None:
        super().__init__()
        self._found = {(spec.kind, spec.word): spec for spec in (*SOURCES, *ACTIONS)}

    def find(self, kind, word):
        """The Spec of a word."""
        return self._found.get((kind, word))

    def words(self, kind):
        """Every word of a kind."""
        return sorted(word for of, word in self._found if of == kind)
