"""The walk over the steps of an execution: each is begun, replayed or gone on with, and ends."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from reactor.clock import instant
from reactor.engine.control import frame_of
from reactor.engine.failures import delay_secs, failure_of, from_plain, plain, retryable
from reactor.engine.judging import reads_state, wanted
from reactor.engine.ledger import Ledger
from reactor.engine.opened import Opened
from reactor.engine.render import Rendering
from reactor.engine.replaying import replay
from reactor.engine.state import detached
from reactor.engine.turns import Act, Block, Ended, Ground, Turn, Wake
from reactor.engine.undoing import Undoing
from reactor.engine.words import DEFERRED, WORDS, Stage, Stopped, shown_of
from reactor.errors import ActionFailed, EvaluationError
from reactor.model.execution import Entry, Failure
from reactor.model.flow import ActionStep, AnyStep, ParallelStep, WaitStep


class Walker:
    """Walks blocks of steps; what is open meanwhile is in `opened`.

    `stopped` is called when a `stop` step was reached; `cancelled` is what the journal has of a
    cancel, until it was carried out.
    """

    def __init__(
        self, rendering: Rendering, stage: Stage, ledger: Ledger, chance: Callable[[], float]
    ) -> None:
        self.now_ms = 0
        self.ledger = ledger
        self.opened = Opened()
        self.stopped: Callable[[], None] = _nothing
        self.undoing: Undoing
        self.cancelled = ledger.history.get(("", "cancel"))
        self.rendering = rendering
        self._stage = stage
        self._chance = chance
        self._history = ledger.history
        self._entries = ledger.entries
        self._replied = ("", "reply") in ledger.history
        self._turns = self.opened.turns
        self._blocks = self.opened.blocks

    def finish(self, path: str, output: Any, now_ms: int) -> None:
        """An attempt succeeded; `output` is plain data without secrets."""
        turn = self._turns.pop(path, None)
        if turn is not None:
            self.now_ms = now_ms
            if self._succeeded(turn, output, now_ms):
                self._blocks.append(turn.block)
            self.walk(now_ms)

    def fail(self, path: str, failed: ActionFailed, now_ms: int) -> None:
        """An attempt failed: it is tried again at a stored time, or the step fails."""
        turn = self._turns.get(path)
        if turn is None:
            return
        self.now_ms = now_ms
        failure = failure_of(turn.step.id, failed, attempts=turn.attempt)
        delay = self._delay(turn, failed, failure)
        if delay is not None:
            self._again(turn, failure, now_ms + round(delay * 1000), self._reopen)
            return
        del self._turns[path]
        if self.failed(turn, failure, now_ms):
            self._blocks.append(turn.block)
        self.walk(now_ms)

    def hold(self, path: str, due_ms: int, connection: str) -> None:
        """An attempt waits for its turn at a connection."""
        turn = self._turns[path]
        turn.held, turn.act = connection, None
        self._sleep(turn, due_ms, self._turn_came)

    def _turn_came(self, turn: Turn) -> None:
        turn.due_ms = turn.wake = turn.held = None
        self._perform(turn)

    # ---- for control steps

    @property
    def undecided(self) -> bool:
        """Whether `state` was set and the disk does not have it yet."""
        return bool(self._stage.states)

    @property
    def stage(self) -> Stage:
        """What the steps act on."""
        return self._stage

    @cached_property
    def taken(self) -> set[int]:
        """The events that steps of this execution have waited for and got."""
        return {value for (_, kind), value in self._history.items() if kind == "took"}

    def note(self, path: str, kind: str, value: Any) -> None:
        """Add an entry to the journal."""
        self._entries.append(Entry(path, kind, value))

    def recorded(self, path: str, kind: str) -> Any:
        """What the journal had of a decision when this machine was made, or None."""
        return self._history.get((path, kind)) if self._history else None

    def push(self, steps: tuple[AnyStep, ...], ended: Ended, ground: Ground) -> None:
        """Walk these steps soon; `ended` is called when they are through."""
        self._blocks.append(Block(steps, ended, ground))

    def pause(self, block: Block) -> None:
        """Walk this block after the next commit."""
        self.opened.paused.append(block)

    def unwind(
        self, turn: Turn, begins: list[str], ground: Ground, then: Callable[[], None]
    ) -> bool:
        """Drop what is open inside a control step and take it back, then go on; if there is any."""
        paths = self.undoing.pending(begins, ground.suffix)
        if paths:
            for one in self.opened.lose(turn.path):
                self._settle(one, "cancelled", None, None, self.now_ms)
            self.undoing.run(paths, then, self.note, ground)
        return bool(paths)

    def close(self, turn: Turn, output: Any, failure: Failure | None) -> None:
        """End a control step."""
        frame = self.opened.frames.pop(turn.path, None)
        if frame is not None:
            frame.ended()
        halfway = failure is not None or isinstance(turn.step, ParallelStep | WaitStep)
        lost = self.opened.lose(turn.path) if halfway else ()
        self._close(turn, output, failure)
        for one in lost:
            self._settle(one, "cancelled", None, None, self.now_ms)

    def _close(self, turn: Turn, output: Any, failure: Failure | None) -> None:
        if turn.step.each is not None:  # what stands beside it belongs to the items
            if failure is None:
                self._settle(turn, "ok", output, None, self.now_ms)
                self._blocks.append(turn.block)
            else:
                self._settle(turn, "failed", None, plain(failure), self.now_ms)
                turn.block.leave(failure)
            return
        retry = turn.step.retry
        if failure is not None and retry is not None:
            failure = replace(failure, attempts=turn.attempt)
            delay = self._delay(turn, retryable(failure), failure)
            if delay is not None:
                self._again(turn, failure, self.now_ms + round(delay * 1000), self._restart)
                return
        if failure is None:
            on = self._succeeded(turn, output, self.now_ms)
        else:
            on = self.failed(turn, failure, self.now_ms)
        if on:
            self._blocks.append(turn.block)

    # ---- the walk

    def walk(self, now_ms: int) -> None:
        """Walk every block as far as it goes."""
        self.now_ms = now_ms
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

    def _enter(self, step: AnyStep, block: Block, now_ms: int) -> bool:
        """Begin a step; whether the walk goes on with the next one at once."""
        ground = block.ground
        path = step.path + ground.suffix if ground.suffix else step.path
        acting = isinstance(step, ActionStep) and step.each is None
        if self._history:
            done = self._history.get((path, "done"))
            if done is not None:
                return replay(self, Turn(step, path, block, now_ms), done)
            if self.cancelled is not None and acting:
                return False  # what was not done before the cancel is not begun after a crash
            ready = self._history.get((path, "ready"))
            if ready is not None:
                turn = Turn(step, path, block, ready["at"], ready["input"])
                return self._resume(turn, now_ms) if acting else self._begin(turn)
            if self.cancelled is not None:
                return False
        if self._stage.states and reads_state(step):
            block.at -= 1
            self.pause(block)
            return False
        names = ground.names
        names["now"] = instant(now_ms)
        turn = Turn(step, path, block, now_ms)
        try:
            if step.each is None and (step.only_if or step.unless) and not wanted(step, names):
                self._settle(turn, "skipped", None, None, now_ms)
                return True
            if not acting or not isinstance(step, ActionStep):
                self.note(path, "ready", {"at": now_ms, "input": None})
                if step.undo and step.each is None:
                    self.undoing.began(path, names, self.note)
                return self._begin(turn)
            config, turn.shown = self.rendering.config(step, names)
        except (EvaluationError, ActionFailed) as error:
            return self.failed(turn, failure_of(step.id, error), now_ms)
        if step.undo:
            self.undoing.began(path, names, self.note)
        word = WORDS.get(step.action)
        if word is not None:
            return self._say(turn, word, config, now_ms)
        self.note(path, "ready", {"at": now_ms, "input": turn.shown})
        if step.once:
            self.note(path, "once", None)
        self._open(turn, step, config)
        return False

    def _begin(self, turn: Turn) -> bool:
        """Begin a control step, or go on with one that the journal has begun."""
        attempts = self.ledger.attempts.get(turn.path, ())
        if attempts:
            turn.attempt = len(attempts)
            self._sleep(turn, attempts[-1]["due"], self._restart)
        else:
            self._frame(turn)
        return False

    def _restart(self, turn: Turn) -> None:
        """The next attempt at a control step."""
        turn.attempt += 1
        turn.wake = None
        self._frame(turn)

    def _frame(self, turn: Turn) -> None:
        frame = frame_of(turn, self)
        self.opened.frames[turn.path] = frame
        try:
            frame.begin()
        except (EvaluationError, ActionFailed) as error:
            self.close(turn, None, failure_of(turn.step.id, error))

    def _say(self, turn: Turn, word: Any, config: Any, now_ms: int) -> bool:
        """Do one of the engine's own words; what is kept of it never holds a secret."""
        action = turn.step.action if isinstance(turn.step, ActionStep) else ""
        given = config if action == "reply" else turn.shown
        try:
            output = word(given, turn.names, turn.path, self._stage, now_ms)
        except (EvaluationError, ActionFailed) as error:
            return self.failed(turn, failure_of(turn.step.id, error), now_ms)
        if isinstance(output, Stopped):
            self._settle(turn, "ok", output.reason, None, now_ms)
            self.stop(turn.block)
            return False
        if action in DEFERRED:
            turn.shown = shown_of(config, output)
        elif action == "vars":
            self.rendering.add_vars(config, turn.shown, turn.names)
        elif action == "reply":
            output = turn.shown
            if not self._replied:  # the first one counts
                self._replied = True
                self.note("", "reply", output)
        return self._succeeded(turn, output, now_ms)

    def _open(self, turn: Turn, step: ActionStep, config: Any) -> None:
        authored = self.rendering.authored(step, turn.names)
        limit = step.timeout_secs
        turn.act = Act(step, turn.path, config, turn.shown, turn.attempt, limit, authored)
        self._turns[turn.path] = turn
        self.opened.acts.append(turn.act)

    def _resume(self, turn: Turn, now_ms: int) -> bool:
        step = turn.step
        assert isinstance(step, ActionStep)  # noqa: S101 - only outside steps have `ready` entries
        if (turn.path, "once") in self._history:
            message = "the daemon stopped during this `once` step: whether it happened is unknown"
            failure = Failure(step=step.id, kind="unknown_outcome", message=message)
            return self.failed(turn, failure, now_ms)
        attempts = self.ledger.attempts.get(turn.path, ())
        turn.attempt = len(attempts) or 1
        if attempts:
            self._sleep(turn, attempts[-1]["due"], self._reopen)
        else:
            self._perform(turn)
        return False

    def _again(self, turn: Turn, failure: Failure, due_ms: int, wake: Wake) -> None:
        value = {"number": turn.attempt, "error": plain(failure), "due": due_ms}
        self.note(turn.path, "attempt", value)
        self._sleep(turn, due_ms, wake)

    def _sleep(self, turn: Turn, due_ms: int, wake: Wake) -> None:
        turn.due_ms, turn.wake = due_ms, wake
        self._turns[turn.path] = turn

    def _reopen(self, turn: Turn) -> None:
        """The next attempt at an outside step."""
        turn.attempt += 1
        turn.due_ms = turn.wake = None
        self._perform(turn)

    def _perform(self, turn: Turn) -> None:
        """Make an attempt with the input that the journal has; what reads secrets reads anew."""
        step = turn.step
        assert isinstance(step, ActionStep)  # noqa: S101 - only outside steps are performed
        config, names = turn.shown, turn.names
        names["now"] = instant(turn.ready_ms)
        if self.rendering.has_secrets(step) or "state" in step.config.roots:
            try:
                config, turn.shown = self.rendering.config(step, names)
            except (EvaluationError, ActionFailed) as error:
                if self.failed(turn, failure_of(step.id, error), self.now_ms):
                    self._blocks.append(turn.block)
                return
        self._open(turn, step, config)

    # ---- how a step ends

    def _succeeded(self, turn: Turn, output: Any, now_ms: int) -> bool:
        step = turn.step
        if step.output is not None:
            raw = {"output": output, "status": "ok", "error": None, "attempts": turn.attempt}
            turn.names["steps"][step.id] = raw
            turn.names["now"] = instant(turn.ready_ms)
            try:
                output = step.output.render(turn.names)
                if "state" in step.output.roots:
                    output = detached(output)
            except EvaluationError as error:
                message = f"output: {error}"
                failure = Failure(step=step.id, kind="type", message=message, attempts=turn.attempt)
                return self.failed(turn, failure, now_ms)
        self._settle(turn, "ok", output, None, now_ms)
        return True

    def failed(self, turn: Turn, failure: Failure, now_ms: int) -> bool:
        """End a step as failed; whether the walk goes on after it at once."""
        error = plain(failure)
        self._settle(turn, "failed", None, error, now_ms)
        return self.rescue(turn, error)

    def rescue(self, turn: Turn, error: dict[str, Any]) -> bool:
        """Do what `on_error` of a failed step says; whether the walk goes on at once."""
        rule, block = turn.step.on_error, turn.block
        if rule == "continue":
            return True
        if rule == "fail":
            block.leave(from_plain(error))
            return False
        block.ground.names["error"] = error

        def rescued(failure: Failure | None) -> None:
            if failure is None:
                self._blocks.append(block)
            else:
                block.leave(failure)

        self.push(rule, rescued, block.ground)
        return False

    def _settle(self, turn: Turn, status: str, output: Any, error: Any, now_ms: int) -> None:
        attempts = 0 if status == "skipped" else turn.attempt
        result = {"output": output, "status": status, "error": error, "attempts": attempts}
        turn.names["steps"][turn.step.id] = result
        times = {"started": turn.ready_ms, "finished": now_ms, "input": turn.shown}
        self.note(turn.path, "done", {**result, **times})

    def stop(self, block: Block) -> None:
        """End the flow here."""
        block.at = len(block.steps)
        self.opened.drop()
        self.stopped()

    def _delay(self, turn: Turn, failed: ActionFailed, failure: Failure) -> float | None:
        if turn.step.retry is None:
            return None
        elapsed_secs = (self.now_ms - turn.ready_ms) / 1000
        return delay_secs(
            turn.step.retry,
            failed,
            failure,
            names=turn.names,
            elapsed_secs=elapsed_secs,
            chance=self._chance,
        )


def _nothing() -> None:
    """Nobody has said yet what `stop` leads to."""
