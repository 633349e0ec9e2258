"""One trigger: a source with its settings, conditions and gates."""

import hashlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import Struct

from reactor.loading.context import Context
from reactor.loading.gates import GATES, check_gates, read_gates
from reactor.loading.hints import TRIGGER_HINTS
from reactor.loading.joins import branches_of, check_join, joined
from reactor.loading.names import EVENT_FIELDS, Names
from reactor.loading.specs import Beside, Written, belongs_beside, read_config
from reactor.loading.values import Entry, ListValue, MapValue, Scalar, Value
from reactor.loading.words import TriggerWords
from reactor.model.flow import Dedup, Trigger
from reactor.plugin.fields import fields_of, names_of
from reactor.plugin.spec import Spec

TRIGGER_KEYS = names_of(TriggerWords)
# Gates that keep an event back, so that nobody knows when its flow will be done.
_HOLDING = frozenset({"for", "absent", "count", "debounce", "batch", "window", "join"})
_BARE = frozenset({"id", "trigger", "source", "time", "key"})  # what many events have in common
_GATE_FIELDS: Mapping[str, frozenset[str]] = {
    "changes": frozenset({"previous"}),
    "becomes": frozenset({"last", "since", "edge"}),
    "absent": frozenset({"last", "since", "edge"}),
    "count": frozenset({"count"}),
    "window": frozenset({"start", "end"}),
}


class Sketch(Struct, frozen=True):
    """A trigger before it is read: its source, its id, and what its events have.

    `fields` are there from the start, `after` when its gates have let it through.
    """

    value: MapValue
    id: str
    source: Entry
    spec: Spec | None
    fields: frozenset[str] | None
    after: frozenset[str] | None
    many: bool

    @property
    def received(self) -> frozenset[str]:
        """What the source itself brings."""
        own = () if self.spec is None or self.spec.fields is None else names_of(self.spec.fields)
        return frozenset({"data", *own})


def sketch_triggers(value: Value, context: Context) -> list[Sketch]:
    """The triggers under `when`, so far that names can be known before any condition is read."""
    items = value.items if isinstance(value, ListValue) else (value,)
    if not items:
        context.report.error(value, "when has at least one trigger")
    sketches: list[Sketch] = []
    for item in items:
        found = _sketch(item, {sketch.id for sketch in sketches}, context)
        if found is not None:
            sketches.append(found)
    return sketches


def _sketch(value: Value, taken: set[str], context: Context) -> Sketch | None:
    report = context.report
    if not isinstance(value, MapValue):
        report.error(
            value, "a trigger is a map with a source, such as http: {path: /a, verify: none}"
        )
        return None
    catalog = context.loading.catalog
    words = [entry for entry in value.entries if entry.key.text not in TRIGGER_KEYS]
    sources = [
        entry
        for entry in words
        if catalog.later("source", entry.key.text) or catalog.find("source", entry.key.text)
    ]
    for entry in words:
        if entry not in sources:
            _unknown(entry, context, missing=not sources)
    if not sources:
        if not words:
            report.error(value.first, f"a trigger needs a source: {_known(context)}")
        return None
    for entry in sources[1:]:
        names = f"{sources[0].key.text} and {entry.key.text}"
        message = f"one trigger has one source, here are {names}: make when a list"
        report.error(entry.key, message)
    source = sources[0]
    word = source.key.text
    spec = None
    if catalog.later("source", word):
        context.later(source.key, word, catalog.words("source"))
    else:
        spec = catalog.find("source", word)
    id_ = _id(value, word, taken, context)
    fields = _fields(value, spec)
    if word == "join":
        fields = _shared(source.value, context)
    after = _after(value, fields)
    return Sketch(value, id_, source, spec, fields, after, _is_many(value))


def read_trigger(sketch: Sketch, names: Names, context: Context, *, name: str = "event") -> Trigger:
    """A trigger, checked; `name` is what its conditions call the event."""
    value, spec = sketch.value, sketch.spec
    words = MapValue(
        tuple(
            entry
            for entry in value.entries
            if entry.key.text in TRIGGER_KEYS and entry.key.text != "id"
        ),
        value.at,
    )
    own = msgspec.structs.replace(names, event=sketch.fields, events=False)
    scope = own.trigger() if name == "event" else names.condition()
    read = context.shape(words, TriggerWords, "a trigger", scope) or TriggerWords()
    _check(value, sketch, name, context)
    written = Written()
    if spec is not None:
        beside = Beside("source", TRIGGER_KEYS, sketch.source)
        received = msgspec.structs.replace(names, event=sketch.received).received()
        written = read_config(
            sketch.source.value,
            spec,
            context,
            names.settings(),
            deferred=received,
            beside=beside,
        )
    elif isinstance(sketch.source.value, MapValue):
        # What such a source takes is not known yet; gates are never inside.
        keys = (*GATES, "only_if", "unless", "dedup")
        belongs_beside(sketch.source.value, Beside("source", keys, sketch.source), context)
    _check_synchronous(value, written, context)
    match: tuple[tuple[str, str], ...] = ()
    if spec is not None and spec.match is not None and written.fine:
        match = spec.match(written.data)
    trigger = Trigger(
        id=sketch.id,
        source=sketch.source.key.text,
        config=written.template,
        instance=_instance(sketch.source.key.text, spec, written),
        place=context.report.place(value.first),
        only_if=tuple(read.only_if),
        unless=tuple(read.unless),
        split=read.split,
        key=read.key,
        dedup=None if read.dedup is None else Dedup(read.dedup.id, float(read.dedup.within)),
        match=match,
        gates=read_gates(read, words, context),
    )
    if sketch.source.key.text != "join":
        return trigger
    return joined(trigger, _branches(sketch, names, context), sketch.source.value)


