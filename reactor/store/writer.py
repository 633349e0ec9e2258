"""The only hand that writes: takes what queued during the last commit as the next one."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from sqlite3 import Connection
from threading import Event as Signal
from threading import Thread
from typing import Any

from msgspec import Struct

from reactor.errors import ReactorError, StorageFailed
from reactor.failpoints import reach
from reactor.store import Pressure, Write
from reactor.store.batch import Batch
from reactor.store.commit import Commits, DiskFull
from reactor.store.disk import Space

_MOST_WRITES = 400  # a few milliseconds of the event loop
_MOST_BYTES = 32 << 20
_AGAIN_SECS = 0.5  # between attempts while the disk is full
_FIRST_GUESS = 1024.0  # bytes of a row, until the first commit tells
_LOG = logging.getLogger(__name__)

Done = Callable[[], None]


class Chore(Struct, eq=False):
    """Work between two commits, in transactions of its own."""

    work: Callable[[Connection], Any]
    answer: asyncio.Future[Any]


Item = tuple[Write, Done | None] | Chore


class Turn(Struct, eq=False):
    """One commit with those who wait for it, or one chore with what came of it."""

    batch: Batch
    dones: list[Done]
    writes: int = 0
    rows: int = 0
    prepared: bool = False
    chore: Chore | None = None
    result: Any = None
    error: ReactorError | None = None


class Writer:
    """Group commits in the order of submission, with a thread that waits for the disk or without.

    The window is 0: a commit holds what was submitted while the one before was on its way, up to
    400 Writes or 32 MiB. Rows go into the transaction on the event loop, where nobody contends
    for the interpreter; only the commit itself, which waits for the disk, is the thread's: each
    statement there would wait a switch interval of a busy loop. While the disk is full the same
    commit is tried again; after any other failure nothing is written and no `done` is called any
    more. Public methods belong to the event loop's thread. `observe` hears how many Writes each
    commit held, `stalled` is called again and again while the disk is full.
    """

    def __init__(
        self,
        commits: Commits,
        space: Space,
        on_failure: Callable[[StorageFailed], None],
        *,
        threaded: bool,
    ) -> None:
        self._commits = commits
        self._space = space
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self.observe: Callable[[float], None] = _unobserved
        self.stalled: Callable[[], None] = _untold
        self._queue: deque[Item] = deque()
        self._work: SimpleQueue[Turn | None] = SimpleQueue()  # None ends the thread
        self._next: Chore | None = None
        self._unfinished: Turn | None = None
        self._failure: StorageFailed | None = None
        self._rows = 0
        self._row_bytes = _FIRST_GUESS
        self._measuring = False
        self._scheduled = False
        self._full = False
        self._hurry = Signal()
        self._thread = Thread(target=self._serve, name="store-writer", daemon=True)
        self._threaded = threaded
        if threaded:
            self._thread.start()

    def submit(self, write: Write, done: Done | None = None) -> None:
        """Queue rows for the next commit; after a failure nothing happens."""
        if self._failure is not None:
            return
        self._rows += _rows(write)
        self._queue.append((write, done))
        if not self._scheduled:
            self._schedule()

    async def perform(self, work: Callable[[Connection], Any]) -> Any:
        """The result of work between two commits, after all that was submitted before.

        Raises StorageFailed when the store has stopped, or stops before it is done.
        """
        if self._failure is not None:
            raise self._failure
        return await self._put_chore(work)

    def pressure(self) -> Pressure:
        """What waits, by the number of rows and what rows weighed lately."""
        if self._space.stale and not self._measuring and self._failure is None:
            # Asked of the writer even if nothing is stored: intake that was refused for want of
            # room learns only here that there is room again.
            self._measuring = True
            self._put_chore(self._commits.measure).add_done_callback(self._measured)
        return Pressure(
            rows=self._rows,
            bytes=int(self._rows * self._row_bytes),
            free_bytes=self._space.free_bytes,
            store_bytes=self._commits.store_bytes,
        )

    def fail(self, error: StorageFailed) -> None:
        """Stop for ever and report it, once."""
        if self._failure is not None:
            return
        self._failure = error
        for item in (self._next, self._unfinished and self._unfinished.chore, *self._left()):
            if isinstance(item, Chore) and not item.answer.done():
                item.answer.set_exception(error)
        self._on_failure(error)

    async def close(self, last: Callable[[Connection], None]) -> None:
        """Commit what waits, do one last thing, and give up the connection.

        Raises StorageFailed when what waits cannot be committed, a full disk included.
        """
        self._hurry.set()
        try:
            await self.perform(last)
        finally:
            if self._threaded:
                self._work.put(None)
                await self._loop.run_in_executor(None, self._thread.join)
            self._failure = self._failure or StorageFailed("the store is closed")
            self._commits.close()

    def _put_chore(self, work: Callable[[Connection], Any]) -> asyncio.Future[Any]:
        chore = Chore(work, self._loop.create_future())
        self._queue.append(chore)
        if not self._scheduled:
            self._schedule()
        return chore.answer

    def _measured(self, answer: asyncio.Future[Any]) -> None:
        self._measuring = False
        answer.exception()  # a failure was reported already

    def _left(self) -> list[Item]:
        left = list(self._queue)
        self._queue.clear()
        return left

    # On the event loop.

    def _schedule(self) -> None:
        """Take a turn in the loop's next round; while one is under way the next is scheduled."""
        self._scheduled = True
        self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        if self._failure is not None:
            return
        if not self._threaded:
            self._take_turn_here()
            return
        try:
            turn = self._gather(self._next or self._queue.popleft())
            with suppress(DiskFull):  # then the thread does and judges all of it
                turn.prepared = turn.chore is None and self._commits.prepare(turn.batch)
        except Exception as error:  # noqa: BLE001  see _serve
            self.fail(_stopped(error))
            return
        self._unfinished = turn
        self._work.put(turn)

    def _turn_over(self, turn: Turn) -> None:
        """The thread is done with a turn: the next one waits for the disk while we tell of it."""
        self._unfinished = None
        if self._next is not None or self._queue:
            self._take_turn()
        else:
            self._scheduled = False
        self._settle(turn)

    def _take_turn_here(self) -> None:
        """A whole turn without a thread."""
        self._scheduled = False
        try:
            turn = self._unfinished or self._gather(self._next or self._queue.popleft())
            self._unfinished = turn
            self._attempt(turn)
        except DiskFull as error:
            self._scheduled = True
            if self._hurry.is_set():
                self.fail(_no_room(error))
            else:
                self.stalled()
                self._loop.call_later(_AGAIN_SECS, self._take_turn)
            return
        except Exception as error:  # noqa: BLE001  see _serve
            self._loop.call_soon(self.fail, _stopped(error))
            return
        self._unfinished = None
        if self._next is not None or self._queue:
            self._schedule()
        self._settle(turn)

    # In the thread.

    def _serve(self) -> None:
        try:
            while (turn := self._work.get()) is not None:
                while not self._attempted(turn):
                    pass
                self._loop.call_soon_threadsafe(self._turn_over, turn)
        except Exception as error:  # noqa: BLE001  the root of the thread: nobody else would know
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(self.fail, _stopped(error))

    def _attempted(self, turn: Turn) -> bool:
        try:
            self._attempt(turn)
        except DiskFull as error:
            self._loop.call_soon_threadsafe(self.stalled)
            if self._hurry.wait(_AGAIN_SECS):
                raise _no_room(error) from error
            return False
        return True

    # In either.

    def _gather(self, item: Item) -> Turn:
        batch = self._commits.new_batch()
        turn = Turn(batch, [])
        self._next = None
        if isinstance(item, Chore):
            turn.chore = item
            return turn
        while True:
            write, done = item
            batch.add(write)
            turn.rows += _rows(write)
            turn.writes += 1
            if done is not None:
                turn.dones.append(done)
            if not self._queue or turn.writes == _MOST_WRITES or batch.bytes >= _MOST_BYTES:
                break
            following = self._queue.popleft()
            if isinstance(following, Chore):
                self._next = following
                break
            item = following
        return turn

    def _attempt(self, turn: Turn) -> None:
        try:
            self._carry_out(turn)
        except DiskFull as error:
            if not self._full:
                self._full = True
                _LOG.error("the disk is full: commits wait", extra={"error": str(error.__cause__)})
            for _ in self._commits.remedies():
                with suppress(DiskFull):
                    self._carry_out(turn)
                    break
            else:
                raise
        if self._full:
            self._full = False
            _LOG.warning("the disk has room again: commits go on")

    def _carry_out(self, turn: Turn) -> None:
        if turn.prepared:
            turn.prepared = False  # when it fails all of it is done again
            self._commits.complete(turn.batch)
            return
        if turn.chore is None:
            self._commits.commit(turn.batch)
            return
        try:
            turn.result = self._commits.perform(turn.chore.work)
        except StorageFailed:
            raise
        except ReactorError as error:
            turn.error = error

    def _settle(self, turn: Turn) -> None:
        """Tell all who waited for a commit; one who fails does not stop the others."""
        if turn.rows:
            self.observe(turn.writes)
            self._rows -= turn.rows
            self._row_bytes = (self._row_bytes + turn.batch.bytes / turn.rows) / 2
        reach("before anyone is told")
        for done in turn.dones:
            try:
                done()
                reach("one of a commit is told")
            except Exception:  # noqa: BLE001  recorded; the others must hear of it all the same
                _LOG.exception("a callback after a commit failed")
        if turn.chore is not None and not turn.chore.answer.done():
            if turn.error is not None:
                turn.chore.answer.set_exception(turn.error)
            else:
                turn.chore.answer.set_result(turn.result)


def _unobserved(writes: float) -> None:
    """Nobody wants to know the size of commits."""


def _untold() -> None:
    """Nobody wants to know that the disk is full."""


def _rows(write: Write) -> int:
    return len(write.events) + len(write.executions) + len(write.records) + len(write.ends)


def _stopped(error: Exception) -> StorageFailed:
    if isinstance(error, StorageFailed):
        return error
    return StorageFailed(f"the store's writer failed: {error!r}")


def _no_room(error: DiskFull) -> StorageFailed:
    return StorageFailed(f"the disk is full ({error.__cause__}): what waited is not stored")
