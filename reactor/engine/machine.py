"""What happens next in one execution: outcomes in, next steps out. Knows no clock, no disk, no asyncio.

The machine is a walk over the flow in which every decision and every result is a journal entry. A walk over a
journal that already has entries takes them instead of deciding again; so starting, recovering after a crash,
waking from a sleep and trying a flow out are the same code. A step costs O(1), not a walk of the whole flow.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct, to_builtins

from reactor.clock import instant
from reactor.engine.render import Rendering
from reactor.engine.words import WORDS, Stage, Stopped
from reactor.errors import ActionFailed, EvaluationError
from reactor.expr.parse import Expression
from reactor.model.execution import Entry, Failure, State
from reactor.model.flow import ActionStep, AnyStep, Flow
from reactor.model.retry import Retry, next_delay

CLOSING_LIMIT_SECS = 300.0  # `finally` and `undo` in all (semantics.md 4)
CLOSING_STEP_SECS = 60.0
_CLOSING = ("finally",)


class Act(Struct, gc=False):
    """An outside step that is to be performed now; `shown` is its input without secrets."""

    step: ActionStep
    path: str
    config: Any
    shown: Any
    attempt: int
    timeout_secs: float | None


class _Block:
    """A list of steps being walked; `ended` is called with the failure that ended it, or None."""

    __slots__ = ("at", "ended", "steps")

    def __init__(self, steps: tuple[AnyStep, ...], ended: Callable[[Failure | None], None]) -> None:
        self.steps = steps
        self.ended = ended
        self.at = 0


class _Pending(Struct, gc=False):
    """An outside step between its `ready` entry and its end."""

    block: _Block
    act: Act
    ready_ms: int
    due_ms: int | None = None


class Machine:
    """One execution.

    Feed it with `begin`, `finish`, `fail`, `wake`, `proceed` and `cancel`; after each call read `acts` (to
    perform), `due` (when a sleeping step goes on), `waits_for_commit`, `ended`, and take `unsaved` entries.
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
        self.ended: State | None = None
        self.error: Failure | None = None
        self.output: Any = None
        self.acts: list[Act] = []
        self.waits_for_commit = False
        self.phase = "do"
        self._rendering = rendering
        self._names = rendering.names
        self._stage = stage
        self._chance = chance
        self._saved = len(self.journal)
        self._history = {
            (entry.path, entry.kind): entry.value
            for entry in self.journal
            if entry.kind != "attempt"
        }
        self._attempts: dict[str, list[Any]] = {}
        for entry in self.journal:
            if entry.kind == "attempt":
                self._attempts.setdefault(entry.path, []).append(entry.value)
        self._pending: dict[str, _Pending] = {}
        self._blocks: deque[_Block] = deque()
        self._barrier: _Block | None = None
        self._verdict = State.OK

    # ---- fed from outside

    def begin(self, now_ms: int) -> None:
        """Walk from the start, over what the journal has, to the first thing that is not decided yet."""
        try:
            self._take_vars()
        except EvaluationError as error:
            self._do_ended(_failure(None, "type", f"vars: {error}"))
        else:
            self._block(self.flow.do, self._do_ended)
        self._walk(now_ms)
        if ("", "cancel") in self._history and self.phase == "do":
            self._give_up(self._history["", "cancel"], now_ms)

    def finish(self, path: str, output: Any, now_ms: int) -> None:
        """An attempt succeeded; `output` is plain data without secrets."""
        pending = self._pending.pop(path, None)
        if pending is not None and self._succeed(pending, output, now_ms):
            self._blocks.append(pending.block)
            self._walk(now_ms)

    def fail(self, path: str, failed: ActionFailed, now_ms: int) -> None:
        """An attempt failed: it is tried again at a stored time, or the step fails."""
        pending = self._pending.get(path)
        if pending is None:
            return
        failure = _failure(pending.act.step.id, failed.kind, str(failed), attempts=pending.act.attempt,
                           status=failed.status, output=failed.output)  # fmt: skip
        delay = self._delay(pending, failed, failure, now_ms)
        if delay is not None:
            pending.due_ms = now_ms + round(delay * 1000)
            attempt = {
                "number": pending.act.attempt,
                "error": _plain(failure),
                "due": pending.due_ms,
            }
            self._note(path, "attempt", attempt)
            return
        del self._pending[path]
        act, block = pending.act, pending.block
        if self._failed(act.step, path, block, failure, pending.ready_ms, now_ms, act.shown):
            self._blocks.append(block)
        self._walk(now_ms)

    def wake(self, now_ms: int) -> None:
        """Go on with the steps whose time has come."""
        for pending in self._pending.values():
            if pending.due_ms is not None and pending.due_ms <= now_ms:
                pending.due_ms = None
                pending.act.attempt += 1
                if self._rereads(pending.act.step):
                    self._render_again(pending)
                self.acts.append(pending.act)

    def proceed(self, now_ms: int) -> None:
        """What was unsaved is on disk now: a step that reads `state` after a `set` may go on."""
        if self._barrier is not None:
            block, self._barrier = self._barrier, None
            self.waits_for_commit = False
            self._blocks.append(block)
            self._walk(now_ms)

    def cancel(self, error: Failure, now_ms: int) -> None:
        """Stop what runs and go to `finally`; in `finally` already: skip the rest of it."""
        if self.ended is not None:
            return
        if self.phase in _CLOSING:
            self._drop_pending()
            self._end()
            return
        self._note("", "cancel", _plain(error))
        self._give_up(_plain(error), now_ms)

    # ---- read from outside

    @property
    def due(self) -> int | None:
        """The earliest time at which a sleeping step goes on, if nothing else is to be done before."""
        times = [pending.due_ms for pending in self._pending.values() if pending.due_ms is not None]
        return min(times) if times else None

    @property
    def sleeping(self) -> bool:
        """Whether all that is pending waits for a stored time."""
        return bool(self._pending) and all(p.due_ms is not None for p in self._pending.values())

    @property
    def closing(self) -> bool:
        """Whether `finally` runs."""
        return self.phase in _CLOSING

    def unsaved(self) -> tuple[Entry, ...]:
        """The entries since the last call; the caller stores them."""
        entries = tuple(self.journal[self._saved :])
        self._saved = len(self.journal)
        return entries

    def take_acts(self) -> list[Act]:
        """What is to be performed, once."""
        acts, self.acts = self.acts, []
        return acts

    # ---- the walk

    def _walk(self, now_ms: int) -> None:
        while self._blocks:
            block = self._blocks.popleft()
            while block.at < len(block.steps):
                step = block.steps[block.at]
                block.at += 1
                going = self._enter(step, block, now_ms)
                if not going:
                    break
            else:
                block.ended(None)

    def _block(self, steps: tuple[AnyStep, ...], ended: Callable[[Failure | None], None]) -> None:
        self._blocks.append(_Block(steps, ended))

    def _enter(self, step: AnyStep, block: _Block, now_ms: int) -> bool:
        """Whether the walk goes on with the next step of the block at once."""
        path = step.path
        if not isinstance(step, ActionStep):
            message = f"{type(step).__name__} is not built yet"
            return self._failed(
                step, path, block, _failure(step.id, "not_built", message), now_ms, now_ms, None
            )
        done = self._history.get((path, "done"))
        if done is not None:
            return self._replay(step, path, block, done)
        ready = self._history.get((path, "ready"))
        if ready is not None:
            return self._resume(step, path, block, ready, now_ms)
        if self._stage.states and _reads_state(step):
            block.at -= 1
            self._barrier = block
            self.waits_for_commit = True
            return False
        self._names["now"] = instant(now_ms)
        try:
            if not self._wanted(step):
                self._settle(step, path, "skipped", None, None, 0, now_ms, now_ms, None)
                return True
            config, shown = self._rendering.config(step)
        except EvaluationError as error:
            failure = _failure(step.id, "type", str(error))
            return self._failed(step, path, block, failure, now_ms, now_ms, None)
        word = WORDS.get(step.action)
        if word is None:
            self._ready(step, path, block, config, shown, now_ms)
            return False
        try:
            # What is kept never holds a secret; only `reply` and `vars` need the real value, once.
            given = config if step.action == "reply" else shown
            output = word(given, self._names, path, self._stage, now_ms)
        except (EvaluationError, ActionFailed) as error:
            kind = error.kind if isinstance(error, ActionFailed) else "type"
            failure = _failure(step.id, kind, str(error))
            return self._failed(step, path, block, failure, now_ms, now_ms, shown)
        if isinstance(output, Stopped):
            self._settle(step, path, "ok", output.reason, None, 1, now_ms, now_ms, shown)
            self._stop(block)
            return False
        if step.action == "vars":
            self._rendering.add_vars(config, shown)
        elif step.action == "reply":
            output = shown
            self._note("", "reply", shown)
        return self._shape(step, path, block, output, 1, now_ms, now_ms, shown)

    def _ready(
        self, step: ActionStep, path: str, block: _Block, config: Any, shown: Any, now_ms: int
    ) -> None:
        self._note(path, "ready", {"at": now_ms, "input": shown})
        if step.once:
            self._note(path, "once", None)
        act = Act(step, path, config, shown, 1, self._limit(step))
        self._pending[path] = _Pending(block, act, now_ms)
        self.acts.append(act)

    def _resume(self, step: ActionStep, path: str, block: _Block, ready: Any, now_ms: int) -> bool:
        attempts = self._attempts.get(path, [])
        act = Act(step, path, ready["input"], ready["input"], len(attempts) + 1, self._limit(step))
        pending = _Pending(block, act, ready["at"])
        if (path, "once") in self._history:
            failure = _failure(
                step.id,
                "unknown_outcome",
                "the daemon stopped while this `once` step ran: whether it happened is not known",
            )
            return self._failed(step, path, block, failure, ready["at"], now_ms, ready["input"])
        self._pending[path] = pending
        if self._rereads(step):
            self._render_again(pending)
        if attempts and attempts[-1]["due"] > now_ms:
            pending.due_ms = attempts[-1]["due"]
            act.attempt -= 1
        else:
            self.acts.append(act)
        return False

    def _replay(self, step: ActionStep, path: str, block: _Block, done: Any) -> bool:
        self._names["steps"][step.id] = {
            name: done[name] for name in ("output", "status", "error", "attempts")
        }
        if done["status"] == "failed":
            return self._rescue(step, block, done["error"])
        if step.action == "stop" and done["status"] == "ok":
            self._stop(block)
            return False
        if step.action == "vars" and done["status"] == "ok":
            self._replay_vars(step, done["input"])
        return True

    # ---- how a step ends

    def _succeed(self, pending: _Pending, output: Any, now_ms: int) -> bool:
        act = pending.act
        return self._shape(act.step, act.path, pending.block, output, act.attempt, pending.ready_ms, now_ms, act.shown)  # fmt: skip

    def _shape(
        self,
        step: ActionStep,
        path: str,
        block: _Block,
        output: Any,
        attempts: int,
        started_ms: int,
        now_ms: int,
        shown: Any,
    ) -> bool:
        if step.output is not None:
            raw = {"output": output, "status": "ok", "error": None, "attempts": attempts}
            self._names["steps"][step.id] = raw
            try:
                output = step.output.render(self._names)
            except EvaluationError as error:
                failure = _failure(step.id, "type", f"output: {error}", attempts=attempts)
                return self._failed(step, path, block, failure, started_ms, now_ms, shown)
        self._settle(step, path, "ok", output, None, attempts, started_ms, now_ms, shown)
        return True

    def _failed(
        self,
        step: AnyStep,
        path: str,
        block: _Block,
        failure: Failure,
        started_ms: int,
        now_ms: int,
        shown: Any,
    ) -> bool:
        error = _plain(failure)
        self._settle(step, path, "failed", None, error, failure.attempts, started_ms, now_ms, shown)
        return self._rescue(step, block, error)

    def _rescue(self, step: AnyStep, block: _Block, error: Any) -> bool:
        if step.on_error == "continue":
            return True
        if step.on_error == "fail":
            block.at = len(block.steps)
            block.ended(_from_plain(error))
            return False
        self._names["error"] = error

        def rescued(failure: Failure | None) -> None:
            if failure is None:
                self._blocks.append(block)
            else:
                block.at = len(block.steps)
                block.ended(failure)

        self._block(step.on_error, rescued)
        return False

    def _settle(
        self,
        step: AnyStep,
        path: str,
        status: str,
        output: Any,
        error: Any,
        attempts: int,
        started_ms: int,
        finished_ms: int,
        shown: Any,
    ) -> None:
        result = {"output": output, "status": status, "error": error, "attempts": attempts}
        self._names["steps"][step.id] = result
        self._note(
            path,
            "done",
            {**result, "started": started_ms, "finished": finished_ms, "input": shown},
        )

    # ---- where the execution goes after `do`

    def _do_ended(self, failure: Failure | None) -> None:
        if failure is None and self.flow.output is not None:
            try:
                self.output = self.flow.output.render(self._names)
            except EvaluationError as error:
                failure = _failure(None, "type", f"output: {error}")
            else:
                self._note("", "output", self.output)
        if failure is None:
            self._finally()
            return
        self._fail_flow(failure)
        self.phase = "on_error"
        self._block(self.flow.on_error, self._on_error_ended)

    def _on_error_ended(self, failure: Failure | None) -> None:
        self._dead_letter()

    def _dead_letter(self) -> None:
        self.phase = "dead_letter"
        letter = self.flow.dead_letter
        self._block(() if letter is None else (letter,), lambda _: self._finally())

    def _finally(self) -> None:
        self.phase = "finally"
        self._block(self.flow.finally_, lambda _: self._end())

    def _end(self) -> None:
        self._blocks.clear()
        self.phase = "ended"
        self.ended = self._verdict

    def _stop(self, block: _Block) -> None:
        """`stop` ends the flow as ok, but a flow that has failed stays failed."""
        block.at = len(block.steps)
        self._drop_pending()
        if self.phase == "do" and self.flow.output is not None:
            self._do_ended(None)
        elif self.phase in ("do", "on_error", "dead_letter"):
            self._finally()
        else:
            self._end()

    def _give_up(self, error: Any, now_ms: int) -> None:
        self._drop_pending()
        failure = _from_plain(error)
        self._fail_flow(failure)
        if failure.kind == "cancelled":
            self._verdict = State.CANCELLED
            self._finally()
        else:
            self._dead_letter()
        self._walk(now_ms)

    def _fail_flow(self, failure: Failure) -> None:
        self.error = failure
        self._verdict = State.FAILED
        self._names["error"] = _plain(failure)

    def _drop_pending(self) -> None:
        self._pending.clear()
        self._blocks.clear()
        self.acts.clear()
        self._barrier = None
        self.waits_for_commit = False

    # ---- small decisions

    def _take_vars(self) -> None:
        if not self.flow.vars:
            return
        stored = self._history.get(("", "vars"))
        shown = self._rendering.start_vars(self.flow, stored)
        if stored is None:
            self._note("", "vars", shown)

    def _replay_vars(self, step: ActionStep, stored: Any) -> None:
        secret = self._rendering.has_secrets(step)
        real = self._rendering.config(step)[0] if secret else stored
        self._rendering.add_vars(real, stored)

    def _wanted(self, step: AnyStep) -> bool:
        names = self._names
        for condition in step.only_if:
            if not condition.test(names):
                return False
        return not any(condition.test(names) for condition in step.unless)

    def _delay(
        self, pending: _Pending, failed: ActionFailed, failure: Failure, now_ms: int
    ) -> float | None:
        retry = pending.act.step.retry
        if retry is None or not self._may_retry(retry, failed, failure):
            return None
        return next_delay(
            retry,
            attempts=pending.act.attempt,
            elapsed_secs=(now_ms - pending.ready_ms) / 1000,
            after_secs=failed.after_secs,
            chance=self._chance,
        )

    def _may_retry(self, retry: Retry, failed: ActionFailed, failure: Failure) -> bool:
        names = {**self._names, "error": _plain(failure)}
        try:
            if retry.only_if:
                wanted = all(condition.test(names) for condition in retry.only_if)
            else:
                wanted = failed.transient
            return wanted and not any(condition.test(names) for condition in retry.unless)
        except EvaluationError:
            return failed.transient

    def _limit(self, step: ActionStep) -> float | None:
        if self.phase in _CLOSING and step.timeout_secs is None:
            return CLOSING_STEP_SECS
        return step.timeout_secs

    def _rereads(self, step: ActionStep) -> bool:
        return self._rendering.has_secrets(step) or "state" in step.config.roots

    def _render_again(self, pending: _Pending) -> None:
        try:
            pending.act.config, pending.act.shown = self._rendering.config(pending.act.step)
        except EvaluationError:
            return  # what was rendered first still stands

    def _note(self, path: str, kind: str, value: Any) -> None:
        self.journal.append(Entry(path, kind, value))


def _reads_state(step: ActionStep) -> bool:
    conditions: tuple[Expression, ...] = (*step.only_if, *step.unless)
    if step.action == "set":
        return any("state" in condition.roots for condition in conditions)
    return "state" in step.config.roots or any(
        "state" in condition.roots for condition in conditions
    )


def _failure(
    step: str | None,
    kind: str,
    message: str,
    *,
    attempts: int = 1,
    status: int | None = None,
    output: Any = None,
) -> Failure:
    return Failure(
        step=step, kind=kind, message=message, attempts=attempts, status=status, output=output
    )


def _plain(failure: Failure) -> dict[str, Any]:
    plain: dict[str, Any] = to_builtins(failure, builtin_types=(bytes,))
    return plain


def _from_plain(error: dict[str, Any]) -> Failure:
    return Failure(**error)
