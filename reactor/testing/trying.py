"""A flow walked with one event, to say what would happen: nothing outside is touched."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from reactor.engine.router import view_of
from reactor.loading.context import Loading
from reactor.loading.flowtests import Mock
from reactor.loading.given import Given
from reactor.loading.testwords import StartWords
from reactor.model.event import Received
from reactor.model.flow import Flow, Trigger, WaitStep, steps_of
from reactor.plugin.spec import Spec
from reactor.store import StateValue
from reactor.testing.conditions import Asked, of_steps, of_trigger
from reactor.testing.happening import happen, offer, remember
from reactor.testing.mocks import by_step, made_up
from reactor.testing.rehearsal import rehearsal, rehearsed
from reactor.testing.story import Told, told
from reactor.testing.world import World
from reactor.web.admin.wire import Decision

MOST_STOPS = 1000
LONGEST_MS = 400 * 86_400_000


class Run(Struct, frozen=True):
    """One execution that would start: its story, and what its conditions came to."""

    told: Told
    asked: Mapping[str, list[Asked]]


class Tried(Struct, frozen=True):
    """What would happen.

    `asked` are the conditions of the trigger and the flow, `made_up` the steps whose results
    nobody knows: an example of them was taken.
    """

    decisions: tuple[Decision, ...]
    asked: tuple[Asked, ...]
    runs: tuple[Run, ...]
    made_up: tuple[str, ...]
    ended_ms: int


class Attempt(Struct, frozen=True, kw_only=True):
    """What is tried: an event at a trigger, with what is stored and what steps would give."""

    flow: Flow
    trigger: Trigger
    received: Received
    now_ms: int
    state: Sequence[StateValue] = ()
    env: Mapping[str, str] = {}
    answers: Mapping[str, Sequence[Mock]] = {}


async def walk(attempt: Attempt, loading: Loading) -> Tried:
    """Walk a flow with an event; waits for a time pass at once, those for an event stay."""
    invented: dict[str, None] = {}

    def unknown(spec: Spec, step: str) -> Any:
        invented[step] = None
        return made_up(spec)

    flow = rehearsed(attempt.flow)
    world = rehearsal(
        flow,
        loading,
        by_step(attempt.answers),
        unknown,
        now_ms=attempt.now_ms,
        env=attempt.env,
    )
    trigger, received = attempt.trigger, attempt.received
    async with world:
        await remember(world, attempt.state)
        asked = of_trigger(world, trigger, received, attempt.now_ms)
        if trigger.source == "call":
            start = StartWords(trigger=trigger.id, data=received.data or {})
            decisions = await happen(world, flow, Given(place=flow.place, start=start))
        else:
            decisions, _ = await offer(world, trigger.source, trigger.instance, received)
        await _pass_waits(world, flow)
        view = view_of(received, source=trigger.source, event_id="", time_ms=attempt.now_ms)
        runs = []
        for opened in await world.story():
            story = told(opened, flow)
            runs.append(Run(story, of_steps(flow, story, world.engine.around, view)))
        return Tried(
            tuple(one for one in decisions if one.trigger == trigger.id),
            tuple(asked),
            tuple(runs),
            tuple(invented),
            world.clock.now_ms(),
        )


async def _pass_waits(world: World, flow: Flow) -> None:
    """Let time pass as long as that brings an execution further."""
    end_ms = world.clock.now_ms() + LONGEST_MS
    for _ in range(MOST_STOPS):
        stories = [told(opened, flow) for opened in await world.story()]
        ended = stories and all(story.opened.execution.state.ended for story in stories)
        if ended or any(_waits_for_somebody(story, flow) for story in stories):
            return
        due_ms = await world.next_due(end_ms)
        if due_ms is None:
            return
        await world.advance_to(due_ms)


def _waits_for_somebody(story: Told, flow: Flow) -> bool:
    return any(
        isinstance(step, WaitStep)
        and step.form in ("when", "approval")
        and story.steps.get(step.id, {}).get("status") == "waiting"
        for step in steps_of(flow)
    )
