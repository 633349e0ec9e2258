"""What happened in a world, told as plain data: executions, their steps, what they emitted."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, to_builtins

from reactor.model.execution import Entry
from reactor.model.flow import ActionStep, AnyStep, Flow, steps_of
from reactor.store import Open

_ROUND = re.compile("[@~]")
_NUMBER = re.compile("[0-9]+")
_LAST_ROUND = re.compile("(~[0-9]+)?@[0-9]+$")
_NOTHING = {"status": "none", "attempts": 0, "times": [], "input": None}
_NOTHING |= {"output": None, "error": None, "rounds": 0}


class Told(Struct, frozen=True):
    """One execution: how it stands, its steps by id, what it gave."""

    opened: Open
    facts: Mapping[str, Any]
    steps: Mapping[str, Mapping[str, Any]]

    @property
    def state(self) -> str:
        """Its state as a word."""
        return self.opened.execution.state.word


def told(opened: Open, flow: Flow) -> Told:
    """The story of one execution of a flow."""
    row = opened.execution
    given = {entry.kind: entry.value for entry in opened.journal if entry.path == ""}
    reply = given.get("reply")
    facts = {
        "execution": row.state.word,
        "reason": row.reason,
        "error": None if row.error is None else to_builtins(row.error, builtin_types=(bytes,)),
        "output": given.get("output"),
        "reply": None if reply is None else {"status": 200, **reply},
    }
    steps: dict[str, Mapping[str, Any]] = {}
    by_path: dict[str, list[Entry]] = {}
    for entry in opened.journal:
        by_path.setdefault(base(entry.path), []).append(entry)
    known = {step.path: step for step in steps_of(flow)}
    for path, entries in by_path.items():
        if (step := known.get(path)) is not None:
            steps["dead_letter" if path == "dead_letter" else step.id] = _step(step, entries)
    return Told(opened, facts, steps)


def emitted(stories: Iterable[Told], flow: Flow) -> list[Any]:
    """What the emit steps of all executions emitted, in order of time."""
    words = {
        step.path
        for step in steps_of(flow)
        if isinstance(step, ActionStep) and step.action == "emit"
    }
    found = [
        (entry.value["started"], entry.value["input"])
        for story in stories
        for entry in story.opened.journal
        if entry.kind == "done" and base(entry.path) in words and entry.value["status"] == "ok"
        if entry.value["input"] is not None
    ]
    return [given for _, given in sorted(found, key=lambda pair: pair[0])]


def undone(stories: Iterable[Told], flow: Flow) -> list[str]:
    """The steps whose undo ran, in the order in which it did."""
    ids = {step.path: step.id for step in steps_of(flow)}
    found: dict[str, None] = {}
    for story in stories:
        for entry in story.opened.journal:
            owner, undo, _ = base(entry.path).rpartition(".undo.")
            if undo and entry.kind == "done" and entry.value["status"] != "skipped":
                found[ids.get(owner, owner)] = None
    return list(found)


def not_reached() -> dict[str, Any]:
    """What is said of a step that did not begin."""
    return dict(_NOTHING)


def base(path: str) -> str:
    """The path of a step in the flow, without the rounds and attempts of what is around it."""
    return _ROUND.split(path, maxsplit=1)[0]


def _step(step: AnyStep, entries: list[Entry]) -> dict[str, Any]:
    # A step with `each` ends after its items, and stands for all of them.
    rounds = entries if step.each is None else _of_items(entries)
    done = [entry for entry in entries if entry.kind == "done"]
    times = _times(rounds)
    result: dict[str, Any] = {**_NOTHING, "path": step.path, "status": "waiting", "times": times}
    did = [entry for entry in rounds if entry.kind == "done"]
    result["rounds"] = sum(entry.value["status"] != "skipped" for entry in did)
    if done:
        result |= done[-1].value
    else:
        ready = (entry.value["input"] for entry in entries if entry.kind == "ready")
        result |= {"input": next(ready, None), "attempts": len(times)}
    if step.each is not None:
        in_order = sorted(did, key=lambda entry: [int(n) for n in _NUMBER.findall(entry.path)])
        result["input"] = [entry.value["input"] for entry in in_order]
    return result


def _of_items(entries: list[Entry]) -> list[Entry]:
    paths = {entry.path for entry in entries}
    return [entry for entry in entries if _LAST_ROUND.sub("", entry.path) in paths - {entry.path}]


def _times(entries: Iterable[Entry]) -> list[int]:
    """When each attempt began, in milliseconds."""
    ready = {entry.path for entry in entries if entry.kind == "ready"}
    times = []
    for entry in entries:
        if entry.kind == "ready":
            times.append(entry.value["at"])
        elif entry.kind == "attempt":
            times.append(entry.value["due"])
        elif entry.kind == "done" and entry.path not in ready:
            # The engine's own words have no entry of their beginning.
            times += [] if entry.value["status"] == "skipped" else [entry.value["started"]]
    return sorted(times)
