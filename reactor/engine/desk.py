"""Open executions that rest in the store, and when they come back: at boot, slot or due time."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from reactor.clock import Clock, instant
from reactor.engine.alarms import NEAR_MS
from reactor.engine.delayed import Delayed
from reactor.engine.gates.views import seen
from reactor.engine.gates.wakes import Wakes
from reactor.engine.hearing import waits_in
from reactor.engine.lanes import Lane
from reactor.engine.meter import Meter
from reactor.engine.router import Surroundings, about_flow, constant_vars, flow_refuses
from reactor.engine.runner import Runner
from reactor.engine.versions import Versions
from reactor.errors import ReactorError
from reactor.failpoints import reach
from reactor.ids import id_text
from reactor.model.event import Outcome
from reactor.model.execution import Execution, Failure, State
from reactor.model.flow import Flow, Run
from reactor.store import Change, End, Open, Store, Write
from reactor.store.gated import Taken

PAGE = 500


class Desk:
    """Owns the lanes and everything that is open but not in memory.

    `current` gives the flow that runs under a name now; executions run the version they were
    accepted with.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        meter: Meter,
        current: Callable[[str], Flow | None],
        versions: Versions,
        around: Surroundings,
    ) -> None:
        self._store = store
        self._clock = clock
        self._meter = meter
        self._current = current
        self._versions = versions
        self._around = around
        self._runner: Runner | None = None
        self._wakes: Wakes | None = None
        self._delayed: Delayed | None = None
        self._lanes: dict[str, Lane] = {}
        self._turn: list[int] = []
        self._loading: asyncio.Task[None] | None = None
        self._refilling: set[str] = set()
        self._refilling_keys: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching = 0  # how many of them only watch an execution
        self._held = False
        self._log = logging.getLogger("reactor.desk")

    def use(self, runner: Runner, wakes: Wakes, delayed: Delayed) -> None:
        """Set who runs executions, and who else has stored times (they need each other)."""
        self._runner = runner
        self._wakes = wakes
        self._delayed = delayed

    @property
    def busy(self) -> bool:
        """Whether executions are being brought back."""
        return len(self._tasks) > self._watching

    def hold(self) -> None:
        """Start nothing more, in no lane, until `let_go`."""
        self._held = True
        for lane in self._lanes.values():
            lane.paused = True

    def let_go(self) -> None:
        """Start what may start."""
        self._held = False
        for lane in list(self._lanes.values()):
            lane.paused = False
            lane.turn()

    @property
    def lanes(self) -> dict[str, Lane]:
        """Each flow's lane, by name."""
        return self._lanes

    def lane(self, flow: str) -> Lane:
        """The lane of a flow; made when first asked for."""
        lane = self._lanes.get(flow)
        if lane is None:
            current = self._current(flow)
            lane = Lane(
                Run() if current is None else current.run, lambda number: self.begin(flow, number)
            )
            lane.paused = self._held
            self._lanes[flow] = lane
        return lane

    def refit(self) -> None:
        """After a reload: lanes follow the flows' new `run`."""
        for name, lane in self._lanes.items():
            flow = self._current(name)
            if flow is not None:
                if lane.refit(flow.run):
                    self.own(self._read_again(name))
                else:
                    lane.turn()

    # ---- whose turn it is

    def begin(self, flow: str, execution: int) -> None:
        """Start an execution that has its slot, from the store."""
        self._turn.append(execution)
        if self._loading is None:
            self._loading = self.own(self._load())
        lane = self._lanes[flow]
        if lane.more and lane.queued < PAGE and flow not in self._refilling:
            self._refilling.add(flow)
            self.own(self.refill(flow))
        self._catch_up(flow, lane)

    async def _load(self) -> None:
        try:
            while self._turn:
                numbers, self._turn = self._turn[:PAGE], self._turn[PAGE:]
                await self.settled()
                for opened in await self._store.load(numbers):
                    reach("a sleeper wakes")
                    try:
                        await self._resume(opened)
                    except Exception as error:  # noqa: BLE001  recorded; it must not stop the others
                        self._log.exception("an execution could not be taken up")
                        self._set_aside(opened.execution, f"needs_attention: {error!r}")
        finally:
            self._loading = None

    async def _resume(self, opened: Open, *, stop: Failure | None = None) -> None:
        row = opened.execution
        runner = self.runner
        if row.id in runner.live:
            return
        if row.state.ended:
            self.lane(row.flow).release(row.id, row.key)
            return
        try:
            flow = await self._versions.find(row.version)
        except ReactorError as error:
            if stop is None:
                self._set_aside(row, f"needs_attention: {error}")
            else:
                self._end_unstarted(opened, stop)
            return
        view, events = seen(opened)
        if stop is None and opened.taken is not None and row.started_ms is None:
            reason = self._refusal(opened.taken, flow, view, events)
            if reason is not None:
                self._skip(row, reason)
                return
        runner.resume(opened, flow, view, events=events, stop=stop)

    def _refusal(self, taken: Taken, flow: Flow, view: dict[str, Any], events: Any) -> str | None:
        """Why a flow does not run for what its gates held: its conditions are asked now."""
        if not taken.facts.get("judge"):
            return None
        names = {
            "event": view,
            "vars": constant_vars(flow),
            "env": self._around.env,
            "state": self._around.state,
            "now": instant(self._clock.now_ms()),
            "flow": about_flow(flow),
        }
        if events is not None:
            names["events"] = events
        refusal = flow_refuses(flow, names)
        return None if refusal is None else refusal[1]

    def _skip(self, row: Execution, reason: str) -> None:
        now_ms, answer = self._clock.now_ms(), self.runner.outcomes.answer
        end = End(row.id, State.SKIPPED, None, now_ms, (), reason=reason)
        self._store.submit(Write(ends=[end]), lambda: answer(Outcome(row.id, "skipped")))
        lane = self.lane(row.flow)
        lane.release(row.id, row.key)
        lane.turn()

    def _set_aside(self, row: Execution, reason: str) -> None:
        facts = {"flow": row.flow, "execution": id_text("exe", row.id), "reason": reason}
        self._log.error(
            "an execution needs attention: retry it with --version current", extra=facts
        )
        self._store.submit(Write(changes=[Change(row.id, State.WAITING, None, reason)]))
        lane = self.lane(row.flow)
        lane.park(row.id)
        lane.turn()

    async def refill(self, flow: str) -> None:
        """Know more of the queued executions that are left to the store."""
        lane = self._lanes[flow]
        self._refilling.add(flow)
        try:
            wanted = True
            while wanted:
                lane.begin_reading()
                await self.settled()
                page = await self._store.backlog(flow, after=lane.last, limit=PAGE)
                wanted = lane.read(page, whole=len(page) < PAGE)
        finally:
            self._refilling.discard(flow)
        lane.turn()

    def _catch_up(self, flow: str, lane: Lane) -> None:
        if lane.short() is not None and flow not in self._refilling_keys:
            self._refilling_keys.add(flow)
            self.own(self._refill_keys(flow))

    async def _refill_keys(self, flow: str) -> None:
        """Know more of keys whose executions were left to the store because there are so many."""
        lane = self._lanes[flow]
        try:
            while (name := lane.short()) is not None:
                after = lane.begin_reading_key(name)
                await self.settled()
                page = await self._store.backlog(flow, after=after, limit=PAGE, key=name)
                found = [number for number, _ in page]
                if name != lane.short():
                    continue  # the flow was reloaded, or refilled, meanwhile
                lane.read_key(name, found, whole=len(page) < PAGE)
                lane.turn()
        finally:
            self._refilling_keys.discard(flow)

    async def _read_again(self, flow: str) -> None:
        """Take keys and queue of a flow from the store: they were counted otherwise before."""
        await self.settled()
        await self.own_keys(flow)
        await self.refill(flow)

    async def own_keys(self, flow: str) -> None:
        """Let open executions have their keys, and failed ones that hold them (`on_fail: hold`)."""
        lane, runner = self.lane(flow), self.runner
        if lane.run.mode == "parallel":
            return
        if lane.run.hold_on_fail:
            for number, key in await self._store.held_keys(flow):
                lane.own(number, key)
        for number, key, state in await self._store.open_keys(flow):
            if state is State.WAITING or number in runner.live:
                lane.own(number, key)

    async def alone(self, opened: Open, limit_secs: float) -> None:
        """Run one execution; return when it stored something, left, or the time is over."""
        self.lane(opened.execution.flow).occupy(opened.execution.id)
        await self._resume(opened)
        self._watching += 1
        try:
            await self.runner.quiet(opened.execution.id, limit_secs)
        finally:
            self._watching -= 1

    async def settled(self) -> None:
        """Everything submitted so far is on disk."""
        done = asyncio.get_running_loop().create_future()
        self._store.submit(Write(), lambda: None if done.done() else done.set_result(None))
        await done

    # ---- every few seconds

    async def reconcile(self) -> None:
        """Find what is due soon, and open rows without an owner, which run again (and count)."""
        runner = self.runner
        now_ms = self._clock.now_ms()
        due = await self._store.due(now_ms + NEAR_MS, limit=PAGE * 20)
        unknown = [number for _, number in due if not runner.alarms.watches(number)]
        rows = {opened.execution.id: opened.execution for opened in await self._store.load(unknown)}
        for due_ms, number in due:
            row = rows.get(number)
            if row is not None and row.state is State.WAITING and number not in runner.live:
                runner.alarms.watch(number, due_ms, row.flow)
            elif row is not None and row.state is State.QUEUED and self._delayed is not None:
                self._delayed.watch(row)
        if self._wakes is not None:
            await self._wakes.reconcile()
        for flow, lane in list(self._lanes.items()):
            self._catch_up(flow, lane)
        await self._find_lost(now_ms)

    async def _find_lost(self, now_ms: int) -> None:
        if self._held:
            return  # those that must run alone have no owner before their turn
        after, oldest = 0, (now_ms - 5_000) << 22
        states = (State.QUEUED, State.RUNNING)
        while page := await self._store.open_executions(states, after=after, limit=PAGE):
            after = page[-1].execution.id
            # What ends between the reading and this look has no owner either: look at it once more.
            suspects = [
                one.execution.id for one in self._unowned(page) if one.execution.id <= oldest
            ]
            for opened in self._unowned(await self._store.load(suspects) if suspects else []):
                row, lane = opened.execution, self.lane(opened.execution.flow)
                if row.state not in states or self._loading is not None:
                    continue
                self._meter.repaired += 1
                facts = {"flow": row.flow, "execution": id_text("exe", row.id)}
                self._log.error("an open execution had no owner: it is queued again", extra=facts)
                self._store.submit(Write(changes=[Change(row.id, State.QUEUED)]))
                lane.resume(row.id)
                lane.turn()
            if len(page) < PAGE or after > oldest:
                return

    def _unowned(self, page: list[Open]) -> list[Open]:
        live, turn = self.runner.live, self._turn
        return [
            one
            for one in page
            if one.execution.id not in live
            and (one.execution.due_ms is None or one.execution.state is not State.QUEUED)
            and one.execution.id not in turn
            and not self.lane(one.execution.flow).knows(one.execution.id, one.execution.key)
        ]

    # ---- by hand

    async def cancel(self, execution: int, error: Failure) -> bool:
        """Cancel an open execution wherever it is; False if it has ended or never was."""
        runner = self.runner
        if runner.cancel(execution, error):
            return True
        await self.settled()
        found = await self._store.load([execution])
        if runner.cancel(execution, error):  # it woke meanwhile
            return True
        if not found or found[0].execution.state.ended:
            return False
        row = found[0].execution
        lane = self.lane(row.flow)
        if row.started_ms is None:
            lane.drop(row.id, row.key)
            self._end_unstarted(found[0], error)
            return True
        lane.occupy(row.id)
        await self._resume(found[0], stop=error)
        return True

    def _end_unstarted(self, opened: Open, error: Failure) -> None:
        """End an execution that cannot run, not even its `finally`."""
        row, answer = opened.execution, self.runner.outcomes.answer
        now_ms = self._clock.now_ms()
        end = End(row.id, State.CANCELLED, row.started_ms, now_ms, opened.journal, error=error)
        write = Write(ends=[end], unwaits=waits_in(row, opened.journal))
        hearing = self.runner.hearing
        hearing.ended(row, write)

        def done() -> None:
            answer(Outcome(row.id, "cancelled"))
            hearing.tell_caller(row)

        self._store.submit(write, done)
        lane = self.lane(row.flow)
        lane.release(row.id, row.key)
        lane.turn()

    async def close(self) -> None:
        """End what is being loaded."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def own(self, work: Any) -> asyncio.Task[None]:
        """Do some work in a task that `close` ends."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def runner(self) -> Runner:
        """Who runs executions."""
        if self._runner is None:
            raise RuntimeError("the desk has no runner yet")
        return self._runner
