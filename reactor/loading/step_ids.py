"""Which step is called what: every step of a flow by its path, before any of them is read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reactor.loading.context import Context
from reactor.loading.values import Entry, ListValue, MapValue, Value
from reactor.loading.words import StepWords
from reactor.plugin.fields import names_of

STEP_KEYS = names_of(StepWords)
# Control words, each with the keys that stand beside it.
CONTROL_KEYS: dict[str, tuple[str, ...]] = {
    "do": (),
    "parallel": ("join",),
    "choose": (),
    "repeat": (),
    "wait": (),
    "call": ("with", "detach"),
}
MAX_STEPS = 500
FLOW_LISTS = ("do", "on_error", "finally")


def nested(step: MapValue, path: str) -> Iterator[tuple[str, Value]]:
    """The lists of steps inside a step, each with the path that its steps begin with."""
    if (group := step.get("do")) is not None:
        yield f"{path}.do", group
    if isinstance(branches := step.get("parallel"), MapValue):
        for entry in branches.entries:
            yield f"{path}.{entry.key.text}", entry.value
    if isinstance(choices := step.get("choose"), ListValue):
        for index, choice in enumerate(choices.items):
            if isinstance(choice, MapValue) and (steps := choice.get("do")) is not None:
                yield f"{path}.{index}", steps
    for word, key in (("repeat", "do"), ("wait", "notify")):
        if isinstance(inner := step.get(word), MapValue) and (steps := inner.get(key)) is not None:
            yield f"{path}.{key}", steps
    for key in ("on_error", "undo"):
        if isinstance(steps := step.get(key), ListValue):
            yield f"{path}.{key}", steps


class StepIds:
    """The ids of all steps of a flow."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = ids
        self._inside: dict[str, list[str]] = defaultdict(list)
        for path, name in ids.items():
            parts = path.split(".")
            for length in range(1, len(parts)):
                self._inside[".".join(parts[:length])].append(name)

    def __getitem__(self, path: str) -> str:
        return self._ids[path]

    def all(self) -> Iterable[str]:
        """Every id."""
        return self._ids.values()

    def inside(self, path: str) -> list[str]:
        """The ids of all steps below a path."""
        return self._inside.get(path, [])


def step_ids(flow: MapValue, context: Context) -> StepIds:
    """The id of each step by its path; written ones first, so that others make way."""
    found: list[tuple[str, MapValue]] = []
    for key in FLOW_LISTS:
        if (steps := flow.get(key)) is not None:
            found += _all(steps, key)
    if isinstance(dead_letter := flow.get("dead_letter"), MapValue):
        found.append(("dead_letter", dead_letter))
    if len(found) > MAX_STEPS:
        over = found[MAX_STEPS][1]
        context.report.error(over, f"a flow has at most {MAX_STEPS} steps: split it with call")
    ids: dict[str, str] = {}
    taken: dict[str, int] = {}
    for path, step in found:
        entry = step.entry("id")
        if entry is not None and (name := context.identifier(entry.value, "ids")) is not None:
            if name in taken:
                message = f"two steps are called '{name}', the first on line {taken[name]}"
                context.report.error(entry.value, message)
            taken.setdefault(name, entry.key.at.line)
            ids[path] = name
    numbers: dict[str, int] = {}
    for path, step in found:
        if path not in ids:
            name = base = "dead_letter" if path == "dead_letter" else _default(step)
            while name in taken:
                numbers[base] = numbers.get(base, 1) + 1
                name = f"{base}_{numbers[base]}"
            taken[name] = step.at.line
            ids[path] = name
    return StepIds(ids)


def action_entries(step: MapValue) -> list[Entry]:
    """The entries of a step that are not the engine's: its action, and what is unknown."""
    beside = {key for each in step.entries for key in CONTROL_KEYS.get(each.key.text, ())}
    return [
        entry
        for entry in step.entries
        if entry.key.text not in STEP_KEYS and entry.key.text not in beside
    ]


def _all(steps: Value, path: str) -> Iterator[tuple[str, MapValue]]:
    if not isinstance(steps, ListValue):
        return
    for index, step in enumerate(steps.items):
        if isinstance(step, MapValue):
            here = f"{path}.{index}"
            yield here, step
            for inner_path, inner in nested(step, here):
                yield from _all(inner, inner_path)


def _default(step: MapValue) -> str:
    words = action_entries(step)
    control = next((each.key.text for each in words if each.key.text in CONTROL_KEYS), None)
    word = control or (words[0].key.text if words else "step")
    return word.replace(".", "_").replace("-", "_")


def written_step(document: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """A step as its document has it, found by its path."""
    step: Any = document
    parts = iter(path.split("."))
    for name in parts:
        if name == "dead_letter":
            return document[name]  # type: ignore[no-any-return]
        index = int(next(parts))
        step = _written_list(step, name)[index]
    return step  # type: ignore[no-any-return]


def _written_list(step: Mapping[str, Any], name: str) -> list[Any]:
    found: Any
    if name.isdigit():
        found = step["choose"][int(name)]["do"]
    elif name in step:
        found = step[name]
    elif name == "do":
        found = step["repeat"]["do"]
    elif name == "notify":
        found = step["wait"]["notify"]
    else:
        found = step["parallel"][name]
    return found  # type: ignore[no-any-return]
