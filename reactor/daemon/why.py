"""Why an event started a flow or did not: each condition asked again, with the values it saw."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reactor.engine.router import (
    Candidate,
    Router,
    Surroundings,
    complete,
    judge,
    names_of,
    view_of,
)
from reactor.expr.expression import Expression
from reactor.expr.trace import trace
from reactor.ids import id_text
from reactor.model.event import Event, Received
from reactor.model.execution import Execution, State
from reactor.store.gated import Judged
from reactor.web.admin.wire import Decided, Decision, Part

_SHOWN = 200  # characters of a value
_WORDS: Mapping[str, Decided] = {"held": "held", "stopped": "stopped", "late": "late"}
Told = Mapping[tuple[str, str], tuple[Decided, str]]  # by flow and trigger


def decisions(
    event: Event,
    router: Router,
    around: Surroundings,
    executions: list[Execution],
    told: Told,
) -> Iterator[Decision]:
    """What each flow that hears the event's source made of it.

    Conditions are asked again with the flows as they are now and the time the event came; those
    that read `state` see its present values. What gates decided is as it was then: `told`.
    """
    received = Received(data=event.data, fields=event.fields, type=event.type, key=event.key)
    number = id_text("evt", event.id)
    view = view_of(received, source=event.source, event_id=number, time_ms=event.time_ms)
    started = {(run.flow, run.trigger): run for run in executions}
    heard = router.instances().get(event.instance, [])
    seen = set()
    for candidate in heard:
        name = (candidate.flow.name, candidate.trigger.id)
        run = started.get(name)
        if run is not None:
            seen.add(name)
            yield _of_run(run)
            continue
        if name in told:
            seen.add(name)
            word, reason = told[name]
            yield Decision(flow=name[0], trigger=name[1], decision=word, reason=reason)
            continue
        yield from _judged(candidate, view, around, event.received_ms)
    for name in told.keys() - seen - started.keys():
        word, reason = told[name]
        yield Decision(flow=name[0], trigger=name[1], decision=word, reason=reason)
    for name, run in started.items():
        if name not in seen:
            yield _of_run(run)


def told_of(judged: Iterable[Judged], stopped: Mapping[str, str], router: Router) -> Told:
    """What gates said of an event: with its rows, and of what was not stored why it stopped."""
    found: dict[tuple[str, str], tuple[Decided, str]] = {}
    for name in router.gated:
        reason = stopped.get(name[0], "duplicate")
        if reason != "duplicate" and not reason.startswith(("only_if: ", "unless: ")):
            found[name] = ("stopped", reason)
    for one in judged:
        found[one.flow, one.trigger] = (_WORDS[one.decision], one.reason)
    return found


def _of_run(run: Execution) -> Decision:
    skipped = run.state is State.SKIPPED
    conditions = skipped and (run.reason or "").startswith(("only_if: ", "unless: "))
    return Decision(
        flow=run.flow,
        trigger=run.trigger,
        decision="stopped" if conditions else "busy" if skipped else "started",
        reason=run.reason if skipped else None,
        execution=id_text("exe", run.id),
    )


def _judged(
    candidate: Candidate, view: dict[str, Any], around: Surroundings, now_ms: int
) -> Iterator[Decision]:
    flow, trigger = candidate.flow.name, candidate.trigger.id
    found = [
        complete(one, around, now_ms) if candidate.open and one.verdict == "started" else one
        for one in judge(candidate, view, around, now_ms)
    ]
    if not found:
        wanted = ", ".join(f"{field} {pattern}" for field, pattern in candidate.trigger.match)
        reason = f"it listens to {wanted}" if wanted else "the list under split is empty"
        yield Decision(flow=flow, trigger=trigger, decision="stopped", reason=reason)
    for one in found:
        if one.verdict == "started":
            reason = "it would start now; when the event came the flow was another or had it before"
            yield Decision(flow=flow, trigger=trigger, decision="duplicate", reason=reason)
            continue
        names = names_of(candidate, one.view, around, now_ms)
        condition = _deciding(candidate, one.reason or "")
        yield Decision(
            flow=flow,
            trigger=trigger,
            decision=one.verdict,
            reason=one.reason,
            detail=None if condition is None else _parts(condition, names),
        )


def _deciding(candidate: Candidate, reason: str) -> Expression | None:
    trigger, flow = candidate.trigger, candidate.flow
    for word, conditions in (
        ("only_if", (*trigger.only_if, *flow.only_if)),
        ("unless", (*trigger.unless, *flow.unless)),
    ):
        for condition in conditions:
            if reason == f"{word}: {condition.text}" or reason.startswith(f"{condition.text}: "):
                return condition
    return None


def _parts(condition: Expression, names: Mapping[str, Any]) -> list[Part]:
    return [Part(text=text, value=_short(value)) for text, value in trace(condition, names)]


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]}…"
    if isinstance(value, dict | list) and len(str(value)) > _SHOWN:
        return f"{str(value)[:_SHOWN]}…"
    return value
