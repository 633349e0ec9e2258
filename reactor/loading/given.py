"""What happens in a test: each item of `given`, resolved against the flow that it happens to."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from reactor.expr.scope import Scope
from reactor.loading.configs import measure
from reactor.loading.context import Context
from reactor.loading.testwords import PersonWords, StartWords
from reactor.loading.values import Entry, ListValue, MapValue, Scalar, Value, inside, plain
from reactor.model.flow import Flow, Trigger, WaitStep, steps_of
from reactor.plugin.catalog import Catalog
from reactor.problem import Place
from reactor.units import Duration

# What every event may be given, beside the fields of its source.
_EVENT_KEYS = ("data", "type", "key", "id")
_PERSON = ("approve", "deny")


class Given(Struct, frozen=True, kw_only=True):
    """One thing that happens, at once or so long after the test began.

    `event` are the fields of what the subscription `instance` of a `source` brings; `person` is
    what somebody says to a step, `start` a start by hand. With none of them only time passes.
    """

    place: Place
    at_ms: int | None = None
    source: str = ""
    instance: str = ""
    event: Mapping[str, Any] | None = None
    person: PersonWords | None = None
    start: StartWords | None = None


class Subjects:
    """What events of a test may be called by: triggers, and steps that wait for an event."""

    def __init__(self, flow: Flow, catalog: Catalog) -> None:
        self.flow = flow
        self._catalog = catalog
        self.triggers = {trigger.id: trigger for trigger in flow.triggers}
        for step in steps_of(flow):
            if isinstance(step, WaitStep) and step.when is not None:
                self.triggers.setdefault(step.id, step.when)

    @property
    def known(self) -> list[str]:
        """Every word that an item may begin with."""
        return list(dict.fromkeys([*self.triggers, "event", *_PERSON, "start"]))

    def find(self, name: str) -> tuple[str, str] | None:
        """The source and the subscription of a name; `event` is any event of that source."""
        trigger = self.triggers.get(name)
        if trigger is not None:
            return trigger.source, trigger.instance
        return ("event", "event") if name == "event" else None

    def fields(self, source: str) -> list[str] | None:
        """What an event of a source may be given; None: anything."""
        spec = self._catalog.find("source", source)
        if spec is None or spec.fields is None:
            return None
        return [*_EVENT_KEYS, *spec.fields.__struct_fields__]


def read_given(value: Value | None, subjects: Subjects, context: Context) -> tuple[Given, ...]:
    """The items of `given`, in order."""
    if not isinstance(value, ListValue):
        return ()
    found: list[Given] = []
    last_ms = 0
    for item in value.items:
        one = _item(item, subjects, context)
        if one is None:
            continue
        if one.at_ms is not None:
            if one.at_ms < last_ms:
                context.report.error(item, "at counts from the start of the test: time goes on")
            last_ms = one.at_ms
        found.append(one)
    return tuple(found)


def _item(value: Value, subjects: Subjects, context: Context) -> Given | None:
    report = context.report
    if not isinstance(value, MapValue):
        report.error(value, f"an item of given is a map: {subjects.known[0]}: {{…}}")
        return None
    at = value.entry("at")
    at_ms = None
    if at is not None and isinstance(at.value, Scalar):
        secs = measure(at.value, Duration, "at", report)
        at_ms = None if secs is None else round(secs * 1000)
    elif at is not None:
        report.error(at.value, "at is a duration since the test began, such as 5m")
    place = report.place(value.first)
    others = [entry for entry in value.entries if entry is not at]
    if not others:
        return Given(place=place, at_ms=at_ms)
    if others[0].key.text in _PERSON:
        person = context.shape(value, PersonWords, others[0].key.text, Scope({}))
        if person is None or not _is_asked(others[0], subjects.flow, context):
            return None
        return Given(place=place, at_ms=at_ms, person=person)
    for entry in others[1:]:
        report.error(entry.key, "one item is one thing that happens: make it an item of its own")
    return _happening(others[0], at_ms, place, subjects, context)


def _is_asked(entry: Entry, flow: Flow, context: Context) -> bool:
    """Whether the step that somebody answers asks for an answer."""
    asking = [
        step.id for step in steps_of(flow) if isinstance(step, WaitStep) and step.form == "approval"
    ]
    if isinstance(entry.value, Scalar) and entry.value.text in asking:
        return True
    have = f"it has {', '.join(asking)}" if asking else "the flow has none"
    context.report.error(entry.value, f"this is no step that waits for approval: {have}")
    return False


def _happening(
    entry: Entry, at_ms: int | None, place: Place, subjects: Subjects, context: Context
) -> Given | None:
    name = entry.key.text
    if name == "start" and "start" not in subjects.triggers:
        start = context.shape(_map(entry.value), StartWords, "start", Scope({}))
        known = [trigger.id for trigger in subjects.flow.triggers]
        if start is not None and start.trigger not in (None, *known):
            message = f"the flow has no trigger '{start.trigger}': it has {', '.join(known)}"
            context.report.error(inside(entry.value, ("trigger",)), message)
        return None if start is None else Given(place=place, at_ms=at_ms, start=start)
    found = subjects.find(name)
    if found is None:
        guess = next(iter(get_close_matches(name, subjects.known, 1)), None)
        message = f"the flow has no trigger '{name}'"
        message += f"; did you mean {guess}" if guess else f": {', '.join(subjects.known)}"
        repaired = context.report.with_text(entry.key.at, guess) if guess else None
        context.report.error(entry.key, message, repaired=repaired)
        return None
    source, instance = found
    fields = _fields(entry, source, subjects, context)
    if fields is None:
        return None
    if source == "call":
        start = StartWords(trigger=name, data=fields.get("data") or {})
        return Given(place=place, at_ms=at_ms, start=start)
    return Given(place=place, at_ms=at_ms, source=source, instance=instance, event=fields)


def _fields(
    entry: Entry, source: str, subjects: Subjects, context: Context
) -> dict[str, Any] | None:
    name, value = entry.key.text, _map(entry.value)
    if not isinstance(value, MapValue):
        context.report.error(value, f"{name} takes the fields of its event: {{data: …}}")
        return None
    known = subjects.fields(source)
    errors = context.report.errors
    for field in value.entries:
        if known is not None and field.key.text not in known:
            what = "inputs stand" if source == "call" else "what event.data holds stands"
            message = f"no field '{field.key.text}' in {name}: it has {', '.join(known)}; "
            context.report.error(field.key, f"{message}{what} under data")
    fields: dict[str, Any] = plain(value)
    if source == "event" and "type" not in fields:
        type_ = event_type(subjects.triggers.get(name))
        if type_ is None:
            context.report.error(entry.key, f"type is missing: {name}: {{type: …, data: …}}")
        fields["type"] = type_
    return None if context.report.errors > errors else fields


def event_type(trigger: Trigger | None) -> str | None:
    """The one type of event that a trigger hears, if it is one."""
    found = None if trigger is None else dict(trigger.match).get("type")
    return None if found is None or "*" in found else found


def _map(value: Value) -> Value:
    """An empty value is a map without keys."""
    return MapValue((), value.at) if plain(value) is None else value
