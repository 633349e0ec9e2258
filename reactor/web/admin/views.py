"""Rows of the store as people and scripts see them: ids as text, times as instants, steps."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from reactor.clock import instant
from reactor.ids import id_text
from reactor.model.event import Event, Receipt
from reactor.model.execution import Entry, Execution, Failure, State
from reactor.store import Dead, Open
from reactor.web.admin.wire import (
    DeadShown,
    DeadView,
    EventView,
    ReceiptView,
    Run,
    Shown,
    StartedView,
    StepView,
)


def run_view(execution: Execution) -> Run:
    """One line of `runs`."""
    return Run(**_run_fields(execution))


def shown_view(opened: Open, ids: Mapping[str, str]) -> Shown:
    """An execution with its steps; `ids` names them by path."""
    steps = step_views(opened.journal, ids, opened.execution.state)
    return Shown(**_run_fields(opened.execution), steps=steps)


def event_view(event: Event) -> EventView:
    """An event as it is stored."""
    return EventView(
        event=id_text("evt", event.id),
        source=event.source,
        type=event.type,
        key=event.key,
        received=instant(event.received_ms),
        time=instant(event.time_ms),
        data=event.data,
        fields=event.fields,
    )


def receipt_view(receipt: Receipt) -> ReceiptView:
    """What became of an event."""
    return ReceiptView(
        event=None if receipt.event is None else id_text("evt", receipt.event),
        executions=[
            StartedView(flow=each.flow, execution=id_text("exe", each.execution))
            for each in receipt.executions
        ],
        held=list(receipt.held),
        duplicate=receipt.duplicate,
    )


def dead_view(dead: Dead) -> DeadView:
    """One line of `dead ls`."""
    return DeadView(**_dead_fields(dead))


def dead_shown(dead: Dead, event: Event | None) -> DeadShown:
    """A dead letter with what it is about; the data is null when the event is gone."""
    return DeadShown(
        **_dead_fields(dead),
        execution=None if dead.execution is None else id_text("exe", dead.execution),
        data=None if event is None else event.data,
    )


class _Progress(Struct):
    """What the journal says of one step, gathered line by line."""

    began_ms: int | None = None
    input: Any = None
    attempts: list[Any] = []
    waits: bool = False
    done: Mapping[str, Any] | None = None


def step_views(journal: Iterable[Entry], ids: Mapping[str, str], state: State) -> list[StepView]:
    """The steps of a journal in the order in which they began.

    A step that began and has no result is running, waits for its next attempt, or was cancelled,
    as the `state` of its execution says.
    """
    steps: dict[str, _Progress] = {}
    for entry in journal:
        if entry.kind == "chose" and entry.path in steps:
            _waited_for(steps[entry.path], entry.value)
        if entry.kind not in ("ready", "attempt", "done"):
            continue
        step = steps.setdefault(entry.path, _Progress())
        if entry.kind == "done":
            step.done = entry.value
        elif entry.kind == "attempt":
            step.attempts.append(entry.value)
        else:
            step.began_ms, step.input = entry.value["at"], entry.value["input"]
    return [
        _open_step(_name(path, ids), step, state)
        if step.done is None
        else _done_step(_name(path, ids), step)
        for path, step in steps.items()
    ]


def _waited_for(step: _Progress, chosen: Any) -> None:
    """What a step waits for outside its execution is its input."""
    if isinstance(chosen, dict) and "input" in chosen:
        step.input, step.waits = chosen["input"], True


def _done_step(name: str, step: _Progress) -> StepView:
    done = step.done or {}
    return StepView(
        id=name,
        status=done["status"],
        attempts=done["attempts"],
        started=_time(done["started"]),
        finished=_time(done["finished"]),
        input=step.input if step.waits else done["input"],
        output=done["output"],
        error=_failure(done["error"]),
    )


def _open_step(name: str, step: _Progress, state: State) -> StepView:
    waits = (step.waits or bool(step.attempts)) and state is State.WAITING
    return StepView(
        id=name,
        status="cancelled" if state.ended else "waiting" if waits else "running",
        attempts=len(step.attempts) + (0 if (waits and not step.waits) or state.ended else 1),
        started=_time(step.began_ms),
        finished=None,
        input=step.input,
        output=None,
        error=_failure(step.attempts[-1]["error"]) if step.attempts else None,
    )


def _name(path: str, ids: Mapping[str, str]) -> str:
    """The step's id; the item of a loop is `id[2]`; a path that nothing names stays as it is."""
    if path in ids:
        return ids[path]
    owner, *rounds = path.split("@")
    owner = owner.partition("~")[0]
    if owner in ids:
        return ids[owner] + "".join(f"[{each.partition('~')[0]}]" for each in rounds)
    return path


def _failure(error: Any) -> Failure | None:
    return None if error is None else msgspec.convert(error, Failure)


def _run_fields(execution: Execution) -> dict[str, Any]:
    return {
        "execution": id_text("exe", execution.id),
        "flow": execution.flow,
        "event": id_text("evt", execution.event),
        "state": execution.state.word,
        "reason": execution.reason,
        "created": instant(execution.created_ms),
        "started": _time(execution.started_ms),
        "finished": _time(execution.finished_ms),
        "retry_of": None if execution.retry_of is None else id_text("exe", execution.retry_of),
        "error": execution.error,
    }


def _dead_fields(dead: Dead) -> dict[str, Any]:
    return {
        "id": id_text("ded", dead.id),
        "kind": dead.kind,
        "flow": dead.flow,
        "event": id_text("evt", dead.event),
        "reason": dead.reason,
        "created": instant(dead.created_ms),
    }


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else instant(ms)
