"""What the expressions of an execution see: its event, what gates added to it, and `events`."""

from collections.abc import Mapping
from typing import Any

from reactor.engine.router import view_of
from reactor.ids import id_text
from reactor.model.event import Event, Received
from reactor.model.execution import Execution
from reactor.store import Open

_OWN = frozenset({"many", "judge", "trigger"})  # ours, not the author's
_BARE = ("id", "trigger", "source", "time", "key", "start", "end")  # an event that is many


def view_again(event: Event, row: Execution) -> dict[str, Any]:
    """A stored event as the expressions of an execution see it."""
    view = _stored(event)
    view["trigger"] = row.trigger
    if row.key is not None:
        view["key"] = row.key
    return view


def seen(opened: Open) -> tuple[dict[str, Any], Any]:
    """`event` and `events` of an execution; without gates that collect `events` is None."""
    view = view_again(opened.event, opened.execution)
    if opened.taken is None:
        return view, None
    facts, trigger = opened.taken.facts, opened.execution.trigger
    others = [(name, {**_stored(each), "trigger": trigger}) for name, each in opened.gathered]
    view = with_facts(view, facts, dict(others).get("last"))
    match facts.get("many"):
        case "map":
            return _bare(view), dict(others)
        case "list":
            return _bare(view), [each for _, each in others]
        case "last":
            return view, [each for _, each in others]
    return view, None


def with_facts(
    view: dict[str, Any], facts: Mapping[str, Any], last: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The event with what gates say of it; `event.last` is itself unless another one ended it."""
    added = {name: value for name, value in facts.items() if name not in _OWN}
    if "edge" in facts:
        added["last"] = dict(view) if last is None else last
    return {**view, **added}


def _bare(view: dict[str, Any]) -> dict[str, Any]:
    return {name: view[name] for name in _BARE if name in view}


def _stored(event: Event) -> dict[str, Any]:
    received = Received(data=event.data, fields=event.fields, type=event.type, key=event.key)
    return view_of(
        received, source=event.source, event_id=id_text("evt", event.id), time_ms=event.time_ms
    )
