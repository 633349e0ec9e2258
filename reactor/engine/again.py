"""Executions that are run again by hand, and flows that are started by hand."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from reactor.engine.bisect import taken_again
from reactor.engine.core import Engine
from reactor.engine.inputs import checked
from reactor.engine.router import Candidate, Router
from reactor.errors import EvaluationError, InvalidFlow, NotFound, UsageError
from reactor.ids import id_text
from reactor.model.event import Event, Receipt, Received, Started
from reactor.model.execution import Entry, Execution, State
from reactor.model.flow import Flow, Trigger
from reactor.store import End, NewExecution, Open, Write


async def retry(
    engine: Engine,
    execution: int,
    *,
    start: Literal["start", "failed"] = "start",
    version: Literal["original", "current"] = "original",
) -> int:
    """A new execution for the event of an old one; its id, which is on disk.

    `failed` keeps the results of the steps that finished, and the keys of those that did not.
    """
    await engine.desk.settled()
    found = await engine.store.load([execution])
    if not found:
        raise NotFound(f"there is no execution {id_text('exe', execution)}")
    old = found[0]
    row = old.execution
    needs_attention = row.state is State.WAITING and (row.reason or "").startswith(
        "needs_attention"
    )
    if not row.state.ended and not needs_attention:
        raise UsageError(f"{id_text('exe', execution)} is {row.state.word}: cancel it first")
    if start == "failed" and any(entry.kind == "undone" for entry in old.journal):
        name = id_text("exe", execution)
        raise UsageError(f"{name} took its steps back (undo): retry it from the start")
    flow = await _flow(engine, row, version)
    number = engine.ids.next()
    journal = _kept(old) if start == "failed" else ()
    fresh = replace(
        row,
        id=number,
        root=row.root if start == "failed" else number,
        version=flow.version,
        state=State.QUEUED,
        reason=None,
        created_ms=engine.clock.now_ms(),
        started_ms=None,
        finished_ms=None,
        due_ms=None,
        crashes=0,
        retry_of=row.id,
        error=None,
    )
    write = Write(executions=[NewExecution(fresh, journal)], hidden=[row.id])
    if old.taken is not None:
        write.taken.append(taken_again(old.taken, number))
    if needs_attention:
        reason = "run again with the current version"
        now_ms = engine.clock.now_ms()
        write.ends.append(
            End(row.id, State.CANCELLED, row.started_ms, now_ms, old.journal, reason=reason)
        )
        engine.hearing.ended(row, write)
    await _on_disk(engine, write)
    if needs_attention:
        engine.hearing.tell_caller(row)
    lane = engine.desk.lane(row.flow)
    if not lane.hand_over(row.id, number, row.key):
        lane.enqueue(number, row.key)
    lane.turn()
    return number


async def start(
    engine: Engine,
    name: str,
    *,
    trigger: str | None,
    data: Any,
    inputs: Mapping[str, Any],
) -> Receipt:
    """Start a flow whatever its conditions say; on disk when it answers."""
    flow = engine.intake.router.flows.get(name)
    if flow is None:
        raise NotFound(f"no flow is called {name!r}: `reactor flows` lists them")
    chosen = _trigger(flow, trigger)
    if chosen.source == "call":
        data = checked(flow, inputs if data is None else data)
    elif inputs:
        raise UsageError(
            f"trigger {chosen.id!r} of flow {name!r} takes data, not inputs: --data JSON"
        )
    refusal = engine.intake.refusal()
    if refusal is not None:
        raise refusal
    router = Router([flow])
    candidates = [one for found in router.instances().values() for one in found]
    candidate = next((one for one in candidates if one.trigger.id == chosen.id), None)
    if candidate is None:
        raise UsageError(f"flow {name!r} is disabled: enable it first")
    return await _start(engine, candidate, Received(data=data))


async def _start(engine: Engine, candidate: Candidate, received: Received) -> Receipt:
    answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

    def done(receipt: Receipt) -> None:
        if not answer.done():
            answer.set_result(receipt)

    try:
        engine.intake.start_by_hand(candidate, received, done)
    except EvaluationError as error:
        raise UsageError(f"the key of flow {candidate.flow.name!r}: {error}") from error
    return await answer


async def drop(engine: Engine, execution: int | None, dead: int) -> None:
    """Hide a dead letter; a key that its execution holds (`on_fail: hold`) is free again."""
    await _on_disk(engine, Write(hidden=[dead]))
    if execution is None:
        return
    for opened in await engine.store.load([execution]):
        lane = engine.desk.lane(opened.execution.flow)
        lane.free(execution, opened.execution.key)
        lane.turn()


def receipt_of(event: int, flow: str, execution: int) -> Receipt:
    """What a retry is answered with."""
    return Receipt(event, (Started(flow, execution),))


async def emit(
    engine: Engine, type_: str, data: Any, *, key: str | None, id_: str | None
) -> Receipt:
    """Accept an event of source `event`; an id that came before is a duplicate."""
    refusal = engine.intake.refusal()
    if refusal is not None:
        raise refusal
    identity = None if id_ is None else f"id:{type_}:{id_}"
    received = Received(data=data, type=type_, key=key, identity=identity)
    return await engine.emitter("event")(received)


async def emit_again(engine: Engine, event: Event) -> Receipt:
    """Accept a stored event anew, without its identity."""
    received = Received(
        data=event.data, fields=event.fields, type=event.type, key=event.key, time_ms=event.time_ms
    )
    return await engine.emitter(event.instance)(received)


async def replay(engine: Engine, event: Event, flow: str) -> Receipt:
    """Offer a stored event anew to one flow as it is now; the new event names the old one."""
    found = engine.intake.router.flows.get(flow)
    if found is None:
        raise NotFound(f"no flow is called {flow!r}: `reactor flows` lists them")
    if event.instance not in {trigger.instance for trigger in found.triggers}:
        message = f"flow {flow!r} does not hear {id_text('evt', event.id)}: its triggers are others"
        raise UsageError(message)
    refusal = engine.intake.refusal()
    if refusal is not None:
        raise refusal
    received = Received(
        data=event.data,
        fields={**event.fields, "replay_of": id_text("evt", event.id)},
        type=event.type,
        key=event.key,
        time_ms=event.time_ms,
        parent=event.id,
        only=flow,
    )
    return await engine.emitter(event.instance)(received)


def _trigger(flow: Flow, wanted: str | None) -> Trigger:
    triggers = {trigger.id: trigger for trigger in flow.triggers}
    if wanted is not None:
        if wanted not in triggers:
            have = ", ".join(triggers)
            raise UsageError(f"flow {flow.name!r} has no trigger {wanted!r}: it has {have}")
        return triggers[wanted]
    calls = [trigger for trigger in flow.triggers if trigger.source == "call"]
    if calls:
        return calls[0]
    if len(triggers) == 1:
        return flow.triggers[0]
    raise UsageError(f"flow {flow.name!r} has several triggers: name one of {', '.join(triggers)}")


async def _flow(engine: Engine, row: Execution, version: str) -> Flow:
    if version == "original":
        try:
            return await engine.versions.find(row.version)
        except InvalidFlow as error:
            raise UsageError(f"{error}; --version current runs the flow as it is now") from error
    flow = engine.intake.router.flows.get(row.flow)
    if flow is None:
        raise NotFound(
            f"flow {row.flow!r} is not there any more; --version original runs the old one"
        )
    return flow


def _kept(old: Open) -> tuple[Entry, ...]:
    """What a retry from the failed step builds on: all results of `do` but the failure."""
    journal, error = old.journal, old.execution.error
    done = [entry for entry in journal if entry.kind == "done" and entry.path.startswith("do.")]
    failed = [entry for entry in done if entry.value["status"] == "failed"]
    # An error of no step (a cancel, a timeout) leaves those that failed and were let go.
    last = failed[-1] if failed and error is not None and error.step is not None else None
    kept = {entry.path for entry in done if last is None or not _undone(entry, last)}
    return tuple(
        entry
        for entry in journal
        if entry.kind in ("vars", "reply")
        or entry.path in kept
        or (entry.kind == "chose" and entry.path.startswith("do."))
    )


def _undone(entry: Entry, last: Entry) -> bool:
    """Whether a result is part of the failure: the failed step, or what ended badly inside it."""
    if entry.path == last.path:
        return True
    inside = entry.path.startswith(tuple(last.path + mark for mark in ".@~"))
    return inside and entry.value["status"] in ("failed", "cancelled")


async def _on_disk(engine: Engine, write: Write) -> None:
    stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    engine.store.submit(write, lambda: None if stored.done() else stored.set_result(None))
    await stored
