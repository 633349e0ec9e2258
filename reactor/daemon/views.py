"""Parts of the daemon as the API shows them."""

from collections.abc import Iterator, Mapping
from typing import Any

from reactor.clock import instant
from reactor.daemon.book import Page
from reactor.daemon.sources import Wanted
from reactor.engine.approvals import Question
from reactor.engine.supervisor import SourceState
from reactor.ids import id_text
from reactor.model.execution import State
from reactor.model.flow import Flow
from reactor.problem import Problem
from reactor.web.admin import wire
from reactor.web.admin.approving import ApprovalView


def flow_views(
    pages: Mapping[str, Page],
    paused: frozenset[str],
    counts: Mapping[str, Mapping[State, int]],
    errors: Mapping[tuple[str, str], int],
) -> Iterator[wire.FlowView]:
    """All flows; of a broken file the file."""
    for path, page in sorted(pages.items()):
        if page.state == "broken":
            yield wire.FlowView(flow=path, file=path, version=None, enabled=False, state="broken")
        for flow in page.flows:
            yield wire.FlowView(
                flow=flow.name,
                file=path,
                version=flow.version[:12],
                enabled=flow.enabled,
                state=_state(flow, page, paused),
                triggers=[
                    wire.TriggerView(
                        id=trigger.id,
                        source=trigger.source,
                        errors=errors.get((flow.name, trigger.id), 0),
                    )
                    for trigger in flow.triggers
                ],
                executions={
                    state.word: count for state, count in counts.get(flow.name, {}).items()
                },
            )


def source_view(want: Wanted, state: SourceState | None, position: Any) -> wire.SourceView:
    """A source that should run, and how it does."""
    return wire.SourceView(
        id=want.instance,
        source=want.spec.word,
        state="stopped" if state is None else state.state,
        detail="" if state is None else (state.detail or state.error or ""),
        flows=list(want.flows),
        position=position,
    )


def approval_view(question: Question) -> ApprovalView:
    """A step that waits for a person."""
    return ApprovalView(
        execution=id_text("exe", question.wait.execution),
        flow=question.flow,
        step=question.step,
        question=question.text,
        form=dict(question.form),
        since=instant(question.since_ms),
        until=question.until,
    )


def problem_view(problem: Problem) -> wire.ProblemView:
    """A mistake with its place."""
    return wire.ProblemView(
        file=problem.place.file,
        line=problem.place.line,
        column=problem.place.column,
        severity=problem.severity,
        message=problem.message,
        snippet=problem.snippet,
        repaired=problem.repaired,
    )


def _state(flow: Flow, page: Page, paused: frozenset[str]) -> wire.FlowState:
    if page.stale:
        return "stale"
    if not flow.enabled:
        return "off"
    return "paused" if flow.name in paused else "on"
