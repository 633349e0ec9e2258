"""Executions at work: what the machine asks for is performed, recorded, then gone on from."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from reactor.clock import Clock
from reactor.engine.aftermath import Aftermath, Say
from reactor.engine.alarms import Alarms
from reactor.engine.attempts import Attempts
from reactor.engine.bell import Bell
from reactor.engine.bisect import to_be_halved
from reactor.engine.deadlines import Deadlines
from reactor.engine.ending import Endings
from reactor.engine.hearing import Hearing
from reactor.engine.lanes import Lane
from reactor.engine.making import Maker, Passed, Running, about_execution
from reactor.engine.meter import Meter
from reactor.engine.outcomes import Outcomes
from reactor.engine.perform import Performer
from reactor.engine.progress import Progress
from reactor.engine.rates import Rates
from reactor.engine.router import Candidate
from reactor.engine.state import SharedState
from reactor.engine.timers import Timers
from reactor.engine.weaver import Weaver
from reactor.errors import ActionFailed
from reactor.ids import Ids
from reactor.model.event import Outcome
from reactor.model.execution import Entry, Execution, Failure, State
from reactor.model.flow import Flow
from reactor.store import Change, End, NewExecution, Open, Record, Store, Write


class Runner:
    """Performs executions. All methods belong to the event loop's thread.

    Order of things for one execution: rows are submitted, `done` comes after the commit, only then
    outside steps begin. Steps of the engine's own run on without waiting.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        shared: SharedState,
        lane: Callable[[str], Lane],
        performer: Performer,
        spans: Timers,
        rates: Rates,
        alarms: Alarms,
        meter: Meter,
        bell: Bell,
        say: Say,
        maker: Maker,
    ) -> None:
        self.live: dict[int, Running] = {}
        self.open = True
        self._store = store
        self._clock = clock
        self._ids = ids
        self._lane = lane
        self._attempts = Attempts(performer, spans, rates, self._fed, self._alone)
        self._spans = spans
        self.alarms = alarms
        self._meter = meter
        self._bell = bell
        self._maker = maker
        self._weaver: Weaver
        self._endings: Endings
        self.hearing: Hearing
        self._deadlines = Deadlines(clock, spans, self.cancel)
        self.outcomes = Outcomes(store, self.live.__contains__)
        self._aftermath = Aftermath(
            shared=shared, outcomes=self.outcomes, meter=meter, bell=bell, say=say
        )
        self._progress = Progress(spans)

    def use(self, weaver: Weaver, hearing: Hearing) -> None:
        """Set who puts emitted events into a write, and who brings what is waited for."""
        self._weaver = weaver
        self.hearing = hearing
        self._endings = Endings(
            clock=self._clock,
            ids=self._ids,
            meter=self._meter,
            lane=self._lane,
            weaver=weaver,
            hearing=hearing,
        )

    # ---- beginning

    def begin(
        self, row: Execution, candidate: Candidate, names: dict[str, Any], write: Write
    ) -> Running | Passed:
        """Start a new execution that has its slot, up to its first outside step.

        `names` are what its conditions saw. Its row and what it decided go into the write.
        """
        stage, now_ms = self._maker.stage(row, candidate.flow), row.created_ms
        journal: list[Entry] = []
        if candidate.straight is not None:
            names["steps"] = {}
            names["error"] = None
            if candidate.straight.about_itself:
                names["execution"] = about_execution(row)
            journal, through, output = candidate.straight.walk(names, stage, now_ms)
            if through:
                return self._pass(Passed(row, stage, output), tuple(journal), write)
        running = self._maker.make(row, candidate.flow, names, stage, journal, saved=0)
        running.started_ms = now_ms
        self.live[row.id] = running
        running.machine.begin(now_ms)
        write.executions.append(self._row(running, write))
        return running

    def _pass(self, passed: Passed, journal: tuple[Entry, ...], write: Write) -> Passed:
        row, stage = passed.row, passed.stage
        write.executions.append(NewExecution(row, journal))
        if stage.states:
            write.states += stage.states
        self._endings.passed(passed, write)
        lane = self._lane(row.flow)
        lane.release(row.id, row.key)
        lane.turn()
        return passed

    def resume(
        self,
        opened: Open,
        flow: Flow,
        view: dict[str, Any],
        *,
        events: Any = None,
        stop: Failure | None = None,
    ) -> None:
        """Go on with a stored execution that has its slot; with `stop` only to its `finally`."""
        now_ms = self._clock.now_ms()
        row = opened.execution
        names = self._maker.names(flow, view, events)
        running = self._maker.make(row, flow, names, self._maker.stage(row, flow), opened.journal)
        to_be_halved(running, opened.taken)
        if running.started_ms is None:
            running.started_ms = now_ms
        self.live[row.id] = running
        running.machine.begin(now_ms)
        if stop is not None and not running.machine.patient(stop):
            self.cancel(row.id, stop)
        elif running.machine.fresh or not running.machine.sleeping:
            self._deadlines.set(running)
            self._record(running, started=True)
        elif (due_ms := self._deadlines.due(running)) is not None and due_ms <= now_ms:
            self._deadlines.too_long(running)
        else:
            # Woken for nothing: the clock was set back. After a crash the row says that it runs.
            self._record(running)

    # ---- rows

    def _row(self, running: Running, write: Write) -> NewExecution:
        machine, row = running.machine, running.row
        running.commits += 1
        write.states += running.stage.states
        running.stage.pour(write)
        sleeping = machine.ended is None and machine.sleeping
        state = machine.ended or (State.WAITING if sleeping else State.RUNNING)
        finished_ms = None if machine.ended is None else self._clock.now_ms()
        begun = replace(
            row,
            state=state,
            started_ms=running.started_ms,
            finished_ms=finished_ms,
            due_ms=self._deadlines.due(running) if sleeping else None,
            reason=machine.waits_for if sleeping else None,
            error=machine.error,
        )
        running.row = begun
        if machine.ended is not None:
            self._endings.rows(running, write, machine.ended)
            self._leave(running, machine.ended)
        return NewExecution(begun, machine.unsaved())

    def committed(self, begun: Running | Passed) -> None:
        """What an execution decided so far is on disk: carry it out, and go on."""
        if isinstance(begun, Running):
            self._committed(begun)
            return
        self._aftermath.let_out(begun.row, begun.stage)
        self._aftermath.ended(begun.row, begun.row.state, begun.output, None)
        self.hearing.tell_caller(begun.row)

    def _committed(self, running: Running) -> None:
        running.commits -= 1
        if running.commits or running.patience is not None:
            return  # more was decided meanwhile: nothing is done before that is on disk too
        stage, machine = running.stage, running.machine
        if self._progress.awaited:
            ended = machine.ended is not None
            self._progress.stored(running.row.id, machine.saved, ended=ended)
        self._aftermath.let_out(running.row, stage)
        if machine.ended is not None:
            self._finished(running)
        elif machine.waits_for_commit:
            machine.proceed(self._clock.now_ms())
            self.go_on(running)
        elif machine.sleeping:
            self._park(running)
        else:
            self._deadlines.set(running)
            held = self.open and self._attempts.begin(running)
            if self.open and machine.asks:
                self.hearing.ask(running)
            if held and running.machine.sleeping:
                self._record(running)
            else:
                self._set_alarm(running)

    # ---- outside steps

    def _fed(self, running: Running, path: str, result: Any) -> None:
        if self.live.get(running.row.id) is not running:
            return  # it was not waited for any longer
        now_ms = self._clock.now_ms()
        self._meter.steps += 1
        if self._bell.listeners:
            word = "failed" if isinstance(result, ActionFailed) else "ok"
            row = running.row
            self._bell.ring("step", flow=row.flow, execution=row.id, step=path, state=word)
        if isinstance(result, ActionFailed):
            self._meter.step_failures += 1
            running.machine.fail(path, result, now_ms)
        else:
            running.machine.finish(path, result, now_ms)
        self.go_on(running)

    def go_on(self, running: Running) -> None:
        """Record what the machine decided, once the attempts that it gave up have ended."""
        if not self._attempts.give_up(running):
            self._record(running)

    def _alone(self, running: Running) -> None:
        """Attempts that were cancelled have ended, or had their time to: go on."""
        if running.stopping is not None:
            self._stop_now(running)
        elif self.live.get(running.row.id) is running and running.machine.fresh:
            self._record(running)

    def _set_alarm(self, running: Running) -> None:
        """Wake a live execution in which one branch waits for a time while others work."""
        if running.alarm is not None:
            running.alarm.cancel()
            running.alarm = None
        if (due_ms := running.machine.due) is not None:
            running.alarm = self.alarms.at(due_ms, lambda: self._woken(running))

    def _woken(self, running: Running) -> None:
        running.alarm = None
        if running.row.id in self.live and running.stopping is None:
            running.machine.wake(self._clock.now_ms())
            self.go_on(running)

    def _record(self, running: Running, *, started: bool = False) -> None:
        """Submit what is new; go on after the commit."""
        machine, row = running.machine, running.row
        write = Write()
        write.states += running.stage.states
        entries = machine.unsaved()
        if machine.ended is not None:
            now_ms, journal = self._clock.now_ms(), tuple(machine.journal)
            reason = "bisected" if running.batch and machine.ended is State.FAILED else None
            end = End(
                row.id, machine.ended, running.started_ms, now_ms, journal, reason, machine.error
            )
            write.ends.append(end)
            self._endings.rows(running, write, machine.ended)
        else:
            if entries:
                write.records.append(Record(row.id, entries))
            crashes = 0 if row.crashes and entries else None
            if machine.sleeping:
                due_ms = self._deadlines.due(running)
                reason, started_ms = machine.waits_for, running.started_ms
                change = Change(row.id, State.WAITING, due_ms, reason, started_ms, crashes)
                write.changes.append(change)
            elif started or crashes is not None:
                change = Change(row.id, State.RUNNING, None, None, running.started_ms, crashes)
                write.changes.append(change)
        self._send(write, running)

    def _send(self, write: Write, running: Running) -> None:
        running.commits += 1
        stage = running.stage
        stage.pour(write)
        cancels, stage.cancels = stage.cancels, []
        if cancels:
            self.hearing.give_up(cancels, write)
        emissions, stage.emissions = stage.emissions, []
        if emissions:
            self._weaver.submit(write, emissions, lambda: self.committed(running))
        else:
            self._store.submit(write, lambda: self.committed(running))
        if cancels:
            self.hearing.given_up(cancels)

    # ---- waiting

    def _park(self, running: Running) -> None:
        """The slot goes to others; the time is a row, and a timer if it is near."""
        row, due_ms = running.row, self._deadlines.due(running)
        self._drop(running)
        running.machine.let_go()
        self._meter.parked += 1
        if due_ms is not None:
            self.alarms.watch(row.id, due_ms, row.flow)
        lane = self._lane(row.flow)
        lane.park(row.id)
        lane.turn()

    # ---- ending

    def cancel(self, execution: int, error: Failure) -> bool:
        """Stop a live execution: its attempts end, then `finally` runs. False if it is not live."""
        running = self.live.get(execution)
        if running is None:
            return False
        if running.machine.patient(error):
            return True  # it ends already; the next cancel leaves the rest
        if running.machine.closing or running.stopping is None:
            running.stopping = error
            if not self._attempts.stop(running):
                self._stop_now(running)
        return True

    def _stop_now(self, running: Running) -> None:
        error, running.stopping = running.stopping, None
        if error is None or running.machine.ended is not None:
            return
        running.tasks.clear()
        self._attempts.forget(running)
        running.machine.cancel(error, self._clock.now_ms())
        self._record(running)

    def bury(self, opened: Open, error: Failure) -> None:
        """End a stored execution that must not run any more: no `finally`, a dead letter."""
        row = opened.execution

        def done() -> None:
            self.outcomes.answer(Outcome(row.id, State.FAILED.word, error_kind=error.kind))
            self.hearing.tell_caller(row)

        self._endings.bury(opened, error, done)

    def _finished(self, running: Running) -> None:
        row, machine = running.row, running.machine
        state = machine.ended or State.FAILED
        if row.id in self.live:  # an execution that ended before its first commit has left already
            self._leave(running, state)
        self._aftermath.ended(row, state, machine.output, machine.error)
        self.hearing.tell_caller(row)

    def _leave(self, running: Running, state: State) -> None:
        """Give slot and key to the next."""
        self._drop(running)
        row = running.row
        lane = self._lane(row.flow)
        hold = lane.run.hold_on_fail and state is State.FAILED and running.batch is None
        lane.release(row.id, row.key, hold=hold)
        lane.turn()

    def _drop(self, running: Running) -> None:
        self.live.pop(running.row.id, None)
        self._deadlines.clear(running)
        if running.alarm is not None:
            running.alarm.cancel()
            running.alarm = None

    @property
    def attempts(self) -> int:
        """How many attempts are under way."""
        return self._attempts.busy

    async def quiet(self, execution: int, limit_secs: float) -> None:
        """Return when a live execution stored a result, left, or the time is over."""
        running = self.live.get(execution)
        if running is not None:
            await self._progress.beyond(execution, running.machine.saved, limit_secs)

    # ---- stopping

    async def drain(self, limit_secs: float) -> None:
        """Begin nothing more; give what runs some time, then cancel it: it runs again next time."""
        self.open = False
        await self._attempts.drain(limit_secs, self.live.values())
        cut = Write(changes=[Change(number, State.QUEUED) for number in self.live])
        if cut.changes:
            self._store.submit(cut)
