"""The one table of the API: method, path, what is asked and answered, and who answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reactor.clock import instant
from reactor.errors import NotFound, UsageError
from reactor.ids import id_ms, id_text, parse_id
from reactor.store import Query
from reactor.units import parse_duration
from reactor.web.admin import approving, wire
from reactor.web.admin.asked import Access, Call, Endpoint, Question
from reactor.web.admin.choosing import chosen, cursor, page, since
from reactor.web.admin.views import (
    dead_shown,
    dead_view,
    event_view,
    receipt_view,
    run_view,
    shown_view,
)

PREFIX = "/api/v1"


async def status(access: Access, call: Call) -> wire.Ready:
    """Who serves, since when and where."""
    return await access.control.status()


async def flows(access: Access, call: Call) -> wire.Flows:
    """All flows, by name."""
    return wire.Flows(items=await access.control.flows())


async def flow(access: Access, call: Call) -> wire.FlowView:
    """One flow."""
    name = call.names["flow"]
    for view in await access.control.flows():
        if view.flow == name:
            return view
    raise NotFound(f"no flow is called {name!r}: `reactor flows` lists them")


async def start(access: Access, call: Call) -> wire.ReceiptView:
    """Start a flow by hand."""
    body: wire.Start = call.body
    receipt = await access.control.start(
        call.names["flow"], trigger=body.trigger, data=body.data, inputs=body.inputs
    )
    return receipt_view(receipt)


async def pause(access: Access, call: Call) -> wire.FlowView:
    """Let a flow take no more events."""
    await access.control.pause(call.names["flow"])
    return await flow(access, call)


async def resume(access: Access, call: Call) -> wire.FlowView:
    """Let a paused flow take events again."""
    await access.control.resume(call.names["flow"])
    return await flow(access, call)


async def emit(access: Access, call: Call) -> wire.ReceiptView:
    """Accept an event from outside."""
    body: wire.Emit = call.body
    receipt = await access.control.emit(body.type, body.data, key=body.key, id_=body.id)
    return receipt_view(receipt)


async def events(access: Access, call: Call) -> wire.Events:
    """Stored events, newest first."""
    asked: wire.EventsQuery = call.query
    query = Query(
        since_ms=since(asked.since, access.clock), before=cursor(asked.before), limit=asked.limit
    )
    rows, following = page(await access.history.events(query), query.limit)
    return wire.Events(items=[event_view(row) for row in rows], next=_cursor(following))


async def event(access: Access, call: Call) -> wire.EventView:
    """One event, wanted or not."""
    name = call.names["event"]
    found = await access.history.event(parse_id(name, "evt"))
    if found is None:
        raise NotFound(f"no event {name} is kept: it was never stored, or its time is over")
    return event_view(found)


async def why(access: Access, call: Call) -> wire.Why:
    """Each flow's decision about an event, with the values it saw."""
    name = call.names["event"]
    number = parse_id(name, "evt")
    return wire.Why(
        event=name, received=instant(id_ms(number)), decisions=await access.control.why(number)
    )


async def replay(access: Access, call: Call) -> wire.ReceiptView:
    """Offer a stored event anew to one flow."""
    body: wire.Replay = call.body
    number = parse_id(call.names["event"], "evt")
    return receipt_view(await access.control.replay(number, body.flow))


async def runs(access: Access, call: Call) -> wire.Runs:
    """Executions, newest first."""
    rows, following = await chosen(access.history, access.clock, call.query)
    return wire.Runs(items=[run_view(row) for row in rows], next=_cursor(following))


async def show(access: Access, call: Call) -> wire.Shown:
    """One execution with its steps."""
    name = call.names["execution"]
    opened = await access.history.execution(parse_id(name, "exe"))
    if opened is None:
        raise NotFound(f"no execution {name} is kept: `reactor runs` lists them")
    return shown_view(opened, await access.control.steps(opened.execution.version))


async def retry(access: Access, call: Call) -> wire.Retried:
    """Run an execution again."""
    body: wire.Retry = call.body
    name = call.names["execution"]
    made = await access.control.retry(parse_id(name, "exe"), start=body.from_, version=body.version)
    return wire.Retried(execution=id_text("exe", made), retry_of=name)


