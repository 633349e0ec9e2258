"""The keys of a flow's tests: what is given, what is mocked, what must come out."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from reactor.loading.words import NotNegative, either, literal
from reactor.plugin.spec import Config
from reactor.units import Duration

End = Literal["ok", "failed", "cancelled", "skipped", "waiting", "queued", "running", "none"]
Status = Literal["ok", "failed", "skipped", "cancelled", "waiting", "running", "none"]
Verdict = Literal["started", "held", "stopped", "duplicate", "busy", "refused", "error"]


class FailsWords(Config, frozen=True):
    """How a mocked step fails."""

    kind: Annotated[str | None, literal("error.kind; http where a status is given.", "timeout")] = (
        None
    )
    message: Annotated[str | None, literal("error.message.", "no such host")] = None
    status: Annotated[int | None, literal("Judged as an answer to http is.", 503)] = None
    output: Annotated[Any, literal("error.output.", {"exit": 1})] = None
    transient: Annotated[bool | None, literal("Whether a retry may help.")] = None


class MockWords(Config, frozen=True):
    """What a step gives instead of reaching outside."""

    output: Annotated[Any, literal("The result of the step.", {"status": 200})] = None
    fails: Annotated[
        Any, either("The attempt fails: a message, or a map for more.", str, FailsWords)
    ] = None


class StepResult(Config, frozen=True):
    """What must be true of a step."""

    status: Annotated[Status | None, literal("How it ended; none: it was not reached.")] = None
    attempts: Annotated[NotNegative | None, literal("How many it took.", 2)] = None
    times: Annotated[
        NotNegative | tuple[Duration, ...] | None,
        literal("How often it was done, or when each attempt began, since the test began.", ["0s"]),
    ] = None
    input: Annotated[Any, literal("What stood under its action, rendered.")] = None
    output: Annotated[Any, literal("Its result.")] = None
    error: Annotated[Any, literal("Why it failed.", {"kind": "timeout"})] = None


_StepWords = Annotated[Any, either("Its status, or a map for more.", Status, StepResult)]


class DecisionResult(Config, frozen=True):
    """What must be true of the decision about an event."""

    decision: Annotated[Verdict | None, literal("What was decided.", "stopped")] = None
    trigger: Annotated[str | None, literal("By which trigger.", "push")] = None
    reason: Annotated[str | None, literal("Which condition stopped it, or the error.")] = None


class RunResult(Config, frozen=True):
    """What must be true of one execution."""

    execution: Annotated[End | None, literal("How it ended.", "ok")] = None
    reason: Annotated[str | None, literal("Why it was skipped, or what it waits for.")] = None
    steps: Annotated[
        Mapping[str, _StepWords] | None, literal("By id.", {"notify": {"attempts": 2}})
    ] = None
    output: Annotated[Any, literal("The flow's output.")] = None
    reply: Annotated[Any, literal("What the caller was answered.", {"status": 201})] = None
    error: Annotated[Any, literal("Why it failed.", {"step": "notify"})] = None


class ExpectWords(RunResult, frozen=True):
    """What must be true at the end of a test; maps are compared in part, lists whole."""

    executions: Annotated[
        tuple[Annotated[Any, either("Its end, or a map for more.", End, RunResult)], ...] | None,
        literal("Every execution, in the order in which their events came.", ["ok", "skipped"]),
    ] = None
    emitted: Annotated[Any, literal("What emit steps emitted, in order.", [{"type": "paid"}])] = (
        None
    )
    state: Annotated[Mapping[str, Any] | None, literal("Values of state.", {"count": 3})] = None
    undone: Annotated[Any, literal("Steps whose undo ran, in order.", ["reserve"])] = None
    decision: Annotated[
        Any, either("What was decided about the last event.", Verdict, DecisionResult)
    ] = None


class FlowTestWords(Config, frozen=True):
    """One test of a flow."""

    name: Annotated[str, literal("What it shows.", "a push is told once")]
    expect: Annotated[ExpectWords, literal("What must be true at the end.")]
    flow: Annotated[str | None, literal("Of which flow, where the file beside has several.")] = None
    now: Annotated[str | None, literal("What the clock shows when it begins.")] = None
    state: Annotated[Mapping[str, Any], literal("Values of state before; a map: by key.")] = {}
    env: Annotated[Mapping[str, str], literal("What env.NAME gives.")] = {}
    given: Annotated[
        tuple[Any, ...],
        literal("What happens, in order.", [{"push": {"body": {"ref": "main"}}}, {"at": "1h"}]),
    ] = ()
    mock: Annotated[
        Mapping[str, MockWords | tuple[MockWords, ...]],
        literal("What steps give instead of reaching outside.", {"notify": {"output": 1}}),
    ] = {}


class PersonWords(Config, frozen=True):
    """What a person says to a step that waits for approval."""

    approve: Annotated[str | None, literal("The step.", "ask")] = None
    deny: Annotated[str | None, literal("The step.", "ask")] = None
    by: Annotated[str | None, literal("Who.", "ann")] = None
    form: Annotated[Mapping[str, Any], literal("What was filled in.")] = {}
    message: Annotated[str | None, literal("Why not.")] = None
    at: Annotated[Duration | None, literal("When, since the test began.")] = None


class StartWords(Config, frozen=True):
    """A start by hand."""

    trigger: Annotated[str | None, literal("As if this trigger had fired.", "push")] = None
    data: Annotated[Any, literal("event.data.")] = None
    inputs: Annotated[Mapping[str, Any], literal("What a flow with call takes.")] = {}
