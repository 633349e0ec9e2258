"""The command that says what a flow would do with an event."""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from reactor.cli.command import command, value_of
from reactor.cli.options import chosen
from reactor.cli.output import one_line, paint, print_json, say
from reactor.clock import SystemClock
from reactor.errors import InvalidFlow, NotFound, UsageError
from reactor.ids import parse_id
from reactor.logs import silenced
from reactor.units import format_duration

_MARKS = {"ok": "✓", "failed": "✗", "cancelled": "✗", "skipped": "-"}
_LONGEST = 2000


@command(
    "try",
    'reactor try hello --event \'{"body": {"name": "Ada"}}\'',
    "reactor try hello --event request.json",
    "reactor try hello --event evt_01hq3kz7e9d4x",
)
@click.argument("flow")
@click.option("--event", "event_", metavar="EVENT", default="{}",
              help="JSON, a file, - for stdin, or the id of a stored event.")  # fmt: skip
@click.option("--trigger", metavar="ID", help="The trigger that it comes to.")
@click.option("--mock", "mocks", multiple=True, metavar="STEP=JSON",
              help="What a step gives; without it, an example is made up.")  # fmt: skip
def try_(flow: str, event_: str, trigger: str | None, mocks: tuple[str, ...]) -> None:
    """Say what FLOW would do with an event. Nothing outside is touched.

    The event has the fields of its trigger, such as {"body": …} for http, and data for all; a map
    without body and data is the data itself. Waits for a time pass at once.
    """
    from reactor.cli.reading import read_flow, read_loading
    from reactor.testing.trying import Attempt, walk

    found, loading = read_flow(flow), read_loading()
    received, instance = _event(event_)
    chosen_ = _trigger(found, trigger, instance)
    now_ms = SystemClock().now_ms()
    attempt = Attempt(
        flow=found,
        trigger=chosen_,
        received=received if instance else _received(chosen_.source, received),
        now_ms=now_ms,
        state=_state(now_ms),
        answers=dict(_mock(found, loading.catalog, each) for each in mocks),
    )
    with silenced():  # how the flow fails is in what is printed
        tried = asyncio.run(walk(attempt, loading))
    if chosen().json:
        print_json(_as_json(attempt, tried))
    else:
        _print(_as_json(attempt, tried), format_duration((tried.ended_ms - now_ms) / 1000))


def _event(text: str) -> tuple[Any, str]:
    """The event and, of a stored one, the subscription that it came from."""
    if text.startswith("evt_") and not Path(text).exists():
        from reactor.model.event import Received
        from reactor.store.looking import look

        with look(chosen().state) as stored:
            event = asyncio.run(stored.history.event(parse_id(text, "evt")))
        if event is None:
            raise NotFound(f"no event {text} is kept: it was never stored, or its time is over")
        received = Received(
            data=event.data,
            fields=event.fields,
            type=event.type,
            key=event.key,
            time_ms=event.time_ms,
        )
        return received, event.instance
    if text == "-":
        return value_of(sys.stdin.read(), "--event"), ""
    if text.lstrip().startswith(("{", "[", '"')):
        return value_of(text, "--event"), ""
    try:
        return value_of(Path(text).read_text(encoding="utf-8"), f"--event {text}"), ""
    except FileNotFoundError:
        raise NotFound(f"--event: there is no file {text}, and it is no JSON") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--event {text} cannot be read: {error}") from error


def _received(source: str, written: Any) -> Any:
    from reactor.testing.happening import received_of

    fields = written if isinstance(written, dict) and {"data", "body"} & set(written) else None
    if fields is None and source == "event" and isinstance(written, dict) and "type" in written:
        fields = written
    return received_of(source, fields if fields is not None else {"data": written or None})


def _trigger(flow: Any, name: str | None, instance: str) -> Any:
    triggers = {each.id: each for each in flow.triggers}
    if name is not None:
        if name not in triggers:
            have = ", ".join(triggers)
            raise NotFound(f"flow {flow.name!r} has no trigger {name!r}: it has {have}")
        return triggers[name]
    heard = [each for each in flow.triggers if instance in ("", each.instance)]
    if not heard:
        raise UsageError(f"flow {flow.name!r} does not hear this event: --trigger lets it try")
    if len(heard) > 1:
        names = ", ".join(each.id for each in heard)
        raise UsageError(f"flow {flow.name!r} has several triggers: --trigger {names}")
    return heard[0]


