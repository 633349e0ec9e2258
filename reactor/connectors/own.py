"""The engine's own words: what they take and mean. The engine itself does what they say."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from reactor.expr.parse import Expression
from reactor.expr.template import Template
from reactor.plugin.spec import Complaint, Config, Fields, Spec, doc
from reactor.units import Duration

Type = Literal["string", "number", "integer", "boolean", "list", "map", "any"]
_INTERNAL = "as sure as the execution that causes it: both are one commit"


class Log(Config, frozen=True):
    """A line for the log."""

    text: Annotated[str, doc("What to write.", "hello ${{ event.body.name }}")]
    level: Annotated[
        Literal["debug", "info", "warning", "error"], doc("How loud.", "warning", form="literal")
    ] = "info"


class Entry(Config, frozen=True):
    """The long form of an entry: it is told by its key `value`."""

    value: Annotated[
        Expression,
        doc("What is stored; null deletes.", "state.count[event.data.id] + 1", form="deferred"),
    ]
    key: Annotated[
        Expression | None, doc("Which row of the name.", "event.data.id", form="deferred")
    ] = None
    ttl: Annotated[Duration | None, doc("Forgotten after this time.", "1d", form="literal")] = None


class Map(Config, frozen=True):
    """A list made from another, or one value."""

    to: Annotated[
        Template,
        doc("What each element becomes: item, index.", {"id": "${{ item.id }}"}, form="deferred"),
    ]
    over: Annotated[
        Any,
        doc(
            "The list; without it `to` is made once.",
            "event.body.items",
            form="expression",
        ),
    ] = None
    where: Annotated[
        Expression | None, doc("Which elements are taken.", "item.total > 100", form="deferred")
    ] = None


class Emit(Config, frozen=True):
    """An event inside Reactor."""

    type: Annotated[str, doc("Its type.", "order.paid", strict=True)]
    data: Annotated[Any, doc("What it holds.", {"id": "${{ event.body.id }}"})] = None
    key: Annotated[
        Any, doc("Its key, for order and gates.", "event.body.id", form="expression")
    ] = None
    id: Annotated[
        Any,
        doc(
            "What tells repeats apart; without it each emit is one event.",
            "event.body.id",
            form="expression",
        ),
    ] = None


class Reply(Config, frozen=True):
    """The answer to the request that started the flow."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599), doc("The status code.", 201)] = 200
    headers: Annotated[dict[str, str], doc("Headers to send.", {"x-trace": "1"})] = msgspec.field(
        default_factory=dict
    )
    json: Annotated[Any, doc("The body, sent as JSON.", {"ok": True})] = None
    text: Annotated[str | None, doc("The body, sent as text.", "done")] = None
    body: Annotated[Any, doc("The body as it is: text or bytes.", "<ok/>")] = None


class Fail(Config, frozen=True):
    """A failure on purpose."""

    message: Annotated[str, doc("What error.message says.", "no such customer")]


class Stop(Config, frozen=True):
    """An end on purpose."""

    reason: Annotated[str | None, doc("Why; it is kept with the execution.", "a test order")] = None


