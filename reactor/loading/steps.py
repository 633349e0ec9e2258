"""The steps of a flow, in order: what each does, and what it may name."""

import re
from difflib import get_close_matches
from typing import Any, Literal

import msgspec

from reactor.expr.template import Template
from reactor.loading import texts
from reactor.loading.configs import Meta, Walk
from reactor.loading.context import Context
from reactor.loading.control import read_control
from reactor.loading.hints import ON_ERROR_WORDS, STEP_HINTS
from reactor.loading.names import DATA_ROOTS, Names
from reactor.loading.own_words import read_set, read_vars
from reactor.loading.part import Part
from reactor.loading.retries import OFF, read_retry
from reactor.loading.sharing import Limits
from reactor.loading.specs import Beside, marked_fields, read_config
from reactor.loading.step_ids import CONTROL_KEYS, MAX_STEPS, STEP_KEYS, StepIds, action_entries
from reactor.loading.values import Entry, ListValue, MapValue, Scalar, Value
from reactor.loading.words import StepWords
from reactor.model.flow import ActionStep, AnyStep
from reactor.plugin.spec import Spec

ACTION_TIMEOUT_SECS = 300.0
CLOSING_TIMEOUT_SECS = 60.0  # an attempt in `finally` (semantics.md 4)
_HOST_COMPUTED = re.compile(r"\s*([a-z]+://[^/]*)?\$\{\{")
# Names that an action evaluates per element, in fields that it evaluates itself.
_ELEMENT_WORDS = frozenset({"map"})


