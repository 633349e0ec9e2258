"""What goes over the API, field by field; scripts rely on these names."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from reactor.model.execution import Failure

FlowState = Literal["on", "off", "paused", "stale", "broken"]
SourceState = Literal["starting", "up", "retrying", "down", "stopped"]
RunState = Literal["queued", "running", "waiting", "ok", "failed", "cancelled", "skipped"]
StepState = Literal["running", "waiting", "ok", "failed", "skipped", "cancelled"]
Decided = Literal["started", "held", "stopped", "late", "duplicate", "busy", "refused", "error"]
Limit = Annotated[int, Meta(ge=1, le=1000, description="How many to give at most.")]
Cursor = Annotated[str, Meta(description="`next` of the page before this one.")]
Since = Annotated[str, Meta(description="A duration back from now (24h) or a time (RFC 3339).")]
States = Annotated[str, Meta(description="One state or several, with commas between them.")]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what is asked: an unknown field is a mistake of the caller."""


class Answer(Struct, frozen=True, kw_only=True):
    """The base of what is answered."""


class Nothing(Answer, frozen=True, kw_only=True):
    """Done, and there is nothing more to say."""


class Ready(Answer, frozen=True, kw_only=True):
    """The daemon serves."""

    version: str
    pid: int
    started: datetime
    listen: str | None
    flows: int
    draining: bool = False


class TriggerView(Answer, frozen=True, kw_only=True):
    """One `when` of a flow; `errors` counts conditions that met a wrong type since the start."""

    id: str
    source: str
    errors: int = 0


class FlowView(Answer, frozen=True, kw_only=True):
    """A flow; `executions` counts the open ones by state."""

    flow: str
    file: str
    version: str | None
    enabled: bool
    state: FlowState
    triggers: list[TriggerView] = []
    executions: dict[str, int] = {}


class Flows(Answer, frozen=True, kw_only=True):
    """All flows, by name."""

    items: list[FlowView]


class Start(Request, frozen=True, kw_only=True):
    """Start a flow by hand: `inputs` for a `call` trigger, else a trigger and its data."""

    trigger: str | None = None
    data: Any = None
    inputs: dict[str, Any] = {}


class Emit(Request, frozen=True, kw_only=True):
    """An event from outside, as `emit` inside a flow makes it."""

    type: str
    data: Any = None
    key: str | None = None
    id: str | None = None


class StartedView(Answer, frozen=True, kw_only=True):
    """One execution that an event started."""

    flow: str
    execution: str


class ReceiptView(Answer, frozen=True, kw_only=True):
    """What became of an event; `event` is null when no flow wanted it."""

    event: str | None
    executions: list[StartedView] = []
    held: list[str] = []
    duplicate: bool = False


class EventsQuery(Request, frozen=True, kw_only=True):
    """Which events to list."""

    since: Since | None = None
    before: Cursor | None = None
    limit: Limit = 50


class EventView(Answer, frozen=True, kw_only=True):
    """An event as it is stored."""

    event: str
    source: str
    type: str | None
    key: str | None
    received: datetime
    time: datetime
    data: Any
    fields: dict[str, Any]


class Events(Answer, frozen=True, kw_only=True):
    """A page of events, newest first."""

    items: list[EventView]
    next: str | None = None


class Part(Answer, frozen=True, kw_only=True):
    """A part of a condition and the value that it had."""

    text: str
    value: Any


class Decision(Answer, frozen=True, kw_only=True):
    """What a flow decided about an event, and on which values."""

    flow: str
    trigger: str | None
    decision: Decided
    reason: str | None = None
    detail: str | list[Part] | None = None
    execution: str | None = None


class Why(Answer, frozen=True, kw_only=True):
    """Each flow's decision about one event."""

    event: str
    received: datetime
    decisions: list[Decision]


class RunsQuery(Request, frozen=True, kw_only=True):
    """Which executions to list; `where` is an expression over `execution`, `event` and `error`."""

    flow: str | None = None
    state: States | None = None
    event: str | None = None
    since: Since | None = None
    where: str | None = None
    before: Cursor | None = None
    limit: Limit = 50


class Run(Answer, frozen=True, kw_only=True):
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


class Runs(Answer, frozen=True, kw_only=True):
    """A page of executions, newest first; with `where` a page may be short though more follow."""

    items: list[Run]
    next: str | None = None