class Input(Config, frozen=True):
    """One input of a flow that others call."""

    type: Annotated[Type, doc("What it holds.", "string", form="literal")] = "any"
    default: (
        Annotated[
            Any,
            doc("Its value when none is given; without it the input is required.", form="literal"),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    about: Annotated[str | None, doc("What it is for.", "Who is told.", form="literal")] = None


class Call(Config, frozen=True):
    """What a caller gives."""

    inputs: Annotated[
        dict[str, Input],
        doc("The inputs by name.", {"text": {"type": "string"}}, form="literal"),
    ] = msgspec.field(default_factory=dict)


class OfType(Config, frozen=True):
    """Which events."""

    type: Annotated[str, doc("Their type; * stands for any text.", "order.*", form="literal")]


class End(Config, frozen=True):
    """Whose end."""

    finished: Annotated[
        str | None, doc("A flow that ended in any way; * is any text.", "import-*", form="literal")
    ] = None
    failed: Annotated[
        str | None, doc("A flow that failed; * is any text.", "*", form="literal")
    ] = None


class Join(Config, frozen=True):
    """Events that belong together, by their key."""

    within: Annotated[
        Duration, doc("How long an event waits for the others.", "1h", form="literal")
    ]
    of: Annotated[
        dict[str, Any],
        doc("A trigger for each branch; events.NAME is its event.", form="literal"),
    ]
    fire: Annotated[
        Literal["all", "missing"],
        doc("When all came, or when one did not come in time.", form="literal"),
    ] = "all"


class Startup(Config, frozen=True):
    """Nothing to say."""


class NoFields(Fields, frozen=True):
    """Nothing beside `event.data`."""


def _one_body(written: Mapping[str, Any]) -> Iterable[Complaint]:
    given = [name for name in ("json", "text", "body") if name in written]
    if len(given) > 1:
        yield (given[1],), f"{' and '.join(given)}: an answer has one body, so give one of them"


def _of_type(written: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return (("type", str(written["type"])),) if "type" in written else ()


def _of_flow(written: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    if "failed" in written:
        return (("flow", str(written["failed"])), ("state", "failed"))
    return (("flow", str(written["finished"])),) if "finished" in written else ()


log = Spec(
    word="log",
    kind="action",
    config=Log,
    summary="Write a line to the log when the step's record is stored.",
    examples=("log: hello ${{ event.body.name }}", "log: {text: no stock left, level: warning}"),
    shorthand="text",
    outside=False,
    output=str,
)
set_ = Spec(
    word="set",
    kind="action",
    config=Annotated[
        dict[
            str,
            Annotated[
                Entry | str | int | float | bool | list[Any] | None,
                doc("The value, or a map with value, key and ttl.", "${{ now }}"),
            ],
        ],
        doc("Names of state and their values."),
    ],
    summary="Store values that all executions share and that survive restarts.",
    examples=(
        "set: {last_seen: '${{ now }}'}",
        "set: {seen: {key: event.data.id, value: now, ttl: 1d}}",
    ),
    outside=False,
)
vars_ = Spec(
    word="vars",
    kind="action",
    config=Annotated[
        dict[str, Annotated[Any, doc("The value.", "${{ event.body.pusher.name }}")]],
        doc("Names for values; steps after this one read them as vars.NAME."),
    ],
    summary="Give values names for the steps that follow.",
    examples=("vars: {who: '${{ event.body.pusher.name }}'}",),
    outside=False,
)
map_ = Spec(
    word="map",
    kind="action",
    config=Map,
    summary="Make a list from another: pick elements, reshape them.",
    examples=("map: {over: event.body.items, where: item.total > 100, to: '${{ item.id }}'}",),
    outside=False,
    output=list[Any],
)
emit = Spec(
    word="emit",
    kind="action",
    config=Emit,
    summary="Emit an event inside Reactor, stored in one commit with the step.",
    examples=("emit: {type: order.paid, data: '${{ event.body }}', key: event.body.id}",),
    outside=False,
)
reply = Spec(
    word="reply",
    kind="action",
    config=Reply,
    summary="Answer the request that waits for this flow; the flow goes on.",
    examples=("reply: {status: 201, json: {id: '${{ steps.store.output.id }}'}}",),
    check=_one_body,
    outside=False,
)
fail = Spec(
    word="fail",
    kind="action",
    config=Fail,
    summary="Fail the flow, with error.kind fail.",
    examples=("fail: no customer ${{ event.body.customer }}",),
    shorthand="message",
    outside=False,
)
stop = Spec(
    word="stop",
    kind="action",
    config=Stop,
    summary="End the flow here, as ok.",
    examples=("stop: a test order", "stop: {}"),
    shorthand="reason",
    outside=False,
)
call = Spec(
    word="call",
    kind="source",
    config=Call,
    summary="Started by call steps of other flows, by reactor start, or through the API.",
    examples=("call: {inputs: {text: {type: string, about: What to say.}}}",),
    fields=NoFields,
    identity=(),
    guarantee=_INTERNAL,
)
event = Spec(
    word="event",
    kind="source",
    config=OfType,
    summary="Events emitted inside: by emit steps, reactor emit, or the API.",
    examples=("event: {type: order.*}",),
    fields=NoFields,
    identity=(),
    match=_of_type,
    guarantee=_INTERNAL,
)
flow = Spec(
    word="flow",
    kind="source",
    config=End,
    summary="Another flow's execution ended; event.data has flow execution state error output.",
    examples=('flow: {failed: "*"}', "flow: {finished: import-orders}"),
    one_of=(("finished", "failed"),),
    fields=NoFields,
    identity=(),
    match=_of_flow,
    guarantee=_INTERNAL,
)
join = Spec(
    word="join",
    kind="source",
    config=Join,
    summary="One event of each of several triggers, with the same key, within a time.",
    examples=(
        (
            "join: {within: 1h, of: {order: {event: {type: ordered}, key: event.data.id}, "
            "paid: {event: {type: paid}, key: event.data.order}}}"
        ),
    ),
    fields=NoFields,
    identity=(),
    guarantee=_INTERNAL,
)
startup = Spec(
    word="startup",
    kind="source",
    config=Startup,
    summary="The daemon has started.",
    examples=("startup: {}",),
    fields=NoFields,
    identity=(),
    guarantee="once for each start",
)