async def cancel(access: Access, call: Call) -> wire.Nothing:
    """Stop an open execution."""
    await access.control.cancel(parse_id(call.names["execution"], "exe"))
    return wire.Nothing()


async def approvals(access: Access, call: Call) -> approving.ApprovalItems:
    """What waits for a person, the oldest first."""
    return approving.ApprovalItems(items=await access.control.approvals())


async def approve(access: Access, call: Call) -> approving.Answered:
    """Approve a step that waits for a person."""
    body: approving.Approve = call.body
    return await _answered(access, call, approved=True, form=body.form)


async def deny(access: Access, call: Call) -> approving.Answered:
    """Deny a step that waits for a person."""
    body: approving.Deny = call.body
    return await _answered(access, call, approved=False, message=body.message)


async def _answered(
    access: Access,
    call: Call,
    *,
    approved: bool,
    form: Mapping[str, Any] | None = None,
    message: str | None = None,
) -> approving.Answered:
    name, by = call.names["execution"], call.body.by or call.caller
    step = await access.control.answer(
        parse_id(name, "exe"),
        call.body.step,
        approved=approved,
        by=by,
        form=form or {},
        message=message,
    )
    return approving.Answered(execution=name, step=step, approved=approved, by=by)


async def dead(access: Access, call: Call) -> wire.DeadPage:
    """Dead letters, newest first."""
    asked: wire.DeadQuery = call.query
    query = Query(
        flow=asked.flow,
        since_ms=since(asked.since, access.clock),
        before=cursor(asked.before),
        limit=asked.limit,
    )
    rows, following = page(await access.history.dead(query), query.limit)
    return wire.DeadPage(items=[dead_view(row) for row in rows], next=_cursor(following))


async def dead_letter(access: Access, call: Call) -> wire.DeadShown:
    """One dead letter with its event."""
    name = call.names["id"]
    found = await access.history.dead_letter(parse_id(name, "ded"))
    if found is None:
        raise NotFound(f"no dead letter {name} is kept: `reactor dead ls` lists them")
    return dead_shown(found, await access.history.event(found.event))


async def dead_retry(access: Access, call: Call) -> wire.ReceiptView:
    """Run a dead letter again and hide it."""
    return receipt_view(await access.control.retry_dead(parse_id(call.names["id"], "ded")))


async def dead_drop(access: Access, call: Call) -> wire.Nothing:
    """Hide a dead letter."""
    await access.control.drop_dead(parse_id(call.names["id"], "ded"))
    return wire.Nothing()


async def sources(access: Access, call: Call) -> wire.Sources:
    """All sources with their state and position."""
    return wire.Sources(items=await access.control.sources())


async def reset(access: Access, call: Call) -> wire.SourceView:
    """Move a source to another position."""
    return await access.control.reset_source(call.names["source"], call.body.to)


async def state(access: Access, call: Call) -> wire.StateItems:
    """Values of `state`."""
    return wire.StateItems(items=await access.control.state_values(call.query.name))


async def state_get(access: Access, call: Call) -> wire.StateView:
    """One value of `state`."""
    name, key = call.names["name"], call.names.get("key", "")
    for view in await access.control.state_values(name):
        if view.key == key:
            return view
    shown = f"{name}[{key!r}]" if key else name
    raise NotFound(f"state.{shown} is not set: `reactor state ls` lists what is")


async def state_set(access: Access, call: Call) -> wire.StateView:
    """Store a value of `state`."""
    body: wire.SetState = call.body
    try:
        ttl = None if body.ttl is None else parse_duration(body.ttl)
    except ValueError as error:
        raise UsageError(f"ttl: {error}") from None
    name, key = call.names["name"], call.names.get("key", "")
    await access.control.set_state(name, key, body.value, ttl)
    if body.value is None:
        return wire.StateView(name=name, key=key, value=None)
    return await state_get(access, call)


async def state_remove(access: Access, call: Call) -> wire.Nothing:
    """Delete a value of `state`."""
    await state_get(access, call)
    await access.control.set_state(call.names["name"], call.names.get("key", ""), None, None)
    return wire.Nothing()


async def reload(access: Access, call: Call) -> wire.Reloaded:
    """Read flows and settings again."""
    return await access.control.reload()