class StepReader:
    """Reads the steps of one flow; remembers what vars they make."""

    def __init__(self, context: Context, ids: StepIds, limits: Limits) -> None:
        self.context = context
        self.ids = ids
        self.limits = limits
        self.closing = False  # whether the steps of `finally` are read
        self.tainted_vars: set[str] = set()
        self.secret_vars: set[str] = set()

    def steps(
        self, value: Value | None, path: str, names: Names
    ) -> tuple[tuple[AnyStep, ...], Names]:
        """The steps of a list, and what may be named after them."""
        if value is None:
            return (), names
        report = self.context.report
        if not isinstance(value, ListValue):
            one = (
                "begin each step with '- '"
                if isinstance(value, MapValue)
                else "a list of steps stands here"
            )
            report.error(value, f"{path.rpartition('.')[2]} takes a list of steps: {one}")
            return (), names
        found: list[AnyStep] = []
        for index, item in enumerate(value.items[:MAX_STEPS]):
            here = f"{path}.{index}"
            if not isinstance(item, MapValue):
                report.error(item, "a step is a map with an action, such as - log: hello")
                continue
            step, names = self.step(item, here, names)
            if step is not None:
                found.append(step)
        return tuple(found), names

    def step(self, value: MapValue, path: str, names: Names) -> tuple[AnyStep | None, Names]:
        """One step, and what may be named after it."""
        id_ = self.ids[path]
        own = f"steps.{id_} is this step itself: its result is there in output, undo and on_error"
        within = names.hiding({f"steps.{id_}": own})
        word = self._word(value)
        engine, item_names = self._engine_keys(value, path, within)
        after = names.after([id_, *self.ids.inside(path)])
        if word is None:
            return None, after
        if word.key.text in CONTROL_KEYS:
            part = Part(
                self.context, self.ids, self.steps, word.value, value, path, item_names, engine
            )
            return read_control(word.key.text, part), after
        step, made = self._action(word, path, item_names, engine)
        return step, after.with_vars(made, self.secret_vars & made)

    def _word(self, value: MapValue) -> Entry | None:
        catalog = self.context.loading.catalog
        words = action_entries(value)
        known = [
            entry
            for entry in words
            if entry.key.text in CONTROL_KEYS
            or catalog.later("action", entry.key.text)
            or catalog.find("action", entry.key.text) is not None
        ]
        for entry in words:
            if entry not in known:
                self._unknown(entry, missing=not known)
        if not words:
            self.context.report.error(value.first, "a step needs an action, such as log: hello")
        for entry in known[1:]:
            first = known[0].key.text
            self.context.report.error(
                entry.key,
                f"one step has one action, here are {first} and {entry.key.text}: "
                "begin the second with '- '",
            )
        return known[0] if known else None

    def _unknown(self, entry: Entry, *, missing: bool) -> None:
        context, word = self.context, entry.key.text
        if context.hinted(entry, STEP_HINTS, "on a step"):
            return
        catalog = context.loading.catalog
        if missing:
            guess = catalog.nearest("action", word)
            guess = guess or next(
                iter(get_close_matches(word, [*CONTROL_KEYS, *STEP_KEYS], 1)), None
            )
            known = ", ".join(catalog.words("action"))
            message = (
                f"no action '{word}'; did you mean {guess}"
                if guess
                else f"no action '{word}': there is {known}"
            )
        else:
            guess = next(iter(get_close_matches(word, STEP_KEYS, 1)), None)
            message = f"no key '{word}' on a step"
            message += f"; did you mean {guess}" if guess else f": it has {', '.join(STEP_KEYS)}"
        repaired = context.report.with_text(entry.key.at, guess) if guess else None
        context.report.error(entry.key, message, repaired=repaired)

    def _engine_keys(
        self, value: MapValue, path: str, names: Names
    ) -> tuple[dict[str, Any], Names]:
        """The engine's keys of a step as fields of the model, and the names inside the step."""
        context, report = self.context, self.context.report
        id_ = self.ids[path]
        each, item_name, item_names = self._each(value, names)
        own = item_names.after([id_])
        failing = own.with_more("error")
        fields: dict[str, Any] = {
            "id": id_,
            "path": path,
            "place": report.place(value.first),
            "each": each,
            "item_name": item_name,
        }
        condition = item_names.condition()
        for key in ("only_if", "unless"):
            if (conditions := value.get(key)) is not None:
                fields[key] = texts.conditions(conditions, condition, report)
        plain = [e for e in value.entries if e.key.text in ("about", "at_once", "once", "timeout")]
        read = context.shape(MapValue(tuple(plain), value.at), StepWords, "a step", condition)
        if read is not None:
            fields["about"], fields["at_once"], fields["once"] = read.about, read.at_once, read.once
            fields["timeout_secs"] = None if read.timeout is None else float(read.timeout)
        if (retry := value.get("retry")) is not None:
            fields["retry"] = read_retry(retry, failing.condition(), context)
            if fields.get("once"):
                report.error(retry, "once means at most once: drop one of them, once or retry")
        at_once = value.entry("at_once")
        if at_once is not None and each is None:
            report.error(at_once.key, "at_once needs each beside it")
        fields["on_error"] = self._on_error(value.get("on_error"), path, failing)
        if (output := value.get("output")) is not None:
            inside_names = own.after(self.ids.inside(path))
            fields["output"] = self.output(output, inside_names)
        if (undo := value.get("undo")) is not None:
            before, self.closing = self.closing, True
            fields["undo"], _ = self.steps(
                undo, f"{path}.undo", failing.after(self.ids.inside(path))
            )
            self.closing = before
        return fields, item_names

    def _each(self, value: MapValue, names: Names) -> tuple[Template | None, str, Names]:
        each, name = value.get("each"), "item"
        if each is None:
            return None, name, names
        report, scope = self.context.report, names.condition()
        if isinstance(each, MapValue):
            if len(each.entries) != 1:
                report.error(each, "each names one thing: each: {order: event.body.orders}")
                return Template([]), name, names.with_more("item", "index")
            name = self.context.identifier(each.entries[0].key, "names") or name
            each = each.entries[0].value
        elif "item" in names.more and _uses_item(value):
            report.warning(
                each, "item is the inner loop's here; name the outer: each: {repo: vars.repos}"
            )
        if isinstance(each, ListValue):
            walk = Walk(report, scope)
            listed = walk.template(walk.walk(each, msgspec.inspect.AnyType(), Meta("each")))
        else:
            listed = self.expression_template(each, names)
        return listed, name, names.with_more(name, "index")

    def expression_template(self, value: Value, names: Names) -> Template:
        """A bare expression as a template that keeps its type."""
        walk = Walk(self.context.report, names.condition())
        form = Meta("an expression", "expression")
        if isinstance(value, Scalar) and value.text.strip():
            return walk.template(walk.walk(value, msgspec.inspect.StrType(), form))
        texts.expression(value, names.condition(), self.context.report)
        return Template(None)

    def output(self, value: Value, names: Names) -> Template:
        """`output`: an expression, or a map that is a template."""
        if not isinstance(value, MapValue):
            return self.expression_template(value, names)
        walk = Walk(self.context.report, names.condition())
        return walk.template(walk.walk(value, msgspec.inspect.AnyType(), Meta("output")))

    def _on_error(
        self, value: Value | None, path: str, names: Names
    ) -> Literal["fail", "continue"] | tuple[AnyStep, ...]:
        if value is None:
            return "fail"
        if isinstance(value, ListValue):
            return self.steps(value, f"{path}.on_error", names)[0]
        report = self.context.report
        if isinstance(value, Scalar) and value.text in ("fail", "continue"):
            return "continue" if value.text == "continue" else "fail"
        guess = ON_ERROR_WORDS.get(value.text) if isinstance(value, Scalar) else None
        if guess:
            report.error(value, f"on_error: {guess}", repaired=report.with_text(value.at, guess))
        else:
            report.error(value, "on_error is continue, or a list of steps that rescue")
        return "fail"

    def _action(
        self, word: Entry, path: str, names: Names, engine: dict[str, Any]
    ) -> tuple[ActionStep | None, set[str]]:
        context, name = self.context, word.key.text
        catalog = context.loading.catalog
        spec = catalog.find("action", name)
        if spec is None:
            context.later(word.key, name, catalog.words("action"))
            return None, set()
        made: set[str] = set()
        strict: frozenset[str] = frozenset()
        authored: frozenset[str] = frozenset()
        if name == "set":
            template = read_set(word.value, names, context)
        elif name == "vars":
            template, made = read_vars(word.value, names, context)
            self._judge_vars(template, made)
        else:
            deferred = names.with_more("item", "index") if name in _ELEMENT_WORDS else names
            beside = Beside("action", STEP_KEYS, word)
            written = read_config(
                word.value,
                spec,
                context,
                names.input(),
                deferred=deferred.condition(),
                beside=beside,
            )
            template = written.template
            strict = marked_fields(spec, "strict", written.data)
            authored = marked_fields(spec, "authored", written.data)
            if name == "http":
                for field in authored:
                    self._note_host(word.value, field, names)
        fields = {**engine, **self._limits(spec, engine)}
        step = ActionStep(action=name, config=template, strict=strict, authored=authored, **fields)
        return step, made

    def _limits(self, spec: Spec, engine: dict[str, Any]) -> dict[str, Any]:
        limits: dict[str, Any] = {}
        if engine.get("retry") is None and not engine.get("once"):
            limits["retry"] = self.limits.retry
        if limits.get("retry", engine.get("retry")) == OFF:
            limits["retry"] = None
        if engine.get("timeout_secs") is None and spec.run is not None:
            own = spec.timeout_secs or ACTION_TIMEOUT_SECS
            limits["timeout_secs"] = self.limits.timeout_secs or own
            if self.closing:
                limits["timeout_secs"] = min(limits["timeout_secs"], CLOSING_TIMEOUT_SECS)
        return limits

    def _note_host(self, config: Value, field: str, names: Names) -> None:
        text = config.get(field) if isinstance(config, MapValue) else None
        if not isinstance(text, Scalar) or not _HOST_COMPUTED.match(text.text):
            return
        host = texts.template(text, names.input(), self.context.report).expressions[:1]
        if any(each.roots & DATA_ROOTS for each in host):
            message = "the host comes from the event: public addresses only"
            self.context.report.note(text, message)

    def _judge_vars(self, template: Template, made: set[str]) -> None:
        secret, tainted = judge_vars(template, self.secret_vars, self.tainted_vars)
        if secret:
            self.secret_vars |= made
        if tainted:
            self.tainted_vars |= made


def judge_vars(
    template: Template, secret_vars: set[str], tainted_vars: set[str]
) -> tuple[bool, bool]:
    """Whether a value holds a secret, and whether data from outside takes part in it."""
    read = {path[1] for path in template.paths if path[0] == "vars" and len(path) > 1}
    whole = ("vars",) in template.paths
    secret = (
        "secrets" in template.roots or bool(read & secret_vars) or (whole and bool(secret_vars))
    )
    tainted = bool(template.roots & DATA_ROOTS) or bool(read & tainted_vars) or whole
    return secret, tainted


def _uses_item(value: Value) -> bool:
    if isinstance(value, Scalar):
        return "item" in value.text
    if isinstance(value, ListValue):
        return any(map(_uses_item, value.items))
    return any(_uses_item(entry.value) for entry in value.entries if entry.key.text != "each")
