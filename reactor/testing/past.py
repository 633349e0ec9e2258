"""What a flow made of stored events: the decisions, and the executions with their steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from reactor.errors import InvalidFlow
from reactor.loading.context import Loading
from reactor.loading.flowtests import Mock
from reactor.loading.load import load_document
from reactor.loading.testwords import FailsWords
from reactor.model.event import Event
from reactor.model.execution import Entry, Failure, State
from reactor.model.flow import Flow
from reactor.store import Query
from reactor.store.looking import Look
from reactor.testing.story import Told, base, told

_PAGE = 200
_CONDITIONS = ("only_if: ", "unless: ")


class Past(Struct, frozen=True):
    """A stored event, and what one flow made of it: nothing where it did not hear it."""

    event: Event
    decision: str | None
    reason: str | None = None
    stories: tuple[Told, ...] = ()

    def answers(self, story: Told) -> Mapping[str, Sequence[Mock]]:
        """What the steps that reached outside gave then, by step id."""
        found = {}
        for id_, step in story.steps.items():
            mocks = _answers(story.opened.journal, step["path"])
            if mocks:
                found[id_] = mocks
        return found


async def past(
    look: Look, flow: Flow, loading: Loading, *, since_ms: int | None, decision: str | None
) -> list[Past]:
    """The events that a flow heard, or hears now, oldest first; only those decided so."""
    heard = {trigger.instance for trigger in flow.triggers}
    versions: dict[str, Flow] = {}
    found: list[Past] = []
    for event, stopped in await _events(look, since_ms):
        if "replay_of" in event.fields:
            continue  # what it repeats is there itself
        query = Query(event=event.id, flow=flow.name, limit=1000)
        rows = [row for row in await look.history.executions(query) if row.retry_of is None]
        if not rows and event.instance not in heard and flow.name not in stopped:
            continue
        stories = []
        for row in reversed(rows):
            opened = await look.history.execution(row.id)
            if opened is not None:
                await _know(look, row.version, versions, flow, loading)
                stories.append(told(opened, versions[row.version]))
        one = _decided(event, stories, stopped.get(flow.name))
        if decision is None or one.decision == decision:
            found.append(one)
    return found


def _decided(event: Event, stories: list[Told], stopped: str | None) -> Past:
    if stories:
        busy = all(story.opened.execution.state is State.SKIPPED for story in stories)
        reason = stories[0].opened.execution.reason if busy else None
        return Past(event, "busy" if busy else "started", reason, tuple(stories))
    if stopped is None:
        return Past(event, None)
    if stopped.startswith(_CONDITIONS):
        return Past(event, "stopped", stopped)
    words = ("stopped", "held", "duplicate", "busy", "refused")
    return Past(event, stopped if stopped in words else "error", stopped)


async def _events(look: Look, since_ms: int | None) -> list[tuple[Event, Mapping[str, str]]]:
    """Every event with what stopped the flows that did not start for it, oldest first."""
    found: dict[int, tuple[Event, Mapping[str, str]]] = {}
    before: int | None = None
    while page := await look.history.events(Query(since_ms=since_ms, before=before, limit=_PAGE)):
        found |= {event.id: (event, {}) for event in page}
        before = page[-1].id
    before = None
    while rows := await look.unwanted(Query(since_ms=since_ms, before=before, limit=_PAGE)):
        found |= {row.event.id: (row.event, row.stopped) for row in rows}
        before = rows[-1].event.id
    return [one for _, one in sorted(found.items())]


async def _know(
    look: Look, version: str, versions: dict[str, Flow], flow: Flow, loading: Loading
) -> None:
    """Find the flow of a version; where it does not load any more, the one of today is like it."""
    if version in versions:
        return
    versions[version] = flow
    for stored in await look.versions([version]):
        try:
            versions[version] = load_document(stored.document, loading)
        except InvalidFlow:
            continue


def _answers(journal: Sequence[Entry], path: str) -> list[Mock]:
    mocks: list[Mock] = []
    ready = {entry.path for entry in journal if entry.kind == "ready"}
    for entry in journal:
        if base(entry.path) != path or entry.path not in ready:
            continue
        if entry.kind == "attempt":
            mocks.append(_failing(entry.value["error"], transient=True))
        elif entry.kind == "done" and entry.value["status"] == "ok":
            mocks.append(Mock(output=entry.value["output"]))
        elif entry.kind == "done" and entry.value["status"] == "failed":
            mocks.append(_failing(entry.value["error"], transient=False))
    return mocks


def _failing(error: Mapping[str, Any], *, transient: bool) -> Mock:
    failure = Failure(**error)
    words = FailsWords(
        kind=failure.kind,
        message=failure.message,
        status=failure.status,
        output=failure.output,
        transient=transient,
    )
    return Mock(fails=words)