def _branches(sketch: Sketch, names: Names, context: Context) -> dict[str, Trigger]:
    found: dict[str, Trigger] = {}
    for name, value in branches_of(sketch.source.value).items():
        branch = _sketch(value, set(), context)
        if branch is not None and branch.source.key.text != "join":
            found[name] = read_trigger(branch, names, context)
    return found


def _check(value: MapValue, sketch: Sketch, name: str, context: Context) -> None:
    if sketch.source.key.text == "join":
        check_join(value, sketch.source.value, context)
    check_gates(value, sketch.source.key.text, context)
    for entry in value.entries if name == "incoming" else ():
        if entry.key.text in GATES:
            message = f"a wait takes only_if and unless, not {entry.key.text}: gates stand on when"
            context.report.error(entry.key, message)


def _check_synchronous(value: MapValue, written: Written, context: Context) -> None:
    respond = written.data.get("respond") if isinstance(written.data, dict) else None
    if not isinstance(respond, dict) or respond.get("when") != "done":
        return
    for entry in value.entries:
        if entry.key.text in _HOLDING or entry.key.text == "split":
            message = f"{entry.key.text} cannot answer a caller that waits: drop respond or it"
            context.report.error(entry.key, message)


def _fields(value: MapValue, spec: Spec | None) -> frozenset[str] | None:
    if spec is None:
        return None
    if spec.fields is None:
        return EVENT_FIELDS
    return EVENT_FIELDS | {field.encode_name for field in msgspec.structs.fields(spec.fields)}


def _shared(join: Value, context: Context) -> frozenset[str] | None:
    """What the events of any branch have."""
    fields = EVENT_FIELDS
    for branch in branches_of(join).values():
        for word in branch.names if isinstance(branch, MapValue) else ():
            found = _fields(MapValue((), join.at), context.loading.catalog.find("source", word))
            fields |= found or frozenset()
    return fields


def _is_many(value: MapValue) -> bool:
    debounce = value.get("debounce")
    takes_all = (
        isinstance(debounce, MapValue)
        and isinstance(take := debounce.get("take"), Scalar)
        and take.text == "all"
    )
    return bool(set(value.names) & {"batch", "window", "join", "count"}) or takes_all


def _after(value: MapValue, fields: frozenset[str] | None) -> frozenset[str] | None:
    keys = set(value.names)
    if fields is None:
        return None
    if _is_many(value) and "count" not in keys:
        return _BARE | (_GATE_FIELDS["window"] if "window" in keys else frozenset())
    for key in keys & set(_GATE_FIELDS):
        fields |= _GATE_FIELDS[key]
    return fields


def _id(value: MapValue, word: str, taken: set[str], context: Context) -> str:
    entry = value.entry("id")
    if entry is not None:
        name = context.identifier(entry.value, "ids")
        if name is not None and name in taken:
            context.report.error(
                entry.value, f"two triggers are called '{name}': give one another id"
            )
        return name or word
    base = word.replace(".", "_").replace("-", "_")
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def _unknown(entry: Entry, context: Context, *, missing: bool) -> None:
    if context.hinted(entry, TRIGGER_HINTS, "on a trigger"):
        return
    word = entry.key.text
    guess = context.loading.catalog.nearest("source", word)
    if missing:
        message = f"no source '{word}'"
        message += f"; did you mean {guess}" if guess else f": {_known(context)}"
    else:
        message = f"no key '{word}' on a trigger"
        guess = next(iter(get_close_matches(word, TRIGGER_KEYS, 1)), None)
        message += f"; did you mean {guess}" if guess else f": it has {', '.join(TRIGGER_KEYS)}"
    repaired = context.report.with_text(entry.key.at, guess) if guess else None
    context.report.error(entry.key, message, repaired=repaired)


def _known(context: Context) -> str:
    return ", ".join(context.loading.catalog.words("source"))


def _instance(word: str, spec: Spec | None, written: Written) -> str:
    data = (
        written.data if written.typed is None else msgspec.to_builtins(written.typed, enc_hook=str)
    )
    if spec is not None and isinstance(data, dict):
        data = {**_given(spec), **data}
        if spec.identity is not None:
            data = {name: data.get(name) for name in spec.identity}
    if spec is not None and spec.identity == ():
        return word  # all its triggers share one subscription
    body = msgspec.json.encode(data, order="sorted", enc_hook=str)
    return f"{word}:{hashlib.sha256(body).hexdigest()[:16]}"


def _given(spec: Spec) -> dict[str, Any]:
    return {
        field.encode_name: field.default
        for field in fields_of(spec.config)
        if not field.required and isinstance(field.default, str | int | float | bool | None)
    }