def _state(now_ms: int) -> list[Any]:
    """What is stored as `state` now; nothing where there is no store yet."""
    from reactor.store.looking import look

    try:
        with look(chosen().state) as stored:
            return asyncio.run(stored.state_values(now_ms))
    except NotFound:
        return []


def _mock(flow: Any, catalog: Any, text: str) -> tuple[str, Any]:
    from reactor.loading.flowtests import Mock, mock_of, mockable

    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--mock {text!r}: give STEP=JSON")
    steps = mockable(flow, catalog)
    if name not in steps:
        have = ", ".join(steps) or "none"
        raise NotFound(f"flow {flow.name!r} has no step {name!r} to mock: {have}")
    given = value_of(value, f"--mock {name}")
    if isinstance(given, dict) and given and given.keys() <= {"output", "fails"}:
        try:
            return steps[name].id, (mock_of(given),)
        except InvalidFlow as error:
            raise UsageError(f"--mock {name}: {error}") from error
    return steps[name].id, (Mock(output=given),)


# ---- what is said


def _as_json(attempt: Any, tried: Any) -> dict[str, Any]:
    from reactor.model.flow import steps_of

    words = {step.id: getattr(step, "action", None) for step in steps_of(attempt.flow)}
    decision = tried.decisions[0] if tried.decisions else None
    return {
        "flow": attempt.flow.name,
        "trigger": attempt.trigger.id,
        "decision": "started" if decision is None else decision.decision,
        "reason": None if decision is None else decision.reason,
        "conditions": _conditions(tried.asked),
        "executions": [
            {
                "state": run.told.state,
                **{key: _plain(run.told.facts[key]) for key in ("error", "output", "reply")},
                "steps": [
                    {
                        "id": id_,
                        "action": words.get(id_),
                        **{key: _plain(step[key]) for key in _STEP_KEYS},
                        "made_up": id_ in tried.made_up,
                        "conditions": _conditions(run.asked.get(id_, ())),
                    }
                    for id_, step in run.told.steps.items()
                ],
            }
            for run in tried.runs
        ],
    }


_STEP_KEYS = ("status", "attempts", "input", "output", "error")


def _conditions(asked: Iterable[Any]) -> list[dict[str, Any]]:
    return [
        {
            "word": each.word,
            "text": each.text,
            "holds": each.holds,
            "parts": [{"text": text, "value": _plain(value)} for text, value in each.parts],
        }
        for each in asked
    ]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=_text))


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _print(tried: Mapping[str, Any], passed: str) -> None:
    name = click.style(tried["flow"], bold=True)
    reason = f": {tried['reason']}" if tried["reason"] else ""
    say(f"{name} ({tried['trigger']})  {paint(tried['decision'])}{one_line(reason)}")
    _print_conditions(tried["conditions"], "  ")
    for run in tried["executions"]:
        after = "" if passed == "0s" else f", {passed} later"
        say(f"\nexecution  {paint(run['state'])}{after}")
        if run["error"]:
            say(f"  error    {one_line(run['error']['message'])}")
        for key in ("reply", "output"):
            if run[key] is not None:
                say(f"  {key:<7}  {_cut(run[key])}")
        for step in run["steps"]:
            _print_step(step)


def _print_step(step: Mapping[str, Any]) -> None:
    mark = _MARKS.get(step["status"], "…")
    word = f"  {step['action']}" if step["action"] and step["action"] != step["id"] else ""
    more = f"  {step['attempts']} attempts" if step["attempts"] > 1 else ""
    head = f"{mark} {click.style(step['id'], bold=True)}{word}"
    say(f"\n  {head}  {paint(step['status'])}{more}")
    _print_conditions(step["conditions"], "      ")
    if step["input"] is not None:
        say(f"      input   {_cut(step['input'])}")
    if step["made_up"]:
        say(f"      output  {_cut(step['output'])} (made up: --mock {step['id']}=JSON)")
    elif step["output"] is not None and step["output"] != step["input"]:
        say(f"      output  {_cut(step['output'])}")
    if step["error"]:
        say(f"      error   {one_line(step['error']['message'])}")


def _print_conditions(conditions: Iterable[Mapping[str, Any]], indent: str) -> None:
    for each in conditions:
        holds = {True: "true", False: "false", None: "error"}[each["holds"]]
        say(f"{indent}{each['word']}  {one_line(each['text'])}  = {holds}")
        for part in each["parts"]:
            if part["text"] == each["text"] and isinstance(part["value"], bool):
                continue
            say(f"{indent}    {one_line(part['text'])}  = {_cut(part['value'])}")


def _cut(value: Any) -> str:
    text = one_line(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (--json shows it all)"
