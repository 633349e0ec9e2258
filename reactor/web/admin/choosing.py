"""Which executions a list shows: the filters that people write, as queries to the store."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from reactor.clock import Clock, instant, to_ms
from reactor.errors import EvaluationError, UsageError
from reactor.expr.parse import Expression, parse
from reactor.expr.scope import Scope
from reactor.ids import id_text, parse_id
from reactor.model.event import Event
from reactor.model.execution import Execution, Failure, State
from reactor.store import Dead, History, Query
from reactor.units import parse_duration
from reactor.web.admin.wire import RunsQuery

# What `where` may name.
_EXECUTION = frozenset(
    ["id", "flow", "version", "trigger", "key", "state", "reason", "started", "retry_of"]
)
_ERROR = Failure.__struct_fields__
_SCOPE = Scope({"execution": _EXECUTION, "error": frozenset(_ERROR), "event": None})
# One request looks at no more rows than this; the cursor says where to go on.
_MOST_ROWS = 2000
_PAGE = 200
T = TypeVar("T", Execution, Event, Dead)


async def chosen(
    history: History, clock: Clock, asked: RunsQuery
) -> tuple[list[Execution], int | None]:
    """The executions that a query asks for, and the cursor of the next page (None: no more)."""
    query = runs_query(asked, clock)
    if asked.where is None:
        return page(await history.executions(query), query.limit)
    where = parse(asked.where, _SCOPE)
    found: list[Execution] = []
    before, seen = query.before, 0
    while seen < _MOST_ROWS:
        rows = await history.executions(_with(query, before=before, limit=_PAGE))
        for row in rows:
            before = row.id
            if await _holds(where, row, history):
                found.append(row)
                if len(found) == query.limit:
                    return found, before
        seen += len(rows)
        if len(rows) < _PAGE:
            return found, None
    return found, before


def runs_query(asked: RunsQuery, clock: Clock) -> Query:
    """The store's form of a query; UsageError where a filter makes no sense."""
    return Query(
        flow=asked.flow,
        states=states(asked.state),
        since_ms=since(asked.since, clock),
        event=None if asked.event is None else parse_id(asked.event, "evt"),
        before=cursor(asked.before),
        limit=asked.limit,
    )


def states(text: str | None) -> tuple[State, ...]:
    """States by name, with commas between them."""
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    known = {state.word: state for state in State}
    for word in words:
        if word not in known:
            raise UsageError(f"{word!r} is no state of an execution; they are {' '.join(known)}")
    return tuple(known[word] for word in words)


def since(text: str | None, clock: Clock) -> int | None:
    """The earliest time of `24h` (back from now) or `2026-01-01T00:00:00Z`."""
    if text is None:
        return None
    if text[:4].isdigit() and text[4:5] == "-":
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{text!r} is no time: write 2026-01-31T08:00:00Z or 24h") from None
        return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=instant(0).tzinfo))
    try:
        return clock.now_ms() - round(parse_duration(text) * 1000)
    except ValueError as error:
        raise UsageError(f"since {text}: {error}") from None


def cursor(text: str | None) -> int | None:
    """The id that a cursor stands for."""
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii() or int(text) >= 1 << 63:
        raise UsageError(f"{text!r} is no cursor: take `next` of the page before")
    return int(text)


def page(rows: list[T], limit: int) -> tuple[list[T], int | None]:
    """Rows and the cursor of those that follow."""
    return rows, rows[-1].id if rows and len(rows) >= limit else None


async def _holds(where: Expression, row: Execution, history: History) -> bool:
    event = await history.event(row.event) if "event" in where.roots else None
    try:
        return where.test(_names(row, event))
    except EvaluationError as error:
        raise EvaluationError(f"where, for {id_text('exe', row.id)}: {error}") from error


def _names(row: Execution, event: Event | None) -> Mapping[str, Any]:
    error = row.error
    return {
        "execution": {
            "id": id_text("exe", row.id),
            "flow": row.flow,
            "version": row.version,
            "trigger": row.trigger,
            "key": row.key,
            "state": row.state.word,
            "reason": row.reason,
            "started": None if row.started_ms is None else instant(row.started_ms),
            "retry_of": None if row.retry_of is None else id_text("exe", row.retry_of),
        },
        "error": None if error is None else {name: getattr(error, name) for name in _ERROR},
        "event": None if event is None else _event_names(event),
    }


def _event_names(event: Event) -> Mapping[str, Any]:
    return {
        "id": id_text("evt", event.id),
        "source": event.source,
        "type": event.type,
        "time": instant(event.time_ms),
        "key": event.key,
        "data": event.data,
        **event.fields,
    }


def _with(query: Query, *, before: int | None, limit: int) -> Query:
    return Query(
        flow=query.flow,
        states=query.states,
        since_ms=query.since_ms,
        event=query.event,
        before=before,
        limit=limit,
    )
