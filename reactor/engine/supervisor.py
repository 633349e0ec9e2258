"""Keeps sources up: each in its own task, started again, later and later, when it fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from msgspec import Struct
from msgspec.structs import replace

from reactor.clock import Clock
from reactor.errors import SourceFailed

State = Literal["starting", "up", "retrying", "down", "stopped"]
Run = Callable[[], Awaitable[None]]
Wait = Callable[[float], Awaitable[None]]

FIRST_DELAY_SECS = 1.0
LONGEST_DELAY_SECS = 60.0
# The other side may ask for more than that, within reason.
LONGEST_ASKED_SECS = 3600.0
# A peer that is away is asked this often: asking costs little, and it may be back any moment.
LOST_DELAY_SECS = 2.5
# A source that was up this long starts its delays anew.
STEADY_SECS = 60.0
# From this many failures in a row on the delays are as long as they get, and somebody must look.
DOWN_AFTER = 7
STOP_SECS = 10.0

_LOG = logging.getLogger(__name__)


class SourceState(Struct, frozen=True, kw_only=True):
    """How a source does.

    `starting`: never up yet. `up`: it works. `retrying`: it failed and is tried again. `down`: that
    has gone on for long. `stopped`: only a person can mend it. `since_ms` is when this began,
    `restarts` counts since the daemon started, `error` is the last failure, `lag` how many events
    wait at the peer, where the source can tell.
    """

    instance: str
    state: State
    since_ms: int
    detail: str = ""
    restarts: int = 0
    error: str | None = None
    lag: float | None = None


class _Source:
    """One source under supervision."""

    def __init__(self, instance: str, now_ms: int) -> None:
        self.state = SourceState(instance=instance, state="starting", since_ms=now_ms)
        self.task: asyncio.Task[None] | None = None
        self.failures = 0
        self.up_at: float | None = None


class Supervisor:
    """Runs sources until they are stopped.

    A source that raises, or returns without being cancelled, is run again after a backoff with full
    jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"). `SourceFailed` that is fatal
    stops it. `chance` draws from [0, 1); `wait` waits so many seconds; `redact` cleans error texts.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        chance: Callable[[], float],
        wait: Wait,
        redact: Callable[[str], str],
        stop_secs: float = STOP_SECS,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._wait = wait
        self._redact = redact
        self._stop_secs = stop_secs
        self._sources: dict[str, _Source] = {}
        self._moved = asyncio.Event()

    def start(self, instance: str, run: Run) -> None:
        """Run a source from now on; ValueError if one of this name runs."""
        if instance in self._sources:
            raise ValueError(f"source {instance} runs already")
        source = _Source(instance, self._clock.now_ms())
        self._sources[instance] = source
        source.task = asyncio.create_task(self._supervise(source, run), name=f"source {instance}")

    def restart(self, instance: str, run: Run) -> None:
        """Run a source from now on in place of the one of this name, if there is one.

        The new one begins when the old one has ended, 10 seconds later at most; an old one that
        ends at once leaves no moment in which neither runs.
        """
        before = self._sources.pop(instance, None)
        old = None if before is None else before.task
        if old is None:
            self.start(instance, run)
            return
        old.cancel()

        async def after() -> None:
            if not old.done():
                await self._end(old, instance)
            await run()

        self.start(instance, after)

    def up(self, instance: str, detail: str = "") -> None:
        """The source says that it works."""
        source = self._sources.get(instance)
        if source is None or source.state.state == "stopped":
            return
        if source.state.state in ("retrying", "down"):
            _LOG.info("a source is back", extra={"source": instance})
        if source.up_at is None:
            source.up_at = self._clock.monotonic_secs()
        self._turn(source, "up", detail=detail)

    def lag(self, instance: str, events: float) -> None:
        """The source says how many events wait at its peer."""
        if (source := self._sources.get(instance)) is not None:
            source.state = replace(source.state, lag=events)

    async def stop(self, *instances: str) -> None:
        """Cancel sources and wait until they have ended, 10 seconds at most; then forget them."""
        tasks = {}
        for instance in instances:
            source = self._sources.pop(instance, None)
            if source is not None and source.task is not None:
                source.task.cancel()
                tasks[instance] = source.task
        await asyncio.gather(*(self._end(task, instance) for instance, task in tasks.items()))

    async def _end(self, task: "asyncio.Task[None]", instance: str) -> None:
        _, stuck = await asyncio.wait([task], timeout=self._stop_secs)
        if stuck:
            _LOG.error("a source does not end; it is left behind", extra={"source": instance})

    async def begun(self, limit_secs: float) -> None:
        """Return when every source is up or has failed once, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_secs):
                while any(one.state.state == "starting" for one in self._sources.values()):
                    self._moved.clear()
                    await self._moved.wait()

    def states(self) -> list[SourceState]:
        """How every source does, by name."""
        return [source.state for _, source in sorted(self._sources.items())]

    async def close(self) -> None:
        """Stop every source."""
        await self.stop(*self._sources)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _supervise(self, source: _Source, run: Run) -> None:
        instance = source.state.instance
        while True:
            source.up_at = None
            failure = await _failure_of(run)
            if self._sources.get(instance) is not source:
                raise asyncio.CancelledError  # we let go of it, whatever it made of that
            _forget_cancellations()
            text = self._redact(str(failure) or type(failure).__name__)
            if isinstance(failure, SourceFailed) and failure.fatal:
                self._turn(source, "stopped", error=text)
                _LOG.error("a source stopped", extra={"source": instance, "error": text})
                return
            if self._was_steady(source):
                source.failures = 0
            source.failures += 1
            self._turn(source, "down" if source.failures >= DOWN_AFTER else "retrying", error=text)
            self._tell(source, failure, text)
            asked_secs = failure.after_secs if isinstance(failure, SourceFailed) else None
            asked_secs = min(asked_secs or 0.0, LONGEST_ASKED_SECS)
            await self._wait(max(asked_secs, self._delay_secs(source.failures, failure)))
            restarts = source.state.restarts + 1
            self._turn(source, source.state.state, restarts=restarts, error=text)

    def _was_steady(self, source: _Source) -> bool:
        if source.up_at is None:
            return False
        return self._clock.monotonic_secs() - source.up_at >= STEADY_SECS

    def _delay_secs(self, failures: int, failure: BaseException) -> float:
        is_lost = isinstance(failure, SourceFailed) and failure.lost
        longest = FIRST_DELAY_SECS * 2.0 ** min(failures - 1, 30)
        return self._chance() * min(longest, LOST_DELAY_SECS if is_lost else LONGEST_DELAY_SECS)

    def _turn(
        self,
        source: _Source,
        state: State,
        *,
        detail: str = "",
        restarts: int | None = None,
        error: str | None = None,
    ) -> None:
        self._moved.set()
        before = source.state
        source.state = SourceState(
            instance=before.instance,
            state=state,
            since_ms=before.since_ms if state == before.state else self._clock.now_ms(),
            detail=detail,
            restarts=before.restarts if restarts is None else restarts,
            error=before.error if error is None else error,
            lag=before.lag,
        )

    def _tell(self, source: _Source, failure: BaseException, text: str) -> None:
        """Log the first failure and the moment when it has gone on for long, not each one."""
        facts = {"source": source.state.instance, "error": text}
        # An error that is none of ours is a bug: its traceback is worth a look.
        trace = None if isinstance(failure, SourceFailed | OSError) else failure
        if source.failures == 1:
            _LOG.warning("a source failed; it is tried again", extra=facts, exc_info=trace)
        elif source.failures == DOWN_AFTER:
            _LOG.error("a source stays down; it is tried again", extra=facts, exc_info=trace)


async def _failure_of(run: Run) -> BaseException:
    """Run a source until it ends, and why it did; a cancellation of its task passes through."""
    task = asyncio.current_task()
    try:
        await run()
    except asyncio.CancelledError as error:
        if task is not None and task.cancelling():
            raise
        # Some libraries raise it although nobody cancelled them.
        failure = SourceFailed("the source was cancelled from inside")
        failure.__cause__ = error
        return failure
    except Exception as error:  # noqa: BLE001 -- the task's root: it is recorded as the state
        return error
    return SourceFailed("the source ended by itself")


def _forget_cancellations() -> None:
    """A `TaskGroup` of Python 3.11 may leave its task marked although only a child of it failed."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
