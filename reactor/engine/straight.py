"""Flows that only compute: walked whole in the commit of their event, without a machine.

A flow goes straight if its steps are the engine's own words, one after the other, with nothing to
wait for and no secrets. What it leaves is the journal that the machine would write. Where it meets
an error it stops, and the machine goes on from that journal, as it does after a crash: so there is
one place that knows what errors lead to.
"""

from functools import partial
from typing import Any

from msgspec import Struct

from reactor.engine.judging import reads_state, wanted
from reactor.engine.state import detached
from reactor.engine.words import DEFERRED, WORDS, Stage, Stopped, Word, shown_of
from reactor.errors import ActionFailed, EvaluationError
from reactor.expr.template import Path, Strict, Template
from reactor.model.execution import Entry
from reactor.model.flow import ActionStep, AnyStep, Flow


class Own(Struct, frozen=True, gc=False):
    """One step, with what is asked of it at each event found out before."""

    step: ActionStep
    id: str
    path: str
    word: Word
    config: Template
    strict: Strict
    conditional: bool
    shared: bool  # whether it reads `state`, whose values change in place


class Straight:
    """The steps of one flow; `about_itself` says whether anything in it reads `execution`."""

    __slots__ = ("_flow", "_output", "_steps", "about_itself")

    def __init__(self, flow: Flow, steps: tuple[ActionStep, ...]) -> None:
        self._flow = flow
        self._output = flow.output
        self._steps = tuple(_own(step) for step in steps)
        roots = {root for template in _templates(flow, steps) for root in template.roots}
        conditions = [one for step in steps for one in (*step.only_if, *step.unless)]
        roots |= {root for condition in conditions for root in condition.roots}
        self.about_itself = "execution" in roots

    def walk(
        self, names: dict[str, Any], stage: Stage, now_ms: int
    ) -> tuple[list[Entry], bool, Any]:
        """Its journal, whether that goes to the end, and then the flow's output."""
        journal: list[Entry] = []
        try:
            if self._flow.vars:
                journal.append(Entry("", "vars", self._vars(names)))
            for own in self._steps:
                if self._do(own, names, journal, stage, now_ms):
                    break
            output = None
            if self._output is not None:
                output = _rendered(self._output, names)
                journal.append(Entry("", "output", output))
        except (EvaluationError, ActionFailed):
            return journal, False, None
        return journal, True, output

    def _vars(self, names: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        names["vars"] = values
        for name, template in self._flow.vars:
            values[name] = _rendered(template, names)
        return dict(values)

    def _do(
        self,
        own: Own,
        names: dict[str, Any],
        journal: list[Entry],
        stage: Stage,
        now_ms: int,
    ) -> bool:
        """Do one step; whether the flow stops here."""
        step, results = own.step, names["steps"]
        if own.conditional and not wanted(step, names):
            result = {"output": None, "status": "skipped", "error": None, "attempts": 0}
            results[own.id] = result
            times = {"started": now_ms, "finished": now_ms, "input": None}
            journal.append(Entry(own.path, "done", {**result, **times}))
            return False
        config = own.config.render(names, strict=own.strict)
        if own.shared:
            config = detached(config)
        output = own.word(config, names, own.path, stage, now_ms)
        action = step.action
        stops = action == "stop"
        if stops and isinstance(output, Stopped):
            output = output.reason
        elif action in DEFERRED:
            config = shown_of(config, output)
        elif action == "vars":
            names["vars"] = {**names["vars"], **config}
        elif action == "reply":
            output = config
            if all(entry.kind != "reply" for entry in journal):  # the first one counts
                journal.append(Entry("", "reply", output))
        if step.output is not None and not stops:
            raw = {"output": output, "status": "ok", "error": None, "attempts": 1}
            results[own.id] = raw
            output = _rendered(step.output, names)
        results[own.id] = {"output": output, "status": "ok", "error": None, "attempts": 1}
        done = {
            "output": output,
            "status": "ok",
            "error": None,
            "attempts": 1,
            "started": now_ms,
            "finished": now_ms,
            "input": config,
        }
        journal.append(Entry(own.path, "done", done))
        return stops


def straight_of(flow: Flow) -> Straight | None:
    """The flow as one that goes straight, or None if it may have to wait or to hide something."""
    if flow.finally_ or flow.secret_vars:
        return None
    steps: list[ActionStep] = []
    has_set = False
    for step in flow.do:
        if not _is_plain(step) or (has_set and reads_state(step)):
            return None
        assert isinstance(step, ActionStep)  # noqa: S101 - as `_is_plain` found
        has_set = has_set or step.action == "set"
        steps.append(step)
    if any("secrets" in template.roots for template in _templates(flow, tuple(steps))):
        return None
    return Straight(flow, tuple(steps))


def _is_plain(step: AnyStep) -> bool:
    return (
        isinstance(step, ActionStep)
        and step.action in WORDS
        and step.each is None
        and not step.undo
    )


def _templates(flow: Flow, steps: tuple[ActionStep, ...]) -> list[Template]:
    found = [template for _, template in flow.vars]
    for step in steps:
        found += [one for one in (step.config, step.output) if one is not None]
    return found if flow.output is None else [*found, flow.output]


def _own(step: ActionStep) -> Own:
    return Own(
        step,
        step.id,
        step.path,
        WORDS[step.action],
        step.config,
        partial(_is_strict, step.strict) if step.strict else False,
        bool(step.only_if or step.unless),
        "state" in step.config.roots,
    )


def _is_strict(names: frozenset[str], at: Path) -> bool:
    return at[0] in names


def _rendered(template: Template, names: dict[str, Any]) -> Any:
    value = template.render(names)
    return detached(value) if "state" in template.roots else value
