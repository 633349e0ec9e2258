"""Tests of flows, from `tests:` or a file beside: read, checked against their flow, with places."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from reactor.clock import to_ms
from reactor.expr.scope import Scope
from reactor.loading.configs import Unknown
from reactor.loading.context import Context
from reactor.loading.given import Given, Subjects, read_given
from reactor.loading.report import Report
from reactor.loading.testwords import FailsWords, FlowTestWords, MockWords
from reactor.loading.values import Entry, ListValue, MapValue, Scalar, Value
from reactor.model.flow import ActionStep, AnyStep, CallStep, Flow, steps_of
from reactor.plugin.catalog import Catalog
from reactor.plugin.decode import decode
from reactor.plugin.fields import names_of
from reactor.problem import Place

TEST_BEGINS_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
TEST_SUFFIXES = (".test.yaml", ".test.yml")
_SHAPE = "tests is a list of maps: - {name: …, given: […], expect: {…}}"


class Mock(Struct, frozen=True):
    """One answer of a mocked step: an output, or how the attempt fails."""

    output: Any = None
    fails: FailsWords | None = None


class FlowTest(Struct, frozen=True, kw_only=True):
    """One test: what happens to which flow, and what must be true then.

    `mocks` are the answers by step id, in order. `written` is the whole test as it stands in the
    file whose text `text` is: failures are shown at the expectation that was not met.
    """

    flow: Flow
    name: str
    place: Place
    now_ms: int
    state: Mapping[str, Any]
    env: Mapping[str, str]
    given: tuple[Given, ...]
    mocks: Mapping[str, tuple[Mock, ...]]
    written: MapValue
    text: str

    @property
    def expected(self) -> MapValue:
        """What stands under `expect`."""
        found = self.written.get("expect")
        return found if isinstance(found, MapValue) else MapValue((), self.written.at)

    def report(self) -> Report:
        """A new report about the file of the test."""
        return Report(self.place.file, self.text)


def read_tests(
    value: Value, flows: Iterable[Flow], context: Context, text: str
) -> tuple[FlowTest, ...]:
    """The tests of a list; of the one flow, or of that which each test names.

    Without any flow (it has mistakes of its own) only their shape is checked.
    """
    if not isinstance(value, ListValue) or not all(isinstance(t, MapValue) for t in value.items):
        context.report.error(value, _SHAPE)
        return ()
    known = {flow.name: flow for flow in flows}
    taken: set[tuple[str, str]] = set()
    found: list[FlowTest] = []
    for item in value.items:
        if isinstance(item, MapValue) and (test := _read(item, known, context, text)) is not None:
            if (test.flow.name, test.name) in taken:
                message = f"two tests are called '{test.name}': give one another name"
                context.report.error(item.get("name") or item, message)
            taken.add((test.flow.name, test.name))
            found.append(test)
    return tuple(found)


def mockable(flow: Flow, catalog: Catalog) -> Mapping[str, AnyStep]:
    """The steps that a mock may stand for, by what a test calls them: they reach outside."""
    return {called(step): step for step in steps_of(flow) if _reaches_outside(step, catalog)}


def called(step: AnyStep) -> str:
    """What a test calls a step."""
    return "dead_letter" if step.path == "dead_letter" else step.id


def mock_of(written: Mapping[str, Any]) -> Mock:
    """An answer from plain data; InvalidFlow where it is none."""
    return _answer(decode(written, MockWords))


def _read(
    value: MapValue, flows: Mapping[str, Flow], context: Context, text: str
) -> FlowTest | None:
    report = context.report
    before = report.errors
    read = context.shape(value, FlowTestWords, "a test", Scope({}), _in_mock(report))
    now_ms = _moment(value.get("now"), report)
    flow = _flow_of(value, flows, report)
    if flow is None:
        return None
    given = read_given(value.get("given"), Subjects(flow, context.loading.catalog), context)
    mocks = _mocks(value.get("mock"), flow, read, context)
    _check_expected(value.get("expect"), flow, context)
    if read is None or report.errors > before:
        return None
    return FlowTest(
        flow=flow,
        name=read.name,
        place=report.place(value.get("name") or value.first),
        now_ms=now_ms,
        state=read.state,
        env=read.env,
        given=given,
        mocks=mocks,
        written=value,
        text=text,
    )


def _in_mock(report: Report) -> Unknown:
    """Explain the result of a step that was written where the mock of it stands."""

    def explain(entry: Entry, value: MapValue, known: list[str]) -> bool:
        if known != list(names_of(MockWords)) or (value.names and set(value.names) & set(known)):
            return False
        shown = ", ".join(f"{name}: …" for name in value.names)
        message = f"what the step gives stands under output: {{output: {{{shown}}}}}"
        report.error(value.first, message)
        return True

    return explain


def _flow_of(value: MapValue, flows: Mapping[str, Flow], report: Report) -> Flow | None:
    entry = value.entry("flow")
    if entry is not None and isinstance(entry.value, Scalar) and flows:
        flow = flows.get(entry.value.text)
        if flow is None:
            have = ", ".join(flows)
            report.error(entry.value, f"no flow is called '{entry.value.text}' here: {have}")
        return flow
    if len(flows) > 1:
        report.error(value.first, f"flow is missing: it is one of {', '.join(flows)}")
        return None
    return next(iter(flows.values()), None)


def _moment(value: Value | None, report: Report) -> int:
    if value is None:
        return TEST_BEGINS_MS
    text = value.text if isinstance(value, Scalar) else ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        report.error(value, f"now is a time such as 2026-01-01T00:00:00Z, not '{text}'")
        return TEST_BEGINS_MS
    return to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _mocks(
    value: Value | None, flow: Flow, read: FlowTestWords | None, context: Context
) -> dict[str, tuple[Mock, ...]]:
    if not isinstance(value, MapValue):
        return {}
    steps, found = mockable(flow, context.loading.catalog), {}
    others = {called(step): step for step in steps_of(flow)}
    for entry in value.entries:
        name = entry.key.text
        step = steps.get(name)
        if step is None and name in others:
            what = others[name]
            word = f" ({what.action})" if isinstance(what, ActionStep) else ""
            message = f"step '{name}'{word} touches nothing outside: it is real in tests"
            context.report.error(entry.key, message)
        elif step is None:
            _unknown_step(entry.key, sorted(steps), context.report)
        elif read is not None:
            given = read.mock[name]
            answers = given if isinstance(given, tuple) else (given,)
            if not answers:
                context.report.error(entry.value, "a list of mocks has at least one")
            found[step.id] = tuple(_answer(each) for each in answers)
    return found


def _answer(words: MockWords) -> Mock:
    fails = words.fails
    if isinstance(fails, str):
        return Mock(fails=FailsWords(message=fails))
    return Mock(words.output, None if fails is None else decode(fails, FailsWords))


def _reaches_outside(step: AnyStep, catalog: Catalog) -> bool:
    if not isinstance(step, ActionStep):
        return isinstance(step, CallStep)
    spec = catalog.find("action", step.action)
    return spec is None or spec.outside


def _check_expected(value: Value | None, flow: Flow, context: Context) -> None:
    if not isinstance(value, MapValue):
        return
    known = sorted(map(called, steps_of(flow)))
    maps = [value]
    executions = value.get("executions")
    if isinstance(executions, ListValue):
        maps += [item for item in executions.items if isinstance(item, MapValue)]
        for key in ("execution", "steps", "output", "reply", "error", "reason"):
            if (entry := value.entry(key)) is not None:
                message = f"{key} beside executions: put it into its item of the list"
                context.report.error(entry.key, message)
    for one in maps:
        if isinstance(steps := one.get("steps"), MapValue):
            for entry in steps.entries:
                if entry.key.text not in known:
                    _unknown_step(entry.key, known, context.report)
    _check_names(value.get("undone"), known, context.report)


def _check_names(value: Value | None, known: list[str], report: Report) -> None:
    if value is None:
        return
    if not isinstance(value, ListValue):
        report.error(value, "undone is a list of step ids")
        return
    for item in value.items:
        if not isinstance(item, Scalar):
            report.error(item, "undone is a list of step ids")
        elif item.text not in known:
            _unknown_step(item, known, report)


def _unknown_step(name: Scalar, known: list[str], report: Report) -> None:
    guess = next(iter(get_close_matches(name.text, known, 1)), None)
    message = f"the flow has no step '{name.text}'"
    message += f"; did you mean {guess}" if guess else f": it has {', '.join(known) or 'none'}"
    repaired = report.with_text(name.at, guess) if guess else None
    report.error(name, message, repaired=repaired)