async def backup(access: Access, call: Call) -> wire.BackedUp:
    """Write a consistent copy of the store."""
    target = Path(call.body.path)
    if not target.is_absolute():
        raise UsageError(f"backup to {target}: the daemon needs an absolute path")
    return wire.BackedUp(path=str(target), bytes=await access.control.backup(target))


async def doctor(access: Access, call: Call) -> wire.Checks:
    """Look at what usually goes wrong."""
    return wire.Checks(items=await access.control.doctor())


async def metrics(access: Access, call: Call) -> str:
    """All metrics, for Prometheus."""
    return await access.control.metrics()


def _get(path: str, answer: Any, answers: Any, *, query: Any = None) -> Question:
    return _endpoint("GET", path, answer, answers, query=query)


def _post(path: str, answer: Any, answers: Any, *, body: Any = None) -> Question:
    return _endpoint("POST", path, answer, answers, body=body)


def _endpoint(
    method: str, path: str, answer: Any, answers: Any, *, query: Any = None, body: Any = None
) -> Question:
    about = answer.__doc__.partition("\n")[0].rstrip(".")
    return Question(
        method=method,
        path=path,
        about=about,
        answer=answer,
        answers=answers,
        query=query,
        body=body,
    )


def _cursor(number: int | None) -> str | None:
    return None if number is None else str(number)


_VALUE, _KEYED = "/state/{name}", "/state/{name}/{key}"

QUESTIONS: tuple[Question, ...] = (
    _get("/status", status, wire.Ready),
    _get("/flows", flows, wire.Flows),
    _get("/flows/{flow}", flow, wire.FlowView),
    _post("/flows/{flow}/start", start, wire.ReceiptView, body=wire.Start),
    _post("/flows/{flow}/pause", pause, wire.FlowView),
    _post("/flows/{flow}/resume", resume, wire.FlowView),
    _get("/events", events, wire.Events, query=wire.EventsQuery),
    _post("/events", emit, wire.ReceiptView, body=wire.Emit),
    _get("/events/{event}", event, wire.EventView),
    _get("/events/{event}/decisions", why, wire.Why),
    _get("/executions", runs, wire.Runs, query=wire.RunsQuery),
    _get("/executions/{execution}", show, wire.Shown),
    _post("/executions/{execution}/retry", retry, wire.Retried, body=wire.Retry),
    _post("/events/{event}/replay", replay, wire.ReceiptView, body=wire.Replay),
    _post("/executions/{execution}/cancel", cancel, wire.Nothing),
    _post("/executions/{execution}/approve", approve, approving.Answered, body=approving.Approve),
    _post("/executions/{execution}/deny", deny, approving.Answered, body=approving.Deny),
    _get("/approvals", approvals, approving.ApprovalItems),
    _get("/dead", dead, wire.DeadPage, query=wire.DeadQuery),
    _get("/dead/{id}", dead_letter, wire.DeadShown),
    _post("/dead/{id}/retry", dead_retry, wire.ReceiptView),
    _post("/dead/{id}/drop", dead_drop, wire.Nothing),
    _get("/sources", sources, wire.Sources),
    _post("/sources/{source}/reset", reset, wire.SourceView, body=wire.Reset),
    _get("/state", state, wire.StateItems, query=wire.StateQuery),
    *(
        _endpoint(method, path, answer, answers, body=body)
        for path in (_VALUE, _KEYED)
        for method, answer, answers, body in (
            ("GET", state_get, wire.StateView, None),
            ("PUT", state_set, wire.StateView, wire.SetState),
            ("DELETE", state_remove, wire.Nothing, None),
        )
    ),
    _post("/reload", reload, wire.Reloaded),
    _post("/backup", backup, wire.BackedUp, body=wire.Backup),
    _get("/doctor", doctor, wire.Checks),
    _get("/metrics", metrics, "text/plain; version=0.0.4; charset=utf-8"),
)
# Two that are no plain question and answer: `application` serves them.
STREAM = Endpoint(
    method="GET",
    path="/stream",
    about="What happens from now on, as server-sent events; Last-Event-ID goes on where it broke",
    answers="text/event-stream",
    query=wire.StreamQuery,
)
DOCUMENT = Endpoint(
    method="GET",
    path="/openapi.json",
    about="This description of the API",
    answers="application/json",
)
ALL: tuple[Endpoint, ...] = (*QUESTIONS, STREAM, DOCUMENT)
