"""Stored events run through a flow as it is now, without side effects: what would come out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from reactor.ids import id_text
from reactor.loading.context import Loading
from reactor.loading.flowtests import Mock
from reactor.model.event import Event, Receipt, Received
from reactor.model.flow import Flow
from reactor.plugin.context import ActionContext
from reactor.plugin.spec import Spec
from reactor.store import StateValue
from reactor.testing.compare import shown
from reactor.testing.happening import offer, remember
from reactor.testing.mocks import made_up
from reactor.testing.past import Past
from reactor.testing.rehearsal import rehearsal, rehearsed
from reactor.testing.story import Told, told
from reactor.testing.world import World
from reactor.web.admin.wire import Decision

_LONGEST_MS = 400 * 86_400_000
_STEP_KEYS = ("status", "input", "output", "error")


class Replayed(Struct, frozen=True):
    """An event, what became of it then, and what would now; `changes` says it in lines."""

    before: Past
    decision: str | None
    reason: str | None
    stories: tuple[Told, ...]
    made_up: tuple[str, ...]
    changes: tuple[str, ...]


async def replay(
    flow: Flow,
    events: Sequence[Past],
    loading: Loading,
    *,
    state: Sequence[StateValue] = (),
    env: Mapping[str, str] | None = None,
) -> list[Replayed]:
    """Every event in turn, at its own time. Steps give what they gave then, else an example."""
    if not events:
        return []
    first_ms = min(one.event.received_ms for one in events)
    recorded = _Recorded()
    trial = rehearsed(flow)
    world = rehearsal(trial, loading, recorded.find, recorded.unknown, now_ms=first_ms, env=env)
    async with world:
        await remember(world, state)
        begun: list[_Begun] = []
        for one in events:
            await world.advance_to(max(world.clock.now_ms(), one.event.received_ms))
            instance = _instance(one, flow)
            if instance is None:
                begun.append(_Begun(one))
                continue
            recorded.now(one)
            decided, receipt = await offer(world, one.event.source, instance, _again(one.event))
            begun.append(_Begun(one, tuple(decided), receipt))
        await _let_it_end(world)
        stories = {opened.execution.id: told(opened, trial) for opened in await world.story()}
    return [_compared(each, stories, recorded) for each in begun]


class _Begun(Struct, frozen=True):
    """An event that was handed over, and what became of it."""

    before: Past
    decided: tuple[Decision, ...] = ()
    receipt: Receipt = Receipt(None)


class _Recorded:
    """What the steps of past executions gave, for the executions that repeat them."""

    def __init__(self) -> None:
        self.invented: dict[str, dict[str, None]] = {}
        self._now: Past | None = None
        self._answers: dict[str, Mapping[str, Sequence[Mock]]] = {}
        self._last = ""

    def now(self, one: Past) -> None:
        """From here on executions that begin are those of this event."""
        self._now = one

    def find(self, context: ActionContext) -> tuple[tuple[str, str], Sequence[Mock]]:
        """The answers of a step in one execution."""
        self._last = context.execution
        if context.execution not in self._answers:
            stories = () if self._now is None else self._now.stories
            trigger = context.event.get("trigger")
            known = next((s for s in stories if s.opened.execution.trigger == trigger), None)
            answers = {} if known is None or self._now is None else self._now.answers(known)
            self._answers[context.execution] = answers
        found = self._answers[context.execution].get(context.step, ())
        return (context.execution, context.step), found

    def unknown(self, spec: Spec, step: str) -> Any:
        """An example, where nobody knows what a step would give."""
        self.invented.setdefault(self._last, {})[step] = None
        return made_up(spec)


def _instance(one: Past, flow: Flow) -> str | None:
    """The subscription of the flow as it is now to which an event of then belongs."""
    if one.event.instance in {trigger.instance for trigger in flow.triggers}:
        return one.event.instance
    then = {story.opened.execution.trigger for story in one.stories}
    for trigger in flow.triggers:
        if trigger.id in then and trigger.source == one.event.source:
            return trigger.instance
    return None


def _again(event: Event) -> Received:
    return Received(
        data=event.data,
        fields=event.fields,
        type=event.type,
        key=event.key,
        time_ms=event.time_ms,
    )


async def _let_it_end(world: World) -> None:
    """Let the waits pass that end by themselves."""
    end_ms = world.clock.now_ms() + _LONGEST_MS
    for _ in range(1000):
        due_ms = await world.next_due(end_ms)
        if due_ms is None or all(row.state.ended for row in await world.executions()):
            return
        await world.advance_to(due_ms)


def _compared(begun: _Begun, stories: Mapping[int, Told], recorded: _Recorded) -> Replayed:
    before, receipt = begun.before, begun.receipt
    now = tuple(stories[each.execution] for each in receipt.executions if each.execution in stories)
    deciding = next((one for one in begun.decided if one.decision == "started"), None)
    deciding = deciding or (begun.decided[0] if begun.decided else None)
    decision = None if deciding is None else deciding.decision
    reason = None if deciding is None else deciding.reason
    names = {}
    if receipt.event is not None:
        names[id_text("evt", receipt.event)] = id_text("evt", before.event.id)
    invented: dict[str, None] = {}
    for story, then in zip(now, before.stories, strict=False):
        ids = story.opened.execution.id, then.opened.execution.id
        names[id_text("exe", ids[0])] = id_text("exe", ids[1])
    for story in now:
        invented |= recorded.invented.get(id_text("exe", story.opened.execution.id), {})
    changes = list(_of_decisions(before, decision, reason))
    for number in range(max(len(before.stories), len(now))):
        then_ = before.stories[number] if number < len(before.stories) else None
        now_ = now[number] if number < len(now) else None
        if then_ is not None and now_ is not None:
            changes += _of_stories(then_, now_, names)
    return Replayed(before, decision, reason, now, tuple(invented), tuple(changes))


def _of_decisions(before: Past, decision: str | None, reason: str | None) -> Iterator[str]:
    if before.decision != decision:
        said = f" ({reason})" if reason else ""
        yield f"{before.decision or 'not heard'} → {decision or 'not heard'}{said}"


def _of_stories(then: Told, now: Told, names: Mapping[str, str]) -> Iterator[str]:
    if then.state != now.state:
        error = now.facts["error"]
        yield f"{then.state} → {now.state}" + (f": {error['message']}" if error else "")
    for id_ in dict.fromkeys([*then.steps, *now.steps]):
        old, new = then.steps.get(id_), now.steps.get(id_)
        if old is None and new is not None:
            yield f"steps.{id_}: not there → {new['status']} {shown(new['input'])}"
        elif new is None:
            yield f"steps.{id_}: {old['status'] if old else 'there'} → not reached"
        elif old is not None:
            for key in _STEP_KEYS:
                found = _renamed(new[key], names)
                yield from changed(old[key], found, f"steps.{id_}.{key}")
    for key in ("output", "reply"):
        yield from changed(then.facts[key], _renamed(now.facts[key], names), key)


def changed(before: Any, after: Any, path: str) -> Iterator[str]:
    """Where two values differ, a line for each leaf."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from changed(before.get(name), after.get(name), f"{path}.{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changed(one, other, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {shown(before)} → {shown(after)}"


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The value with the ids that then were given, so that only what matters differs."""
    if isinstance(value, Mapping):
        return {name: _renamed(one, names) for name, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, names) for one in value]
    if isinstance(value, str):
        for new, old in names.items():
            value = value.replace(new, old)
    return value
