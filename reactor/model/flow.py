"""A flow as loaded: checked, compiled, with places. Steps are a tagged union."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from reactor.expr.parse import Expression
from reactor.expr.template import Template
from reactor.model.gates import Gates
from reactor.model.retry import Retry
from reactor.problem import Place


class Dedup(Struct, frozen=True):
    """`dedup:` on a trigger; `within_secs` counts from the accepted event."""

    id: Expression
    within_secs: float


class Trigger(Struct, frozen=True, kw_only=True):
    """One `when` of a flow.

    `config` renders to what stands under the source's key (names: secrets, env, constant vars).
    `instance` is
    the subscription: triggers with the same one share one source and one event. `match` is what an
    internal
    source asks of an event before the conditions: (field, pattern) with `*` wildcards. A `join` is
    heard through its `branches`: triggers with its id and gates, each with its name as `branch`.
    """

    id: str
    source: str
    config: Template
    instance: str
    place: Place
    only_if: tuple[Expression, ...] = ()
    unless: tuple[Expression, ...] = ()
    split: Expression | None = None
    key: Expression | None = None
    dedup: Dedup | None = None
    match: tuple[tuple[str, str], ...] = ()
    gates: Gates | None = None
    branch: str | None = None
    branches: tuple["Trigger", ...] = ()


class Run(Struct, frozen=True, kw_only=True):
    """How executions of a flow share the machine."""

    mode: Literal["parallel", "queue", "single", "restart", "latest"] = "parallel"
    max: int = 16
    key: Expression | None = None
    hold_on_fail: bool = False
    timeout_secs: float | None = None


class Step(Struct, frozen=True, kw_only=True):
    """What every step has. `path` is its place in the flow (`do.0`, `on_error.1`, `do.2.pay.0`).

    `retry` and `timeout_secs` are resolved (step beats flow beats defaults). `on_error` is `fail`,
    `continue` or the steps that rescue. `output` reshapes the result.
    """

    id: str
    path: str
    place: Place
    about: str | None = None
    only_if: tuple[Expression, ...] = ()
    unless: tuple[Expression, ...] = ()
    retry: Retry | None = None
    timeout_secs: float | None = None
    on_error: Literal["fail", "continue"] | tuple["AnyStep", ...] = "fail"
    output: Template | None = None
    each: Template | None = None
    item_name: str = "item"
    at_once: int = 1
    undo: tuple["AnyStep", ...] = ()
    once: bool = False


class ActionStep(Step, frozen=True, kw_only=True, tag="action"):
    """A step that does an action; `config` renders to what stands under the action's key.

    `authored` lists the fields whose beginning says where data may go (URLs, file paths):
    security.md 5 and 6.
    `strict` lists the fields in which null in mixed text is an error.
    """

    action: str
    config: Template
    strict: frozenset[str] = frozenset()
    authored: frozenset[str] = frozenset()


class GroupStep(Step, frozen=True, kw_only=True, tag="group"):
    """Steps that share retry, timeout and on_error."""

    do: tuple["AnyStep", ...]


class ParallelStep(Step, frozen=True, kw_only=True, tag="parallel"):
    """Branches that run at once.

    `join` is all, any, first, a number or an expression over `branches`.
    """

    branches: tuple[tuple[str, tuple["AnyStep", ...]], ...]
    join: Literal["all", "any", "first"] | int | Expression = "all"


class Choice(Struct, frozen=True, kw_only=True):
    """One branch of `choose`."""

    do: tuple["AnyStep", ...]
    only_if: tuple[Expression, ...] = ()
    unless: tuple[Expression, ...] = ()


class ChooseStep(Step, frozen=True, kw_only=True, tag="choose"):
    """The first choice whose conditions hold is done."""

    choices: tuple[Choice, ...]


class RepeatStep(Step, frozen=True, kw_only=True, tag="repeat"):
    """Steps done again until a condition holds or `max` rounds passed."""

    do: tuple["AnyStep", ...]
    until: tuple[Expression, ...] = ()
    every_secs: float = 0.0
    max: int | None = None
    collect: Expression | None = None


class WaitStep(Step, frozen=True, kw_only=True, tag="wait"):
    """A durable wait.

    For a time, a time of day, a trigger or an approval (raw until it is built).
    """

    form: Literal["duration", "until", "when", "approval"]
    config: Template | None = None
    when: Trigger | None = None
    notify: tuple["AnyStep", ...] = ()
    tz: str = "UTC"


class CallStep(Step, frozen=True, kw_only=True, tag="call"):
    """Another flow, run with inputs; waits for its output unless detached."""

    flow: str
    inputs: Template
    detach: bool = False


AnyStep = ActionStep | GroupStep | ParallelStep | ChooseStep | RepeatStep | WaitStep | CallStep


def inside(step: AnyStep) -> Iterator[AnyStep]:
    """The steps directly inside a step, wherever they stand."""
    if isinstance(step, GroupStep | RepeatStep):
        yield from step.do
    elif isinstance(step, ParallelStep):
        for _, steps in step.branches:
            yield from steps
    elif isinstance(step, ChooseStep):
        for choice in step.choices:
            yield from choice.do
    elif isinstance(step, WaitStep):
        yield from step.notify
    if isinstance(step.on_error, tuple):
        yield from step.on_error
    yield from step.undo


class Keep(Struct, frozen=True):
    """How long finished executions are kept, in seconds."""

    ok_secs: float = 7 * 86400.0
    failed_secs: float = 30 * 86400.0


class Defaults(Struct, frozen=True, kw_only=True):
    """`defaults` of reactor.yaml, as plain data, plus the default `keep`."""

    retry: Any = None
    timeout_secs: float | None = None
    run: Any = None
    tz: str = "UTC"
    keep: Keep = Keep()


class Flow(Struct, frozen=True, kw_only=True):
    """A flow ready to run.

    `version` is its content hash, `document` the plain data that makes it again.
    """

    name: str
    place: Place
    version: str
    document: Mapping[str, Any]
    about: str | None = None
    enabled: bool = True
    labels: Mapping[str, str] = {}
    triggers: tuple[Trigger, ...]
    only_if: tuple[Expression, ...] = ()
    unless: tuple[Expression, ...] = ()
    vars: tuple[tuple[str, Template], ...] = ()
    secret_vars: frozenset[str] = frozenset()
    tainted_vars: frozenset[str] = frozenset()
    run: Run = Run()
    do: tuple[AnyStep, ...] = ()
    on_error: tuple[AnyStep, ...] = ()
    finally_: tuple[AnyStep, ...] = ()
    dead_letter: ActionStep | None = None
    output: Template | None = None
    inputs: Mapping[str, Any] = {}
    keep: Keep = Keep()


def heard(flow: Flow) -> Iterator[Trigger]:
    """What a flow hears: its triggers, and of a join its branches."""
    for trigger in flow.triggers:
        yield from trigger.branches or (trigger,)


def steps_of(flow: Flow) -> Iterator[AnyStep]:
    """Every step of a flow, those inside others too."""
    letter = () if flow.dead_letter is None else (flow.dead_letter,)
    found: list[AnyStep] = [*letter, *flow.finally_, *flow.on_error, *flow.do]
    while found:
        step = found.pop()
        yield step
        found += inside(step)
