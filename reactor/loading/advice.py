"""What is allowed and probably not meant: warnings and notes about one flow."""

import re

from reactor.loading.report import Report
from reactor.loading.values import ListValue, MapValue, Scalar, Value
from reactor.model.flow import AnyStep, Flow, WaitStep, inside
from reactor.units import format_duration

_KEYLESS = {
    "restart": "any event cancels the running one",
    "single": "while one runs, every other event is skipped",
    "queue": "all events wait in one line",
    "latest": "any event replaces the waiting one",
}
_HOLDING = frozenset({"debounce", "batch", "window"})
# The beginnings of well-known tokens, private keys, and passwords inside URLs.
_SECRET = re.compile(
    r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|sk_live_\w{10,}|rk_live_\w{10,}|whsec_[\w+/=]{16,}|AIza[\w-]{30,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
    r"|hooks\.slack\.com/services/T\w+/B\w+/\w+|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|://[^/\s:@$]+:[^/\s@$]{3,}@"
)


def advise(flow: Flow, value: MapValue, report: Report) -> None:
    """Add warnings and notes about a flow that loads."""
    _literal_secrets(value, report)
    _shared_without_key(flow, value, report)
    _conditions_after_gates(flow, value, report)
    _timeout_shorter_than_inside(flow, value, report)
    _on_error_of_the_last_step(flow, value, report)


def _literal_secrets(value: Value, report: Report) -> None:
    if isinstance(value, Scalar):
        if isinstance(value.value, str) and _SECRET.search(value.value):
            report.warning(
                value,
                "this looks like a secret: put it into a file of the secrets folder and write "
                "${{ secrets.NAME }}",
            )
        return
    parts = value.items if isinstance(value, ListValue) else [e.value for e in value.entries]
    for part in parts:
        _literal_secrets(part, report)


def _shared_without_key(flow: Flow, value: MapValue, report: Report) -> None:
    mode = flow.run.mode
    run = value.entry("run")
    if mode == "parallel" or run is None or flow.run.key is not None:
        return
    if any(trigger.key is not None for trigger in flow.triggers):
        return
    message = f"{_KEYLESS[mode]}: add key: event.… to the trigger, or run: {{mode: {mode}, key: …}}"
    report.note(run.key, message)


def _conditions_after_gates(flow: Flow, value: MapValue, report: Report) -> None:
    words = {word for t in flow.triggers if t.gates is not None for word, _ in t.gates.chain}
    held = words & _HOLDING
    entry = value.entry("only_if") or value.entry("unless")
    if not held or entry is None:
        return
    if all(condition.roots <= {"event"} for condition in (*flow.only_if, *flow.unless)):
        gate = min(held)
        report.warning(
            entry.key,
            f"{entry.key.text} of the flow is asked after {gate}: what is about single events "
            "belongs on the trigger",
        )


def _timeout_shorter_than_inside(flow: Flow, value: MapValue, report: Report) -> None:
    limit, run = flow.run.timeout_secs, value.entry("run")
    if limit is None or run is None:
        return
    for step in every_step(flow.do):
        name, longest = "retry", None if step.retry is None else step.retry.within_secs
        if isinstance(step, WaitStep):
            name, longest = "wait", step.timeout_secs
        if longest is not None and longest > limit:
            message = (
                f"run.timeout {format_duration(limit)} ends the flow before {name} of step "
                f"'{step.id}' ({format_duration(longest)}) can"
            )
            report.warning(run.value, message)


def _on_error_of_the_last_step(flow: Flow, value: MapValue, report: Report) -> None:
    steps = value.get("do")
    if flow.on_error or not isinstance(steps, ListValue) or len(steps.items) < 2:
        return
    last = steps.items[-1]
    entry = last.entry("on_error") if isinstance(last, MapValue) else None
    if entry is not None and isinstance(entry.value, ListValue) and not _others_rescue(flow):
        report.note(entry.key, f"on_error of step '{flow.do[-1].id}' only, not of the flow")


def _others_rescue(flow: Flow) -> bool:
    # An author who wrote on_error on other steps too knows where it belongs.
    return any(step.on_error != "fail" for step in flow.do[:-1])


def every_step(steps: tuple[AnyStep, ...]) -> list[AnyStep]:
    """The steps and all steps inside them."""
    found: list[AnyStep] = []
    for step in steps:
        found += [step, *every_step(tuple(inside(step)))]
    return found
