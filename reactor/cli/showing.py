"""One execution and one event's decisions, for people."""

import json
from datetime import datetime
from typing import Any

import click

from reactor.cli.output import coloured, one_line, paint, print_fields, say, when

_MARKS = {"ok": "✓", "failed": "✗", "cancelled": "✗", "skipped": "-"}
_LONGEST = 2000


def print_run(run: dict[str, Any]) -> None:
    """An execution with its steps."""
    print_fields(
        [
            ("execution", run["execution"]),
            ("flow", run["flow"]),
            ("event", run["event"]),
            ("state", run["state"]),
            ("reason", run["reason"]),
            ("created", when(run["created"])),
            ("started", when(run["started"])),
            ("finished", when(run["finished"])),
            ("took", took(run["started"], run["finished"])),
            ("retry of", run["retry_of"]),
            ("error", _error(run["error"])),
        ]
    )
    for step in run["steps"]:
        _print_step(step)


def print_why(answer: dict[str, Any]) -> None:
    """An event with what each flow decided."""
    print_fields([("event", answer["event"]), ("received", when(answer["received"]))])
    if not answer["decisions"]:
        say("no flow has a trigger for it")
    for decision in answer["decisions"]:
        _print_decision(decision)


def took(started: str | None, finished: str | None) -> str:
    """How long something lasted: `350ms`, `2.4s`, `3m10s`."""
    if started is None or finished is None:
        return ""
    secs = (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
    if secs < 1:
        return f"{secs * 1000:.0f}ms"
    if secs < 60:
        return f"{secs:.3g}s"
    minutes, rest = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m" if hours else f"{minutes}m{rest}s"


def _print_step(step: dict[str, Any]) -> None:
    mark = _MARKS.get(step["status"], "…")
    facts = [paint(step["status"])]
    if step["attempts"] > 1:
        facts.append(f"{step['attempts']} attempts")
    facts.append(took(step["started"], step["finished"]))
    say(f"\n{mark} {click.style(step['id'], bold=True)}  {'  '.join(filter(None, facts))}")
    _print_value("input", step["input"])
    _print_value("output", step["output"])
    _print_value("error", _error(step["error"]))


def _print_decision(decision: dict[str, Any]) -> None:
    trigger = f" ({decision['trigger']})" if decision["trigger"] else ""
    what = f"{paint(decision['decision'])}"
    reason = f": {decision['reason']}" if decision["reason"] else ""
    say(f"\n{click.style(decision['flow'], bold=True)}{trigger}  {what}{one_line(reason)}")
    if decision["execution"]:
        say(f"    execution  {decision['execution']}")
    detail = decision["detail"] or []
    if isinstance(detail, str):
        say(f"    {one_line(detail)}")
        return
    width = max((len(part["text"]) for part in detail), default=0)
    for part in detail:
        value = json.dumps(part["value"], ensure_ascii=False)
        say(f"    {one_line(part['text']):<{width}}  = {_cut(value)}")


def _print_value(name: str, value: Any) -> None:
    if value is None:
        return
    text = _cut(one_line(value))
    click.echo(f"    {name:<6}  {text}", color=coloured())


def _error(error: dict[str, Any] | None) -> str | None:
    if error is None:
        return None
    where = f"step {error['step']}: " if error["step"] else ""
    status = f" {error['status']}" if error["status"] is not None else ""
    return f"{where}{error['message']} ({error['kind']}{status})"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (--json shows it all)"
