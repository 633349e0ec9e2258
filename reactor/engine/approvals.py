"""Answers of people: which steps wait for one, and how an answer gets to its step."""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from reactor.engine.core import Engine
from reactor.engine.inputs import completed
from reactor.engine.waiting import APPROVAL
from reactor.errors import NotFound, UsageError
from reactor.ids import id_text
from reactor.model.event import Received
from reactor.model.flow import steps_of
from reactor.store.hearing import Wait


class Question(Struct, frozen=True):
    """A step that waits for a person: what is asked, which fields an answer has, until when."""

    wait: Wait
    flow: str
    step: str
    text: str
    form: Mapping[str, Any]
    since_ms: int
    until: Any


class Approvals:
    """Takes one answer at a time, so that no step gets two."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()

    async def open(self, execution: int | None = None) -> list[Question]:
        """The steps that wait for an answer, the oldest first; all or those of one execution."""
        engine = self._engine
        await engine.desk.settled()
        ears = engine.store.ears
        waits = [
            wait
            for wait in await ears.waits(APPROVAL)
            if execution is None or wait.execution == execution
        ]
        opened = {
            one.execution.id: one
            for one in await engine.store.load([wait.execution for wait in waits])
        }
        found = []
        for wait in waits:
            one = opened.get(wait.execution)
            if one is None or one.execution.state.ended:
                continue
            if await ears.heard(wait.name, wait.key, after=0, limit=1):
                continue  # answered: it only has to go on
            asked = next(
                (e.value for e in one.journal if e.path == wait.path and e.kind == "chose"), None
            )
            ready = [
                e.value["at"] for e in one.journal if e.path == wait.path and e.kind == "ready"
            ]
            if asked is None:
                continue
            shown, row = asked["input"], one.execution
            step = await self._step(row.version, wait.path)
            since_ms = ready[0] if ready else row.created_ms
            found.append(
                Question(
                    wait,
                    row.flow,
                    step,
                    str(shown["approval"]),
                    shown["form"],
                    since_ms,
                    shown.get("until"),
                )
            )
        return found

    async def answer(
        self,
        execution: int,
        step: str | None,
        *,
        approved: bool,
        by: str,
        form: Mapping[str, Any],
        message: str | None = None,
    ) -> Question:
        """Give a step its answer; on disk when this returns.

        Raises NotFound when nothing waits there, UsageError when several steps do, or when the form
        is not what was asked for.
        """
        engine = self._engine
        refusal = engine.intake.refusal()
        if refusal is not None:
            raise refusal
        async with self._lock:
            question = _chosen(await self.open(execution), execution, step)
            filled: dict[str, Any] = {}
            if approved:
                where = f"step {question.step!r} of flow {question.flow!r}"
                filled = completed(where, "field", question.form, form)
            data = {"approved": approved, "by": by, "form": filled, "message": message}
            received = Received(data=data, parent=None, time_ms=engine.clock.now_ms())
            stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            wait = question.wait
            engine.intake.tell(
                APPROVAL,
                received,
                (wait.name, wait.key),
                lambda: None if stored.done() else stored.set_result(None),
            )
            await stored
        return question

    async def _step(self, version: str, path: str) -> str:
        flow = await self._engine.versions.find(version)
        plain = path.partition("@")[0].partition("~")[0]
        return next((step.id for step in steps_of(flow) if step.path == plain), plain)


def _chosen(questions: list[Question], execution: int, step: str | None) -> Question:
    number = id_text("exe", execution)
    if not questions:
        raise NotFound(f"{number} waits for no answer: `reactor approve` lists what does")
    if step is None and len(questions) == 1:
        return questions[0]
    names = ", ".join(question.step for question in questions)
    if step is None:
        raise UsageError(f"{number} waits for several answers: name one of {names}")
    found = next((question for question in questions if question.step == step), None)
    if found is None:
        raise NotFound(f"step {step!r} of {number} waits for no answer; {names} does")
    return found
