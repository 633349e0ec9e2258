"""What goes over the API, field by field; scripts rely on these names."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from reactor.model.execution import Failure

FlowState = Literal["on", "off", "paused", "stale", "broken"]
SourceState = Literal["starting", "up", "retrying", "down", "stopped"]
RunState = Literal["queued", "running", "waiting", "ok", "failed", "cancelled", "skipped"]
StepState = Literal["running", "waiting", "ok", "failed", "skipped", "cancelled"]
Decided = Literal["started", "held", "stopped", "duplicate", "busy", "refused", "error"]
Limit = Annotated[int, Meta(ge=1, le=1000, description="How many to give at most.")]
Cursor = Annotated[str, Meta(description="`next` of the page before this one.")]
Since = Annotated[str, Meta(description="A duration back from now (24h) or a time (RFC 3339).")]
States = Annotated[str, Meta(description="One state or several, with commas between them.")]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what is asked: an unknown field is a mistake of the caller."""


class Answer(Struct, frozen=True, kw_only=True):
    """The base of what is answered."""


class Nothing(Answer):
    """Done, and there is nothing more to say."""


class Ready(Answer):
    """The daemon serves."""

    version: str
    pid: int
    started: datetime
    listen: str | None
    flows: int
    draining: bool = False


class TriggerView(Answer):
    """One `when` of a flow; `errors` counts conditions that met a wrong type since the start."""

    id: str
    source: str
    errors: int = 0


class FlowView(Answer):
    """A flow; `executions` counts the open ones by state."""

    flow: str
    file: str
    version: str | None
    enabled: bool
    state: FlowState
    triggers: list[TriggerView] = []
    executions: dict[str, int] = {}


class Flows(Answer):
    """All flows, by name."""

    items: list[FlowView]


class Start(Request):
    """Start a flow by hand: `inputs` for a `call` trigger, else a trigger and its data."""

    trigger: str | None = None
    data: Any = None
    inputs: dict[str, Any] = {}


class Emit(Request):
    """An event from outside, as `emit` inside a flow makes it."""

    type: str
    data: Any = None
    key: str | None = None
    id: str | None = None


class StartedView(Answer):
    """One execution that an event started."""

    flow: str
    execution: str


class ReceiptView(Answer):
    """What became of an event; `event` is null when no flow wanted it."""

    event: str | None
    executions: list[StartedView] = []
    held: list[str] = []
    duplicate: bool = False


class EventsQuery(Request):
    """Which events to list."""

    since: Since | None = None
    before: Cursor | None = None
    limit: Limit = 50


class EventView(Answer):
    """An event as it is stored."""

    event: str
    source: str
    type: str | None
    key: str | None
    received: datetime
    time: datetime
    data: Any
    fields: dict[str, Any]


class Events(Answer):
    """A page of events, newest first."""

    items: list[EventView]
    next: str | None = None


class Part(Answer):
    """A part of a condition and the value that it had."""

    text: str
    value: Any


class Decision(Answer):
    """What a flow decided about an event, and on which values."""

    flow: str
    trigger: str | None
    decision: Decided
    reason: str | None = None
    detail: str | list[Part] | None = None
    execution: str | None = None


class Why(Answer):
    """Each flow's decision about one event."""

    event: str
    received: datetime
    decisions: list[Decision]


class RunsQuery(Request):
    """Which executions to list; `where` is an expression over `execution`, `event` and `error`."""

    flow: str | None = None
    state: States | None = None
    event: str | None = None
    since: Since | None = None
    where: str | None = None
    before: Cursor | None = None
    limit: Limit = 50


class Run(Answer):
    """One execution."""

    execution: str
    flow: str
    event: str
    state: RunState
    reason: str | None
    created: datetime
    started: datetime | None
    finished: datetime | None
    retry_of: str | None
    error: Failure | None


class Runs(Answer):
    """A page of executions, newest first; with `where` a page may be short though more follow."""

    items: list[Run]
    next: str | None = None


class StepView(Answer):
    """One step of an execution, as far as it went."""

    id: str
    status: StepState
    attempts: int
    started: datetime | None
    finished: datetime | None
    input: Any
    output: Any
    error: Failure | None


class Shown(Run):
    """One execution with its steps in the order in which they began."""

    steps: list[StepView]


class Retry(Request, rename={"from_": "from"}):
    """How to run an execution again.

    `from` the start with a new key for each step, or where it `failed` with what was done kept;
    with the `original` version of the flow or the `current` one.
    """

    from_: Literal["start", "failed"] = "start"
    version: Literal["original", "current"] = "original"


class Retried(Answer):
    """The new execution and the one that it repeats."""

    execution: str
    retry_of: str


class DeadQuery(Request):
    """Which dead letters to list."""

    flow: str | None = None
    since: Since | None = None
    before: Cursor | None = None
    limit: Limit = 50


class DeadView(Answer):
    """One dead letter: an execution or an event that needs a person."""

    id: str
    kind: str
    flow: str | None
    event: str
    reason: str
    created: datetime


class DeadPage(Answer):
    """A page of dead letters, newest first."""

    items: list[DeadView]
    next: str | None = None


class DeadShown(DeadView):
    """A dead letter with its execution, if it is one, and its event's data."""

    execution: str | None
    data: Any


class SourceView(Answer):
    """A running source and the flows that share it."""

    id: str
    source: str
    state: SourceState
    detail: str = ""
    flows: list[str] = []
    position: Any = None


class Sources(Answer):
    """All sources, by id."""

    items: list[SourceView]


class Reset(Request):
    """Where a source goes on: `earliest`, `latest`, or a position as `sources` shows it."""

    to: str


class StateQuery(Request):
    """Which values of `state` to list."""

    name: str | None = None


class StateView(Answer):
    """A value of `state.NAME[key]`; key "" when it has none."""

    name: str
    key: str
    value: Any
    until: datetime | None = None


class StateItems(Answer):
    """Values of `state`, by name and key."""

    items: list[StateView]


class SetState(Request):
    """A new value of `state`; null deletes it. `ttl` is a duration."""

    value: Any
    ttl: str | None = None


class ProblemView(Answer):
    """A mistake in a file, with its place."""

    file: str
    line: int
    column: int
    severity: Literal["error", "warning", "note"]
    message: str
    snippet: str | None = None
    repaired: str | None = None


class Reloaded(Answer):
    """What serves after a reload, and what was wrong."""

    flows: int
    problems: list[ProblemView] = []


class Backup(Request):
    """Where the copy goes: an absolute path on the daemon's machine, not there yet."""

    path: str


class BackedUp(Answer):
    """The copy, which opens as a store of its own."""

    path: str
    bytes: int


class Check(Answer):
    """One thing that `doctor` looked at; the detail holds the remedy."""

    check: str
    state: Literal["ok", "warning", "failed"]
    detail: str = ""


class Checks(Answer):
    """All that `doctor` looked at."""

    items: list[Check]


class StreamQuery(Request):
    """Which happenings to hear."""

    flow: str | None = None


class Happening(Answer):
    """Something that just happened; fields that say nothing are null."""

    time: datetime
    kind: Literal["event", "execution", "step", "source", "reload", "gap"]
    flow: str | None = None
    event: str | None = None
    execution: str | None = None
    step: str | None = None
    source: str | None = None
    state: str | None = None
    detail: str | None = None


class ProblemDetails(Answer):
    """Why a request was refused (RFC 9457); `exit_code` is what the command line ends with."""

    type: str
    title: str
    status: int
    detail: str
    exit_code: int
