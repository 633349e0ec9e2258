"""What happens next in one execution: outcomes in, next steps out; no clock, disk or asyncio.

The machine is a walk over the flow in which every decision and every result is a journal entry. A
walk over a journal that already has entries takes them instead of deciding again; so starting,
recovering after a crash, waking from a sleep and trying a flow out are the same code. A step costs
O(1).
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from reactor.clock import instant
from reactor.engine.asking import Ask, AskingFrame, Heard
from reactor.engine.course import Course
from reactor.engine.failures import failure_of, from_plain, plain
from reactor.engine.ledger import Ledger
from reactor.engine.render import Rendering
from reactor.engine.turns import Act, Ended, Ground
from reactor.engine.undoing import Undoing
from reactor.engine.walker import Walker
from reactor.engine.words import Stage
from reactor.errors import ActionFailed, EvaluationError
from reactor.model.execution import Entry, Failure, State
from reactor.model.flow import AnyStep, Flow


class Machine:
    """One execution.

    Feed it with `begin`, `finish`, `fail`, `proceed` and `cancel`; after each call take `acts` (to
    perform), read `sleeping` and `due`, `waits_for_commit` and `ended`, and store the `unsaved`
    entries.
    """

    def __init__(
        self,
        flow: Flow,
        rendering: Rendering,
        stage: Stage,
        journal: Iterable[Entry],
        chance: Callable[[], float],
        *,
        saved: int | None = None,
    ) -> None:
        self.flow = flow
        self._ledger = Ledger(journal, saved)
        self.journal = self._ledger.entries
        self._rendering = rendering
        self._names = rendering.names
        self._walker = walker = Walker(rendering, stage, self._ledger, chance)
        self._opened = walker.opened
        self._ground = Ground(rendering.names)
        self._undoing = walker.undoing = undoing = Undoing(
            flow, self._ledger, rendering.names, walker.opened.blocks.append
        )
        self._course = Course(
            flow,
            self._names,
            self._ledger.history,
            self._block,
            walker.note,
            undoing=undoing,
            now_ms=lambda: walker.now_ms,
        )
        walker.stopped = self._course.stop
        history = self._ledger.history
        self._asked = ("", "cancel") in history or ("", "asked") in history
        self.finish = walker.finish  # nothing stands between an outcome and the walk
        self.fail = walker.fail
        self.hold = walker.hold

    # ---- fed from outside

    def begin(self, now_ms: int) -> None:
        """Walk from the start, over what the journal has, to the first open decision."""
        self._names["now"] = instant(now_ms)
        try:
            self._take_vars()
        except (EvaluationError, ActionFailed) as error:
            failure = replace(failure_of(None, error), message=f"vars: {error}")
            self._course.do_ended(failure)
        else:
            self._block(self.flow.do, self._course.do_ended)
        self._walker.walk(now_ms)
        if self._walker.cancelled is not None:
            cancelled, self._walker.cancelled = self._walker.cancelled, None
            self._give_up(from_plain(cancelled), now_ms)
        # After the cancel, for what it leads to may have slept too, a retry in `finally`.
        if self._ledger.history:
            self.wake(now_ms)

    def halve(self) -> None:
        """This is a batch that goes on as two when it fails: without `on_error`, no dead letter."""
        self._course.halved = True

    def wake(self, now_ms: int) -> None:
        """Go on with what is due."""
        self._walker.now_ms = now_ms
        self._opened.wake(now_ms)
        self._walker.walk(now_ms)

    def proceed(self, now_ms: int) -> None:
        """What was unsaved is on disk: a step that reads `state` after a `set` may go on."""
        paused, self._opened.paused = self._opened.paused, []
        self._opened.blocks.extend(paused)
        self._walker.walk(now_ms)

    def cancel(self, error: Failure, now_ms: int) -> None:
        """Stop what runs, undo, go to `finally`; there already, leave the rest of it."""
        if self.ended is not None:
            return
        if self.closing:
            self._opened.drop()
            self._walker.now_ms = now_ms
            self._course.leave(error)
            self._walker.walk(now_ms)
            return
        self._asked = True
        self._walker.note("", "cancel", plain(error))
        self._give_up(error, now_ms)

    def stir(self) -> None:
        """Something came that a waiting step may take: it asks again."""
        for frame in self._opened.frames.values():
            if isinstance(frame, AskingFrame):
                frame.stir()

    def told(self, path: str, answer: Heard, now_ms: int) -> None:
        """The answer to what a waiting step asked."""
        frame = self._opened.frames.get(path)
        if isinstance(frame, AskingFrame):
            self._walker.now_ms = now_ms
            frame.told(answer)
            self._walker.walk(now_ms)

    def patient(self, error: Failure) -> bool:
        """Whether what it would stop ends in any case: `undo` or `finally`, at the first cancel."""
        if not self.closing or error.kind == "timeout":
            return False
        if error.kind == "cancelled":
            if self._asked:
                return False
            self._asked = True
            self._walker.note("", "asked", plain(error))
        return True

    def let_go(self) -> None:
        """The execution leaves memory: nothing in it leads back to the machine any more."""
        self._opened.forget()
        self._course.let_go()

    # ---- read from outside

    @property
    def waits_for_commit(self) -> bool:
        """Whether it goes on with `proceed` once all is on disk."""
        return bool(self._opened.paused)

    @property
    def due(self) -> int | None:
        """The earliest time at which a sleeping step goes on, or one has taken too long."""
        return self._opened.due

    @property
    def sleeping(self) -> bool:
        """Whether all that is open waits for a stored time."""
        return self._opened.sleeping

    @property
    def waits_for(self) -> str:
        """What it sleeps for: `retry`, `wait`, `event`, `approval`, `call`, `rate of …`."""
        return self._opened.waits_for

    @property
    def closing(self) -> bool:
        """Whether `undo` or `finally` runs."""
        return self._course.phase in ("undo", "finally")

    @property
    def closing_times(self) -> tuple[int, int] | None:
        """Since when `undo` or `finally` runs and how long it may, in ms; None if none does."""
        since_ms = self._course.since_ms
        if since_ms is None or not self.closing:
            return None
        return since_ms, round(self._course.limit_secs * 1000)

    @property
    def not_undone(self) -> list[tuple[str, dict[str, Any]]]:
        """The steps that could not be taken back, and why."""
        return list(self._undoing.failures()) if self._undoing.used else []

    @property
    def ended(self) -> State | None:
        """How the execution ended, or None."""
        return self._course.ended

    @property
    def error(self) -> Failure | None:
        """Why it failed."""
        return self._course.error

    @property
    def output(self) -> Any:
        """The flow's output."""
        return self._course.output

    @property
    def fresh(self) -> bool:
        """Whether there are unsaved entries."""
        return self._ledger.fresh

    def unsaved(self) -> tuple[Entry, ...]:
        """The entries since the last call; the caller stores them."""
        return self._ledger.unsaved()

    @property
    def saved(self) -> int:
        """How many entries were taken by `unsaved`, or were there from the start."""
        return self._ledger.saved

    def take_acts(self) -> list[Act]:
        """What is to be performed, each once."""
        opened = self._opened
        acts, opened.acts = opened.acts, []
        return acts

    def take_aborts(self) -> list[str]:
        """Paths of attempts under way that are to be cancelled and waited for."""
        opened = self._opened
        aborts, opened.aborts = opened.aborts, []
        return aborts

    @property
    def asks(self) -> bool:
        """Whether a step must be told something."""
        return bool(self._opened.asking)

    def take_asks(self) -> list[Ask]:
        """What steps ask of the store, each once."""
        asks = (frame.question() for frame in self._opened.asking)
        return [ask for ask in asks if ask is not None]

    def _give_up(self, error: Failure, now_ms: int) -> None:
        self._opened.drop()
        self._course.give_up(error)
        self._walker.walk(now_ms)

    def _block(self, steps: tuple[AnyStep, ...], ended: Ended) -> None:
        self._walker.push(steps, ended, self._ground)

    def _take_vars(self) -> None:
        if self.flow.vars:
            stored = self._ledger.history.get(("", "vars"))
            shown = self._rendering.start_vars(self.flow, stored)
            if stored is None:
                self._walker.note("", "vars", shown)
