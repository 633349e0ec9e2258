"""What happens next in one execution: outcomes in, next steps out; no clock, disk or asyncio.

The machine is a walk over the flow in which every decision and every result is a journal entry. A
walk over a journal that already has entries takes them instead of deciding again; so starting,
recovering after a crash, waking from a sleep and trying a flow out are the same code. A step costs
O(1).
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from reactor.clock import instant
from reactor.engine.course import Course
from reactor.engine.failures import delay_secs, failure_of, from_plain, plain
from reactor.engine.render import Rendering
from reactor.engine.state import detached
from reactor.engine.turns import Act, Block, Ended, Turn, reads_state, wanted
from reactor.engine.words import DEFERRED, WORDS, Stage, Stopped, shown_of
from reactor.errors import ActionFailed, EvaluationError
from reactor.model.execution import Entry, Failure, State
from reactor.model.flow import ActionStep, AnyStep, Flow


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
    ) -> None:
        self.flow = flow
        self.journal: list[Entry] = list(journal)
        self.waits_for_commit = False
        self._rendering = rendering
        self._names = rendering.names
        self._stage = stage
        self._chance = chance
        self._saved = len(self.journal)
        self._history: dict[tuple[str, str], Any] = {}
        self._attempts: dict[str, list[Any]] = {}
        for entry in self.journal:
            if entry.kind == "attempt":
                self._attempts.setdefault(entry.path, []).append(entry.value)
            else:
                self._history[entry.path, entry.kind] = entry.value
        self._acts: list[Act] = []
        self._turns: dict[str, Turn] = {}
        self._blocks: deque[Block] = deque()
        self._barrier: Block | None = None
        self._replied = ("", "reply") in self._history
        self._cancelled = self._history.get(("", "cancel"))
        self._course = Course(flow, self._names, self._history, self._block, self._note)

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
        self._walk(now_ms)
        if self._cancelled is not None:
            cancelled, self._cancelled = from_plain(self._cancelled), None
            self._give_up(cancelled, now_ms)

    def finish(self, path: str, output: Any, now_ms: int) -> None:
        """An attempt succeeded; `output` is plain data without secrets."""
        turn = self._turns.pop(path, None)
        if turn is not None:
            if self._succeeded(turn, output, now_ms):
                self._blocks.append(turn.block)
            self._walk(now_ms)

    def fail(self, path: str, failed: ActionFailed, now_ms: int) -> None:
        """An attempt failed: it is tried again at a stored time, or the step fails."""
        turn = self._turns.get(path)
        if turn is None:
            return
        failure = failure_of(turn.step.id, failed, attempts=turn.attempt)
        delay = self._delay(turn, failed, failure, now_ms)
        if delay is not None:
            turn.due_ms = now_ms + round(delay * 1000)
            value = {"number": turn.attempt, "error": plain(failure), "due": turn.due_ms}
            self._note(path, "attempt", value)
            return
        del self._turns[path]
        if self._failed(turn, failure, now_ms):
            self._blocks.append(turn.block)
        self._walk(now_ms)

    def proceed(self, now_ms: int) -> None:
        """What was unsaved is on disk: a step that reads `state` after a `set` may go on."""
        block, self._barrier = self._barrier, None
        self.waits_for_commit = False
        if block is not None:
            self._blocks.append(block)
            self._walk(now_ms)

    def cancel(self, error: Failure, now_ms: int) -> None:
        """Stop what runs and go to `finally`; in `finally` already, skip the rest of it."""
        if self.ended is not None:
            return
        if self.closing:
            self._drop()
            self._course.end()
            return
        self._note("", "cancel", plain(error))
        self._give_up(error, now_ms)

    # ---- read from outside

    @property
    def due(self) -> int | None:
        """The earliest time at which a sleeping step goes on."""
        times = [turn.due_ms for turn in self._turns.values() if turn.due_ms is not None]
        return min(times, default=None)

    @property
    def sleeping(self) -> bool:
        """Whether all that is open waits for a stored time."""
        turns = self._turns
        return bool(turns) and all(turn.due_ms is not None for turn in turns.values())

    @property
    def closing(self) -> bool:
        """Whether `finally` runs."""
        return self._course.phase == "finally"

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

    def unsaved(self) -> tuple[Entry, ...]:
        """The entries since the last call; the caller stores them."""
        entries = tuple(self.journal[self._saved :])
        self._saved = len(self.journal)
        return entries

    @property
    def saved(self) -> int:
        """How many entries were taken by `unsaved`, or were there from the start."""
        return self._saved

    def take_acts(self) -> list[Act]:
        """What is to be performed, each once."""
        acts, self._acts = self._acts, []
        return acts

    # ---- the walk

    def _walk(self, now_ms: int) -> None:
        while self._blocks:
            block = self._blocks.popleft()
            steps = block.steps
            while block.at < len(steps):
                step = steps[block.at]
                block.at += 1
                if not self._enter(step, block, now_ms):
                    break
            else:
                block.ended(None)

    def _block(self, steps: tuple[AnyStep, ...], ended: Ended) -> None:
        self._blocks.append(Block(steps, ended))

    def _enter(self, step: AnyStep, block: Block, now_ms: int) -> bool:
        """Begin a step; whether the walk goes on with the next one at once."""
        path = step.path
        if self._history:
            done = self._history.get((path, "done"))
            if done is not None:
                return self._replay(Turn(step, path, block, now_ms), done)
            if self._cancelled is not None:
                return False  # what was not done before the cancel is not begun after a crash
            ready = self._history.get((path, "ready"))
            if ready is not None and isinstance(step, ActionStep):
                return self._resume(Turn(step, path, block, ready["at"], ready["input"]), now_ms)
        if self._stage.states and reads_state(step):
            block.at -= 1
            self._barrier = block
            self.waits_for_commit = True
            return False
        self._names["now"] = instant(now_ms)
        turn = Turn(step, path, block, now_ms)
        try:
            if (step.only_if or step.unless) and not wanted(step, self._names):
                self._settle(turn, "skipped", None, None, now_ms)
                return True
            if not isinstance(step, ActionStep):
                message = f"{type(step).__name__} is not built yet"
                raise ActionFailed(message, kind="not_built")
            config, turn.shown = self._rendering.config(step)
        except (EvaluationError, ActionFailed) as error:
            return self._failed(turn, failure_of(step.id, error), now_ms)
        word = WORDS.get(step.action)
        if word is not None:
            return self._say(turn, word, config, now_ms)
        self._note(path, "ready", {"at": now_ms, "input": turn.shown})
        if step.once:
            self._note(path, "once", None)
        self._open(turn, step, config)
        return False

    def _say(self, turn: Turn, word: Any, config: Any, now_ms: int) -> bool:
        """Do one of the engine's own words; what is kept of it never holds a secret."""
        action = turn.step.action if isinstance(turn.step, ActionStep) else ""
        given = config if action == "reply" else turn.shown
        try:
            output = word(given, self._names, turn.path, self._stage, now_ms)
        except (EvaluationError, ActionFailed) as error:
            return self._failed(turn, failure_of(turn.step.id, error), now_ms)
        if isinstance(output, Stopped):
            self._settle(turn, "ok", output.reason, None, now_ms)
            self._stop(turn.block)
            return False
        if action in DEFERRED:
            turn.shown = shown_of(config, output)
        elif action == "vars":
            self._rendering.add_vars(config, turn.shown)
        elif action == "reply":
            output = turn.shown
            if not self._replied:  # the first one counts
                self._replied = True
                self._note("", "reply", output)
        return self._succeeded(turn, output, now_ms)

    def _open(self, turn: Turn, step: ActionStep, config: Any) -> None:
        authored = self._rendering.authored(step)
        limit = step.timeout_secs
        turn.act = Act(step, turn.path, config, turn.shown, turn.attempt, limit, authored)
        self._turns[turn.path] = turn
        self._acts.append(turn.act)

    def _resume(self, turn: Turn, now_ms: int) -> bool:
        step = turn.step
        assert isinstance(step, ActionStep)  # noqa: S101 - only outside steps have `ready` entries
        if (turn.path, "once") in self._history:
            message = "the daemon stopped during this `once` step: whether it happened is unknown"
            failure = Failure(step=step.id, kind="unknown_outcome", message=message)
            return self._failed(turn, failure, now_ms)
        attempts = self._attempts.get(turn.path, ())
        turn.attempt = len(attempts) + 1
        if attempts and attempts[-1]["due"] > now_ms:
            turn.due_ms = attempts[-1]["due"]
            self._turns[turn.path] = turn
            return False
        self._names["now"] = instant(turn.ready_ms)
        config = turn.shown
        if self._rendering.has_secrets(step) or "state" in step.config.roots:
            try:
                config, turn.shown = self._rendering.config(step)
            except (EvaluationError, ActionFailed) as error:
                return self._failed(turn, failure_of(step.id, error), now_ms)
        self._open(turn, step, config)
        return False

    def _replay(self, turn: Turn, done: Any) -> bool:
        """Take a result that the journal has."""
        step = turn.step
        result = {name: done[name] for name in ("output", "status", "error", "attempts")}
        self._names["steps"][step.id] = result
        if done["status"] == "failed":
            return self._rescue(turn, done["error"])
        if done["status"] == "ok" and isinstance(step, ActionStep):
            if step.action == "stop":
                self._stop(turn.block)
                return False
            if step.action == "vars":
                stored = done["input"]
                real = stored
                if self._rendering.has_secrets(step):
                    try:
                        real = self._rendering.config(step)[0]
                    except (EvaluationError, ActionFailed) as error:
                        failure = failure_of(step.id, error)
                        return self._failed(turn, failure, turn.ready_ms)
                self._rendering.add_vars(real, stored)
        return True

    # ---- how a step ends

    def _succeeded(self, turn: Turn, output: Any, now_ms: int) -> bool:
        step = turn.step
        if step.output is not None:
            raw = {"output": output, "status": "ok", "error": None, "attempts": turn.attempt}
            self._names["steps"][step.id] = raw
            try:
                output = step.output.render(self._names)
                if "state" in step.output.roots:
                    output = detached(output)
            except EvaluationError as error:
                message = f"output: {error}"
                failure = Failure(step=step.id, kind="type", message=message, attempts=turn.attempt)
                return self._failed(turn, failure, now_ms)
        self._settle(turn, "ok", output, None, now_ms)
        return True

    def _failed(self, turn: Turn, failure: Failure, now_ms: int) -> bool:
        error = plain(failure)
        self._settle(turn, "failed", None, error, now_ms)
        return self._rescue(turn, error)

    def _rescue(self, turn: Turn, error: dict[str, Any]) -> bool:
        rule, block = turn.step.on_error, turn.block
        if rule == "continue":
            return True
        if rule == "fail":
            block.leave(from_plain(error))
            return False
        self._names["error"] = error

        def rescued(failure: Failure | None) -> None:
            if failure is None:
                self._blocks.append(block)
            else:
                block.leave(failure)

        self._block(rule, rescued)
        return False

    def _settle(self, turn: Turn, status: str, output: Any, error: Any, now_ms: int) -> None:
        attempts = 0 if status == "skipped" else turn.attempt
        result = {"output": output, "status": status, "error": error, "attempts": attempts}
        self._names["steps"][turn.step.id] = result
        times = {"started": turn.ready_ms, "finished": now_ms, "input": turn.shown}
        self._note(turn.path, "done", {**result, **times})

    def _stop(self, block: Block) -> None:
        block.at = len(block.steps)
        self._drop()
        self._course.stop()

    def _give_up(self, error: Failure, now_ms: int) -> None:
        self._drop()
        self._course.give_up(error)
        self._walk(now_ms)

    def _drop(self) -> None:
        self._turns.clear()
        self._blocks.clear()
        self._acts.clear()
        self._barrier = None
        self.waits_for_commit = False

    # ---- small decisions

    def _take_vars(self) -> None:
        if self.flow.vars:
            stored = self._history.get(("", "vars"))
            shown = self._rendering.start_vars(self.flow, stored)
            if stored is None:
                self._note("", "vars", shown)

    def _delay(
        self, turn: Turn, failed: ActionFailed, failure: Failure, now_ms: int
    ) -> float | None:
        if turn.step.retry is None:
            return None
        return delay_secs(
            turn.step.retry,
            failed,
            failure,
            names=self._names,
            elapsed_secs=(now_ms - turn.ready_ms) / 1000,
            chance=self._chance,
        )

    def _note(self, path: str, kind: str, value: Any) -> None:
        self.journal.append(Entry(path, kind, value))