class StepView(Answer, frozen=True, kw_only=True):
    """One step of an execution, as far as it went."""

    id: str
    status: StepState
    attempts: int
    started: datetime | None
    finished: datetime | None
    input: Any
    output: Any
    error: Failure | None


class Shown(Run, frozen=True, kw_only=True):
    """One execution with its steps in the order in which they began."""

    steps: list[StepView]


class Retry(Request, frozen=True, kw_only=True, rename={"from_": "from"}):
    """How to run an execution again.

    `from` the start with a new key for each step, or where it `failed` with what was done kept;
    with the `original` version of the flow or the `current` one.
    """

    from_: Literal["start", "failed"] = "start"
    version: Literal["original", "current"] = "original"


class Retried(Answer, frozen=True, kw_only=True):
    """The new execution and the one that it repeats."""

    execution: str
    retry_of: str


class Replay(Request, frozen=True, kw_only=True):
    """Which flow an event is offered to anew."""

    flow: str


class DeadQuery(Request, frozen=True, kw_only=True):
    """Which dead letters to list."""

    flow: str | None = None
    since: Since | None = None
    before: Cursor | None = None
    limit: Limit = 50


class DeadView(Answer, frozen=True, kw_only=True):
    """One dead letter: an execution or an event that needs a person."""

    id: str
    kind: str
    flow: str | None
    event: str
    reason: str
    created: datetime


class DeadPage(Answer, frozen=True, kw_only=True):
    """A page of dead letters, newest first."""

    items: list[DeadView]
    next: str | None = None


class DeadShown(DeadView, frozen=True, kw_only=True):
    """A dead letter with its execution, if it is one, and its event's data."""

    execution: str | None
    data: Any


class SourceView(Answer, frozen=True, kw_only=True):
    """A running source and the flows that share it."""

    id: str
    source: str
    state: SourceState
    detail: str = ""
    flows: list[str] = []
    position: Any = None


class Sources(Answer, frozen=True, kw_only=True):
    """All sources, by id."""

    items: list[SourceView]


class Reset(Request, frozen=True, kw_only=True):
    """Where a source goes on: `earliest`, `latest`, or a position as `sources` shows it."""

    to: str


class StateQuery(Request, frozen=True, kw_only=True):
    """Which values of `state` to list."""

    name: str | None = None


class StateView(Answer, frozen=True, kw_only=True):
    """A value of `state.NAME[key]`; key "" when it has none."""

    name: str
    key: str
    value: Any
    until: datetime | None = None


class StateItems(Answer, frozen=True, kw_only=True):
    """Values of `state`, by name and key."""

    items: list[StateView]


class SetState(Request, frozen=True, kw_only=True):
    """A new value of `state`; null deletes it. `ttl` is a duration."""

    value: Any
    ttl: str | None = None


class ProblemView(Answer, frozen=True, kw_only=True):
    """A mistake in a file, with its place."""

    file: str
    line: int
    column: int
    severity: Literal["error", "warning", "note"]
    message: str
    snippet: str | None = None
    repaired: str | None = None


class Reloaded(Answer, frozen=True, kw_only=True):
    """What serves after a reload, and what was wrong."""

    flows: int
    problems: list[ProblemView] = []


class Backup(Request, frozen=True, kw_only=True):
    """Where the copy goes: an absolute path on the daemon's machine, nothing there yet."""

    path: str


class BackedUp(Answer, frozen=True, kw_only=True):
    """The copy: a state folder of its own."""

    path: str
    bytes: int


class Check(Answer, frozen=True, kw_only=True):
    """One thing that `doctor` looked at; the detail holds the remedy."""

    check: str
    state: Literal["ok", "warning", "failed"]
    detail: str = ""


class Checks(Answer, frozen=True, kw_only=True):
    """All that `doctor` looked at."""

    items: list[Check]


class StreamQuery(Request, frozen=True, kw_only=True):
    """Which happenings to hear."""

    flow: str | None = None


class Happening(Answer, frozen=True, kw_only=True):
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


class ProblemDetails(Answer, frozen=True, kw_only=True):
    """Why a request was refused (RFC 9457); `exit_code` is what the command line ends with."""

    type: str
    title: str
    status: int
    detail: str
    exit_code: int
