"""The engine's own keys: what stands beside a source, an action, and at the top of a flow."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from reactor.expr.parse import Expression
from reactor.plugin.spec import Config, doc
from reactor.units import Duration, Size


def expression(text: str, *examples: str) -> msgspec.Meta:
    """A field that holds bare expressions, which the engine evaluates."""
    return doc(text, *examples, form="deferred")


def literal(text: str, *examples: Any) -> msgspec.Meta:
    """A field that holds no templates."""
    return doc(text, *examples, form="literal")


NotNegative = Annotated[int, msgspec.Meta(ge=0)]
FactorFromOne = Annotated[float, msgspec.Meta(ge=1)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


def either(text: str, short: Any, long: type[Config], *, true: bool = False) -> msgspec.Meta:
    """A field with a short form and a map for more; msgspec knows no union of the two.

    `true`: the word true is taken as well.
    """
    extra = {"form": "deferred", "short": short, "long": long, "true": true}
    return msgspec.Meta(description=text, extra=extra)


Conditions = tuple[Expression, ...]
OnlyIf = Annotated[Conditions, expression("All of these must hold.", "event.body.total > 3")]
Unless = Annotated[Conditions, expression("Any of these stops it.", "event.body.deleted")]
Key = Annotated[
    Expression | None, expression("Divides events into rows of their own.", "event.data.id")
]


class RetryWords(Config, frozen=True):
    """When a failed attempt is tried again; waiting is a stored time."""

    max: Annotated[NotNegative | None, literal("Attempts after the first.", 5)] = None
    delay: Annotated[Duration, literal("Before the second attempt.", "1s")] = Duration(1)
    factor: Annotated[FactorFromOne, literal("How the delay grows.", 2)] = 2.0
    max_delay: Annotated[Duration, literal("The longest delay.", "5m")] = Duration(300)
    jitter: Annotated[Literal["full", "none"], literal("Spreads attempts.")] = "full"
    within: Annotated[Duration | None, literal("No attempt after this time.", "6h")] = None
    only_if: Annotated[
        Conditions, expression("Replaces the action's own judgement.", "error.status >= 500")
    ] = ()
    unless: Annotated[Conditions, expression("Narrows the judgement.", "error.status == 501")] = ()


class RunWords(Config, frozen=True):
    """How executions of a flow share the machine."""

    mode: Annotated[
        Literal["parallel", "queue", "single", "restart", "latest"],
        literal("What happens while another one with the same key runs."),
    ] = "parallel"
    max: Annotated[AtLeastOne, literal("How many run at once.", 16)] = 16
    key: Key = None
    on_fail: Annotated[
        Literal["next", "hold"], literal("For queue: what a failed one does to its key.")
    ] = "next"
    timeout: Annotated[Duration | None, literal("Of a whole execution, waits included.")] = None


class KeepWords(Config, frozen=True):
    """How long finished executions are kept."""

    ok: Annotated[Duration, literal("Those that ended well.", "7d")] = Duration(7 * 86400)
    failed: Annotated[Duration, literal("The others.", "30d")] = Duration(30 * 86400)


class DedupWords(Config, frozen=True):
    """Events whose id was seen within this time start nothing."""

    id: Annotated[Expression, expression("What tells events apart.", "event.data.id")]
    within: Annotated[Duration, literal("From the accepted event on.", "7d")] = Duration(7 * 86400)


class RememberWords(Config, frozen=True):
    """The long form of `remember`."""

    value: Annotated[Expression, expression("What is remembered.", "event.data.battery")]
    key: Key = None
    ttl: Annotated[Duration | None, literal("Forgotten after this time.")] = None


class ChangesWords(Config, frozen=True):
    """The long form of `changes`."""

    of: Annotated[Expression, expression("The value that is watched.", "event.data.state")]
    by: Annotated[float | None, literal("How far a number must move.", 0.5)] = None


class RecoversWords(Config, frozen=True, rename={"for_": "for"}):
    """The long form of `recovers`."""

    at: Annotated[Expression, expression("The second threshold.", "event.data.c < 70")]
    for_: Annotated[Duration | None, literal("How long it must stay so.")] = None


class AbsentWords(Config, frozen=True):
    """The long form of `absent`."""

    after: Annotated[Duration, literal("The silence that counts.", "15m")]
    expect: Annotated[tuple[str, ...], literal("Keys that are waited for from the start.")] = ()


class CountWords(Config, frozen=True):
    """So many within a sliding time."""

    min: Annotated[AtLeastOne, literal("How many.", 5)]
    within: Annotated[Duration, literal("In which time.", "10m")]


class DebounceWords(Config, frozen=True):
    """Waits for quiet."""

    quiet: Annotated[Duration, literal("How long nothing may come.", "2s")]
    max_wait: Annotated[Duration | None, literal("Fires at the latest.")] = None
    take: Annotated[Literal["last", "first", "all"], literal("Which events.")] = "last"
    edge: Annotated[Literal["trailing", "leading"], literal("When it fires.")] = "trailing"


class ThrottleWords(Config, frozen=True):
    """Never more than this many starts in any span of time."""

    max: Annotated[AtLeastOne, literal("How many.", 20)]
    per: Annotated[Duration, literal("In which time.", "1m")]
    key: Key = None
    over: Annotated[Literal["queue", "drop", "refuse"], literal("What happens to the rest.")] = (
        "queue"
    )


class BatchWords(Config, frozen=True):
    """Collects events into one execution."""

    max: Annotated[AtLeastOne | None, literal("Full with this many.", 100)] = None
    within: Annotated[Duration | None, literal("Since the first event.", "5s")] = None
    max_bytes: Annotated[Size | None, literal("Full with this much.", "1MiB")] = None
    poison: Annotated[Literal["bisect"] | None, literal("Isolates the one bad event.")] = None


class WindowWords(Config, frozen=True):
    """Collects events by the clock."""

    every: Annotated[Duration, literal("The width of a window.", "1h")]
    time: Annotated[Expression | None, expression("The time of an event.", "event.data.at")] = None
    tz: Annotated[str | None, literal("Where the windows begin.", "Europe/Paris")] = None


class TriggerWords(Config, frozen=True, rename={"for_": "for"}):
    """Keys beside a source."""

    id: Annotated[str | None, literal("What the trigger is called.", "push")] = None
    only_if: OnlyIf = ()
    unless: Unless = ()
    split: Annotated[
        Expression | None, expression("One delivery becomes many events.", "event.body.alerts")
    ] = None
    key: Key = None
    dedup: Annotated[DedupWords | None, literal("Drops repeats.")] = None
    remember: Annotated[
        Mapping[str, Annotated[Any, either("What is remembered.", Expression, RememberWords)]],
        doc("Values kept with the accepted event, read as state.NAME."),
    ] = {}
    changes: Annotated[
        Any, either("Fires when the value differs from the last.", Expression, ChangesWords)
    ] = None
    becomes: Annotated[Expression | None, expression("Fires when it turns true.")] = None
    for_: Annotated[Duration | None, literal("How long `becomes` must stay true.")] = None
    recovers: Annotated[
        Any, either("Also fires on the way back.", Expression, RecoversWords, true=True)
    ] = None
    absent: Annotated[Any, either("Fires when nothing comes.", Duration, AbsentWords)] = None
    count: Annotated[CountWords | None, literal("Fires when so many came in so short a time.")] = (
        None
    )
    debounce: Annotated[DebounceWords | None, literal("Waits until events stop.")] = None
    throttle: Annotated[ThrottleWords | None, literal("At most so many starts in a time.")] = None
    batch: Annotated[BatchWords | None, literal("Many events, one execution.")] = None
    window: Annotated[WindowWords | None, literal("All events of an hour, a day, ….")] = None


class StepWords(Config, frozen=True):
    """Keys beside an action."""

    id: Annotated[str | None, literal("What the step is called.", "notify")] = None
    about: Annotated[str | None, literal("What it is for.")] = None
    only_if: OnlyIf = ()
    unless: Unless = ()
    retry: Annotated[int | RetryWords | None, literal("Tries again when it fails.", 5)] = None
    timeout: Annotated[Duration | None, literal("Of one attempt.", "30s")] = None
    on_error: Annotated[Any, doc("continue, or steps that rescue.", "continue")] = None
    output: Annotated[Any, doc("Reshapes the result: an expression, or a map of templates.")] = None
    each: Annotated[Any, doc("Runs once per element: item, index.", "event.body.items")] = None
    at_once: Annotated[AtLeastOne, literal("How many elements at once.", 4)] = 1
    undo: Annotated[Any, doc("Steps that take it back when the flow fails later.")] = None
    once: Annotated[bool, literal("At most once, whatever happens.")] = False


class RepeatWords(Config, frozen=True):
    """A loop."""

    do: Annotated[Any, doc("Steps of one round.")]
    until: Annotated[Conditions, expression("Asked after each round.")] = ()
    every: Annotated[Duration, literal("Between two rounds.", "10s")] = Duration(0)
    max: Annotated[AtLeastOne | None, literal("At most so many rounds.", 60)] = None
    collect: Annotated[Expression | None, expression("Gathered from each round.")] = None


class WaitUntilWords(Config, frozen=True):
    """Waits for a time of day, or the time that an expression gives."""

    until: Annotated[str, doc("The next such time.", "08:00")]
    tz: Annotated[str | None, literal("Where that time is.")] = None
    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...],
        literal("On these days."),
    ] = ()


class WaitWhenWords(Config, frozen=True):
    """Waits for an event."""

    when: Annotated[Any, doc("A trigger; incoming is the candidate.")]
    timeout: Annotated[Duration | None, literal("Fails after this time.", "7d")] = None


class FormFieldWords(Config, frozen=True):
    """One field of a form."""

    type: Annotated[
        Literal["string", "number", "integer", "boolean", "list", "map", "any"],
        literal("What it holds."),
    ] = "any"
    default: Annotated[Any, doc("Its value when none is given; else it must be.")] = None
    about: Annotated[str | None, doc("What is asked.")] = None


class ApprovalWords(Config, frozen=True):
    """Waits for a person."""

    approval: Annotated[str, doc("The question.", "Deploy to prod?")]
    form: Annotated[Any, doc("Fields to fill in.")] = None
    notify: Annotated[Any, doc("Steps that ask.")] = None
    timeout: Annotated[Duration | None, literal("Fails after this time.", "2d")] = None


class SetWords(Config, frozen=True):
    """The long form of a `set` entry."""

    value: Annotated[Expression, expression("What is stored; null deletes.")]
    key: Key = None
    ttl: Annotated[Duration | None, literal("Forgotten after this time.", "1d")] = None


class FlowWords(Config, frozen=True, rename={"finally_": "finally"}):
    """The keys of a flow."""

    flow: Annotated[str, literal("The flow's name.", "push-to-slack")] = ""
    about: Annotated[str | None, literal("What it is for.")] = None
    enabled: Annotated[bool, literal("Whether it takes events.")] = True
    labels: Annotated[Mapping[str, str], literal("Free marks.", {"team": "ops"})] = {}
    when: Annotated[Any, doc("A trigger, or a list of them.")] = None
    only_if: OnlyIf = ()
    unless: Unless = ()
    vars: Annotated[Mapping[str, Any], doc("Names for values.")] = {}
    run: Annotated[
        Literal["parallel", "queue", "single", "restart", "latest"] | RunWords | None,
        literal("How executions share the machine."),
    ] = None
    retry: Annotated[int | RetryWords | None, literal("For all steps that say nothing.")] = None
    timeout: Annotated[Duration | None, literal("For all steps that say nothing.")] = None
    do: Annotated[Any, doc("Steps, in order.")] = None
    on_error: Annotated[Any, doc("Steps that run when the flow fails.")] = None
    finally_: Annotated[Any, doc("Steps that always run.")] = None
    dead_letter: Annotated[Any, doc("Where failed executions are told as well.")] = None
    output: Annotated[Any, doc("The flow's result: an expression, or a map of templates.")] = None
    keep: Annotated[KeepWords | None, literal("How long finished executions are kept.")] = None
    tests: Annotated[Any, doc("Tests of this flow.")] = None
