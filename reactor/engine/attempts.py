"""Attempts at outside steps under way: each is a task; those that are given up are waited for."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from reactor.engine.making import Running
from reactor.engine.perform import Performer
from reactor.engine.rates import Rates
from reactor.engine.timers import Timers
from reactor.failpoints import reach

CANCEL_SECS = 10.0  # how long a cancelled attempt may take to end


class Attempts:
    """The tasks of all executions.

    `ended` is called with each result; `alone` when an execution that is being stopped, or that
    gave some attempts up, need not wait any longer.
    """

    def __init__(
        self,
        performer: Performer,
        spans: Timers,
        rates: Rates,
        ended: Callable[[Running, str, Any], None],
        alone: Callable[[Running], None],
    ) -> None:
        self.busy = 0
        self._performer = performer
        self._spans = spans
        self._rates = rates
        self._ended = ended
        self._alone = alone
        self._idle: asyncio.Event | None = None

    def begin(self, running: Running) -> bool:
        """Perform what the machine asks for; whether some of it waits for a connection's turn."""
        held = False
        for act in running.machine.take_acts():
            wait = self._rates.wait(running.row.id, act)
            if wait is not None:
                running.machine.hold(act.path, *wait)
                held = True
                continue
            reach("a step begins")
            work = self._performer.perform(running.row, running.flow, running.view, act)
            task = running.tasks[act.path] = asyncio.get_running_loop().create_task(work)
            # Called for a task that is cancelled before it began, too.
            task.add_done_callback(partial(self._done, running, act.path))
            self.busy += 1
        return held

    def give_up(self, running: Running) -> bool:
        """Cancel what the machine does not want any more; whether that is to be waited for."""
        for path in running.machine.take_aborts():
            task = running.tasks.get(path)
            if task is not None:
                running.aborted.add(path)
                task.cancel()
        if running.aborted and running.patience is None:
            running.patience = self._spans.after(CANCEL_SECS, partial(self._enough, running))
        return bool(running.aborted)

    def stop(self, running: Running) -> bool:
        """Cancel all of an execution's; whether any is to be waited for."""
        for task in running.tasks.values():
            task.cancel()
        if running.tasks:
            self._spans.after(CANCEL_SECS, partial(self._overdue, running))
        return bool(running.tasks)

    def forget(self, running: Running) -> None:
        """Wait for none of them any more."""
        running.aborted.clear()
        if running.patience is not None:
            running.patience.cancel()
            running.patience = None

    def _done(self, running: Running, path: str, task: asyncio.Task[Any]) -> None:
        reach("a step has ended")
        running.tasks.pop(path, None)
        self.busy -= 1
        if self.busy == 0 and self._idle is not None:
            self._idle.set()
        given_up = path in running.aborted
        running.aborted.discard(path)
        if running.stopping is not None:
            if not running.tasks:
                self._alone(running)
        elif not given_up:
            if not task.cancelled():
                self._ended(running, path, task.result())
        elif not running.aborted:
            self._enough(running)

    def _enough(self, running: Running) -> None:
        self.forget(running)
        self._alone(running)

    def _overdue(self, running: Running) -> None:
        if running.stopping is not None:
            self._alone(running)

    async def drain(self, limit_secs: float, live: Iterable[Running]) -> None:
        """Return when none is under way; cancel what is when the time is over."""
        if self.busy and limit_secs > 0:
            self._idle = asyncio.Event()
            timer = self._spans.after(limit_secs, self._idle.set)
            await self._idle.wait()
            timer.cancel()
        tasks = [task for running in live for task in running.tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
