"""Brings what steps wait for to them: events, answers of people, the ends of called flows.

An event is stored for those that wait now and for those that begin to wait later; who waits now is
woken in the commit that stores it. A step asks when its row is on disk, so nothing falls between.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from reactor.clock import Clock
from reactor.engine.asking import PAGE, Ask, Heard
from reactor.engine.calling import CALL
from reactor.engine.ears import Ear
from reactor.engine.failures import plain
from reactor.engine.lanes import Lane
from reactor.engine.making import Running
from reactor.engine.plan import Plan, Weft
from reactor.errors import EvaluationError
from reactor.logs import Limiter
from reactor.model.execution import Entry, Execution, Failure, State
from reactor.store import Change, Record, Store, Write
from reactor.store.hearing import Heard as HeardRow
from reactor.store.hearing import Wait

_GIVEN_UP = Failure(
    step=None, kind="cancelled", message="the flow that called it ended or did not wait any longer"
)


class Hearing:
    """Woken executions take a slot before queued ones; those in memory ask at once.

    `live` are the executions in memory; `go_on` records what one decided; `own` does work in a task
    of the engine's, `settled` returns when all that was submitted is on disk.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        live: Mapping[int, Running],
        lane: Callable[[str], Lane],
        go_on: Callable[[Running], None],
        cancel: Callable[[int, Failure], bool],
        own: Callable[[Coroutine[Any, Any, None]], object],
        settled: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._live = live
        self._lane = lane
        self._go_on = go_on
        self._cancel = cancel
        self._own = own
        self._settled = settled
        self._open: dict[str, int] = {}
        self._warnings = Limiter(clock)
        self._log = logging.getLogger("reactor.hearing")

    # ---- events come

    def began(self, flow: str) -> None:
        """An execution of a flow that waits for events was accepted: what comes is kept for it."""
        self._open[flow] = self._open.get(flow, 0) + 1

    def hear(self, ears: Sequence[Ear], weft: Weft, plan: Plan) -> tuple[str, ...]:
        """Keep an event for what waits for it, and wake it; the flows that may take it."""
        flows: dict[str, None] = {}
        for ear in ears:
            if ear.flow.name not in self._open:
                continue
            try:
                key = ear.key_of(plan.view)
            except EvaluationError as error:
                self._report(ear, error)
                continue
            if key is not None:
                flows[ear.flow.name] = None
                self.keep(weft, plan, ear.name, key)
        return tuple(flows)

    def keep(self, weft: Weft, plan: Plan, name: str, key: str) -> None:
        """Keep an event under a name and key, and wake who waits there."""
        weft.write.heard.append(HeardRow(name, key, plan.id))
        for execution in self._store.ears.waiting(name, key):
            self._stir(execution, weft.write)
            weft.stirred.append(execution)

    def woken(self, executions: Sequence[int]) -> None:
        """What they were stirred for is on disk: they ask, or take their turn."""
        resting = []
        for execution in executions:
            running = self._live.get(execution)
            if running is None:
                resting.append(execution)
            elif not running.commits:
                self.ask(running)
        if resting:
            self._own(self._resume(resting))

    def _stir(self, execution: int, write: Write) -> None:
        running = self._live.get(execution)
        if running is None:
            now_ms = self._clock.now_ms()
            write.changes.append(Change(execution, State.WAITING, now_ms, "event"))
        elif running.machine.ended is None:
            running.machine.stir()
            write.changes.append(Change(execution, State.RUNNING))

    async def _resume(self, executions: list[int]) -> None:
        await self._settled()
        for opened in await self._store.load(executions):
            row = opened.execution
            if row.id in self._live:
                self.woken([row.id])
            elif not row.state.ended:
                lane = self._lane(row.flow)
                lane.resume(row.id)
                lane.turn()

    # ---- steps ask

    def ask(self, running: Running) -> None:
        """Answer what an execution in memory asks, from what is on disk then."""
        if running.machine.ended is None and (asks := running.machine.take_asks()):
            self._own(self._answer(running, asks))

    async def _answer(self, running: Running, asks: list[Ask]) -> None:
        await self._settled()
        answers = [(ask.path, await self._find(ask)) for ask in asks]
        if self._live.get(running.row.id) is not running or running.stopping is not None:
            return
        for path, answer in answers:
            running.machine.told(path, answer, self._clock.now_ms())
        self._go_on(running)

    async def _find(self, ask: Ask) -> Heard:
        if ask.child is not None:
            found = await self._store.load([ask.child])
            return Heard(child=found[0] if found else None)
        ears = self._store.ears
        events = await ears.heard(ask.name, ask.key, after=ask.after, limit=PAGE)
        return Heard(events, whole=len(events) < PAGE)

    # ---- called flows end, and are given up

    def ended(self, row: Execution, write: Write) -> None:
        """An execution ends in this write: who called it is woken."""
        if row.parent is not None:
            self._stir(row.parent, write)

    def tell_caller(self, row: Execution) -> None:
        """The end of an execution is on disk."""
        if row.parent is not None:
            self.woken([row.parent])

    def superseded(self, execution: int, weft: Weft) -> None:
        """A queued execution ends in this write; whether it was called is not known here."""
        for parent in self._store.ears.waiting(CALL, str(execution)):
            self._stir(parent, weft.write)
            weft.stirred.append(parent)

    def give_up(self, children: list[int], write: Write) -> None:
        """Cancel called executions, as surely as the write is stored."""
        now_ms = self._clock.now_ms()
        entry = Entry("", "cancel", plain(_GIVEN_UP))
        for child in children:
            write.records.append(Record(child, (entry,)))
            state = State.RUNNING if child in self._live else State.WAITING
            due_ms = None if child in self._live else now_ms
            write.changes.append(Change(child, state, due_ms, "cancelled"))

    def given_up(self, children: list[int]) -> None:
        """That write was submitted: those in memory stop, others take a turn to."""
        resting = [child for child in children if not self._cancel(child, _GIVEN_UP)]
        if resting:
            self._own(self._resume(resting))

    # ---- upkeep

    async def tidy(self) -> None:
        """Stop keeping events for flows of which nothing is open."""
        for flow, begun in list(self._open.items()):
            await self._settled()
            if not await self._store.ears.any_open(flow) and self._open.get(flow) == begun:
                del self._open[flow]

    async def listen(self, flows: frozenset[str]) -> None:
        """At boot and after a reload: keep events for these flows as far as any is open."""
        await self._settled()
        for flow in flows:
            if await self._store.ears.any_open(flow):
                self.began(flow)

    def _report(self, ear: Ear, error: EvaluationError) -> None:
        facts = {"flow": ear.flow.name, "error": str(error)}
        said = "a condition of a wait could not be decided, the event was not taken"
        self._warnings.warning(self._log, ear.name, said, **facts)


def waits_in(row: Execution, journal: Sequence[Entry]) -> list[Wait]:
    """The rows by which an execution that ends without its machine may have waited."""
    return [
        Wait(
            entry.value.get("name", CALL),
            str(entry.value.get("key", entry.value.get("execution"))),
            row.id,
            entry.path,
        )
        for entry in journal
        if entry.kind == "chose" and isinstance(entry.value, dict) and "input" in entry.value
    ]
