"""One test of a flow: what is given happens in a world of its own, then it is looked at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from reactor.errors import ActionFailed, ReactorError
from reactor.loading.context import Loading
from reactor.loading.flowtests import FlowTest
from reactor.loading.given import Given
from reactor.loading.report import Report
from reactor.loading.values import ListValue, MapValue, Scalar, Value, plain
from reactor.model.flow import Flow
from reactor.plugin.spec import Spec
from reactor.problem import Problem
from reactor.store import StateValue
from reactor.testing.compare import Difference, differences, nearest, shown
from reactor.testing.happening import happen, moment, remember
from reactor.testing.mocks import NOT_MOCKED, by_step, example_of
from reactor.testing.rehearsal import rehearsal, rehearsed
from reactor.testing.story import Told, emitted, not_reached, told, undone
from reactor.testing.world import World
from reactor.units import format_duration, parse_duration
from reactor.web.admin.wire import Decision

_END_KEYS = ("execution", "reason", "output", "reply", "error", "steps")


class Verdict(Struct, frozen=True):
    """How a test came out: what was not as expected, and what happened instead."""

    test: FlowTest
    problems: tuple[Problem, ...]
    happened: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


async def run_test(test: FlowTest, loading: Loading) -> Verdict:
    """Run one test in a world of its own; no time but its own passes."""
    missing: dict[str, str] = {}

    letter = test.flow.dead_letter

    def unknown(spec: Spec, step: str) -> Any:
        step = "dead_letter" if letter is not None and step == letter.id else step
        missing[step] = f"mock: {{{step}: {{output: {example_of(spec)}}}}}"
        raise ActionFailed("the test has no mock for this step", kind=NOT_MOCKED)

    flow = rehearsed(test.flow)
    world = rehearsal(
        flow,
        loading,
        by_step(test.mocks),
        unknown,
        now_ms=test.now_ms,
        env=test.env,
        ticking=True,
    )
    report = test.report()
    async with world:
        scene = _Scene(world, test, flow, report)
        try:
            await scene.play()
        except (ReactorError, TimeoutError) as error:
            report.error(scene.where, str(error))
        stories = [told(opened, flow) for opened in await world.story()]
        if not missing:  # whatever else is wrong follows from that
            scene.judge(stories)
    for step, mock in missing.items():
        message = f"step '{step}' reaches outside and has no mock: {mock}"
        report.error(test.written.get("mock") or test.written.first, message)
    happened = tuple(_happened(stories, scene.decisions)) if report.failed else ()
    return Verdict(test, report.problems, happened)


class _Scene:
    """A test at work: `where` is what is happening, `decisions` what was decided so far."""

    def __init__(self, world: World, test: FlowTest, flow: Flow, report: Report) -> None:
        self.where: Value = test.written.first
        self.decisions: list[Decision] = []
        self._world = world
        self._test = test
        self._flow = flow
        self._report = report

    async def play(self) -> None:
        """Let everything that is given happen, and the retries pass that follow."""
        state = (row for name, value in self._test.state.items() for row in _rows(name, value))
        await remember(self._world, state)
        items = self._test.written.get("given")
        places = items.items if isinstance(items, ListValue) else ()
        for given, place in zip(self._test.given, places, strict=True):
            self.where = place
            await self._reach(given)
            found = await happen(self._world, self._flow, given)
            self.decisions = found or self.decisions
        await self._world.pass_pauses()

    async def _reach(self, given: Given) -> None:
        """Turn the clock to where the item stands; without `at` it follows what went before."""
        if given.at_ms is None:
            await self._world.pass_pauses()
            return
        now_ms, at_ms = self._world.clock.now_ms(), self._test.now_ms + given.at_ms
        if at_ms < now_ms:
            passed = format_duration((now_ms - self._test.now_ms) / 1000)
            self._report.error(
                self.where, f"at is over: {passed} passed before; give this item before the retries"
            )
        await self._world.advance_to(at_ms)

    # ---- what was expected

    def judge(self, stories: Sequence[Told]) -> None:
        """Report every expectation that was not met."""
        for found in self._differences(stories):
            self._report.error(found.where, found.message)

    def _differences(self, stories: Sequence[Told]) -> Iterator[Difference]:
        expected = self._test.expected
        if any(expected.entry(key) for key in _END_KEYS):
            yield from self._of_the_one(expected, stories)
        for key, found in (
            ("emitted", lambda: emitted(stories, self._flow)),
            ("state", lambda: self._world.engine.shared.committed),
            ("undone", lambda: undone(stories, self._flow)),
        ):
            if (wanted := expected.get(key)) is not None:
                yield from differences(wanted, found(), key)
        if (wanted := expected.get("decision")) is not None:
            yield from self._of_decision(wanted)
        executions = expected.get("executions")
        if isinstance(executions, ListValue):
            yield from self._of_all(executions, stories)

    def _of_the_one(self, expected: MapValue, stories: Sequence[Told]) -> Iterator[Difference]:
        entry = next(e for e in expected.entries if e.key.text in _END_KEYS)
        wanted = [story for story in stories if story.state != "skipped"] or list(stories)
        if len(wanted) == 1:
            yield from self._of_run(expected, wanted[0], "")
        elif wanted:
            ends = ", ".join(story.state for story in wanted)
            yield Difference(
                entry.key, f"{entry.key.text}: there are {len(wanted)}: executions: [{ends}]"
            )
        elif not isinstance(entry.value, Scalar) or entry.value.text != "none":
            said = _why_none(self.decisions)
            yield Difference(entry.key, f"{entry.key.text}: nothing was started{said}")

    def _of_all(self, wanted: ListValue, stories: Sequence[Told]) -> Iterator[Difference]:
        ends = [story.state for story in stories]
        if len(wanted.items) != len(ends):
            message = f"executions: expected {len(wanted.items)}, got {len(ends)}: {shown(ends)}"
            yield Difference(wanted, message)
        for number, (item, story) in enumerate(zip(wanted.items, stories, strict=False)):
            path = f"executions[{number}]"
            if isinstance(item, MapValue):
                yield from self._of_run(item, story, f"{path}.")
            else:
                yield from differences(item, story.state, path)

    def _of_run(self, wanted: MapValue, story: Told, path: str) -> Iterator[Difference]:
        for entry in wanted.entries:
            key = entry.key.text
            if key == "steps" and isinstance(entry.value, MapValue):
                for step in entry.value.entries:
                    found = story.steps.get(step.key.text) or not_reached()
                    yield from self._of_step(step.value, found, f"{path}steps.{step.key.text}")
            elif key == "execution":
                yield from self._of_end(entry.value, story, f"{path}{key}")
            elif key in _END_KEYS:
                yield from differences(entry.value, story.facts[key], f"{path}{key}")

    def _of_end(self, wanted: Value, story: Told, path: str) -> Iterator[Difference]:
        row = story.opened.execution
        for found in differences(wanted, story.state, path):
            message = found.message
            if row.error is not None:
                message += f": {row.error.message}"
            elif row.due_ms is not None:
                span = format_duration((row.due_ms - self._test.now_ms) / 1000)
                message += f" until {moment(row.due_ms)}: let time pass in given: - at: {span}"
            yield Difference(found.where, message)

    def _of_step(self, wanted: Value, found: Mapping[str, Any], path: str) -> Iterator[Difference]:
        if isinstance(wanted, Scalar):
            yield from differences(wanted, found["status"], path)
        elif isinstance(wanted, MapValue):
            for entry in wanted.entries:
                key = entry.key.text
                if key == "times":
                    yield from self._of_times(entry.value, found, f"{path}.{key}")
                else:
                    one = _as_written(entry.value, found.get(key)) if key == "input" else found[key]
                    yield from differences(entry.value, one, f"{path}.{key}")

    def _of_times(self, wanted: Value, found: Mapping[str, Any], path: str) -> Iterator[Difference]:
        if isinstance(wanted, Scalar):
            yield from differences(wanted, found.get("rounds", 0), path)
            return
        begun_ms = [ms - self._test.now_ms for ms in found["times"]]
        if [round(parse_duration(each) * 1000) for each in plain(wanted)] != begun_ms:
            got = ", ".join(format_duration(ms / 1000) for ms in begun_ms)
            yield Difference(wanted, f"{path}: expected {', '.join(plain(wanted))}, got {got}")

    def _of_decision(self, wanted: Value) -> Iterator[Difference]:
        known = {one.trigger or "": one for one in self.decisions}
        trigger = wanted.get("trigger") if isinstance(wanted, MapValue) else None
        if isinstance(trigger, Scalar):
            one = known.get(trigger.text)
            if one is None:
                said = f"no event for {trigger.text}; {nearest(trigger.text, known)}"
                yield Difference(trigger, f"decision: {said}")
                return
        elif not self.decisions:
            yield Difference(wanted, "decision: no event came to a trigger of the flow")
            return
        else:
            one = self.decisions[0]
        facts = {"decision": one.decision, "reason": one.reason, "trigger": one.trigger}
        found = facts if isinstance(wanted, MapValue) else one.decision
        for each in differences(wanted, found, "decision"):
            yield Difference(each.where, f"{each.message}{_why(one)}")


def _as_written(wanted: Value, found: Any) -> Any:
    """The input of a step in the form in which it was expected: `log: text` is its text."""
    if isinstance(wanted, ListValue) and isinstance(found, list):
        pairs = zip(wanted.items, found, strict=False)
        return [*(_as_written(one, other) for one, other in pairs), *found[len(wanted.items) :]]
    if not isinstance(wanted, MapValue) and isinstance(found, Mapping) and len(found) == 1:
        return next(iter(found.values()))
    return found


def _rows(name: str, value: Any) -> Iterator[StateValue]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield StateValue(name, str(key), one)
    else:
        yield StateValue(name, "", value)


def _why_none(decided: Sequence[Decision]) -> str:
    if not decided:
        return ": no trigger of the flow heard anything"
    return "".join(f"; {one.trigger}: {one.decision}{_why(one)}" for one in decided)


def _why(one: Decision) -> str:
    if one.decision not in ("stopped", "error") or one.reason is None:
        return ""
    parts = one.detail if isinstance(one.detail, list) else []
    paths = [part for part in parts[:-1] if " " not in part.text]
    values = ", ".join(f"{part.text} is {shown(part.value)}" for part in paths)
    return f" by {one.reason}" + (f" ({values})" if values else "")


def _short(given: Any) -> Any:
    """An input as the short form of a step would have it."""
    only = isinstance(given, Mapping) and list(given) == ["text"]
    return given["text"] if only else given


def _happened(stories: Sequence[Told], decided: Sequence[Decision]) -> Iterator[str]:
    """What happened, in a few lines, for somebody who looks for the mistake."""
    for one in decided:
        yield f"{one.trigger}: {one.decision}{_why(one)}"
    for story in stories:
        yield f"execution {story.state}"
        for id_, step in story.steps.items():
            text = f"  {id_}: {step['status']}"
            if step["attempts"] > 1:
                text += f" after {step['attempts']} attempts"
            if step.get("error"):
                text += f": {step['error']['message']}"
            elif step["input"] is not None:
                text += f" {shown(_short(step['input']))}"
            yield text
