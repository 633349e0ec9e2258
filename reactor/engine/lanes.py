"""How executions of one flow share the machine: slots, keys and the queue of each key."""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from enum import Enum

from msgspec import Struct

from reactor.model.flow import Run

# Queued executions of a flow that are known in memory; the rest is read from the store as these go.
BACKLOG = 10_000
# Of one key so many are known: a long row behind a key that is taken must not hide the other keys.
KEY_BACKLOG = 1_000
FEW = 100


class Admission(Enum):
    """What happens to a new execution."""

    START = "start"
    QUEUE = "queue"
    SKIP = "skip"


class Verdict(Struct, frozen=True):
    """What `admit` decided; `cancel` and `supersede` name executions that must make room."""

    admission: Admission
    cancel: int | None = None
    supersede: int | None = None


START = Verdict(Admission.START)
QUEUE = Verdict(Admission.QUEUE)
SKIP = Verdict(Admission.SKIP)


class Lane:
    """The executions of one flow.

    Invariants: at most `run.max` ids are in `running`; but for `parallel` each key has at most one
    owner, which keeps it until its execution ends, waits included; queued executions of a key start
    in order of their ids. `start` is called with the id of an execution whose turn has come.
    """

    def __init__(self, run: Run, start: Callable[[int], None]) -> None:
        self.run = run
        self.paused = False
        self.more = False  # whether the store has queued executions that are not known here
        self._start = start
        self._running: set[int] = set()
        self._owners: dict[str, int] = {}
        self._queues: dict[str, deque[int]] = {}
        self._ready: deque[str] = deque()
        self._returning: OrderedDict[int, None] = OrderedDict()
        self._queued = 0
        self._last = 0
        # Keys of which the store has more: the last that was known here, and whether `enqueue`
        # left any to the store since `begin_reading_key`.
        self._behind: dict[str, tuple[int, bool]] = {}
        self._left_out = False  # whether `enqueue` left any to the store since `begin_reading`

    @property
    def queued(self) -> int:
        """Queued executions known in memory."""
        return self._queued

    @property
    def last(self) -> int:
        """The highest queued id known in memory: the store is asked for those after it."""
        return self._last

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return len(self._running)

    def admit(self, execution: int, key: str | None) -> Verdict:
        """Decide on a new execution; START has taken the slot and the key."""
        name = self._name(key)
        mode = self.run.mode
        taken = mode != "parallel" and (
            name in self._owners or name in self._behind or bool(self._queues.get(name))
        )
        if taken and mode == "single":
            return SKIP
        cancel = supersede = None
        if taken and mode in ("restart", "latest"):
            waiting = self._queues.get(name)
            if waiting:
                supersede = waiting.pop()
                self._queued -= 1
            if mode == "restart":
                cancel = self._owners.get(name)
        free = len(self._running) < self.run.max and not self._returning and not self.paused
        # With more in the store than is known here, what is known may not overtake it.
        first = not self.more and (mode != "parallel" or not self._ready)
        if free and not taken and first:
            self._take(execution, name)
            return START
        self.enqueue(execution, key)
        return Verdict(Admission.QUEUE, cancel=cancel, supersede=supersede)

    def enqueue(self, execution: int, key: str | None) -> None:
        """Know a queued execution; over the bound it is left to the store."""
        if self.more or self._queued >= BACKLOG:
            self.more = self._left_out = True
            return
        name = self._name(key)
        self._last = max(self._last, execution)
        if name in self._behind:
            self._behind[name] = self._behind[name][0], True
            return
        queue = self._queues.setdefault(name, deque())
        if len(queue) >= KEY_BACKLOG and self.run.mode != "parallel":
            self._behind[name] = queue[-1], True
            return
        queue.append(execution)
        self._queued += 1
        if len(queue) == 1 and name not in self._owners:
            self._ready.append(name)

    def short(self) -> str | None:
        """A key of which few are left here and more in the store, or None."""
        return next((name for name in self._behind if len(self._queues.get(name, ())) < FEW), None)

    def begin_reading_key(self, name: str) -> int:
        """Executions of this key are about to be read from the store, those after this id."""
        last, _ = self._behind[name]
        self._behind[name] = last, False
        return last

    def read_key(self, name: str, page: Sequence[int], *, whole: bool) -> None:
        """Know executions of a key that the store had; `whole`: there were no others then."""
        last, left_out = self._behind.pop(name)
        known = [one for one in page if not self.more or one <= self._last]
        if len(known) < len(page):  # the others come with all that is left to the store
            page, whole = known, True
        queue = self._queues.setdefault(name, deque())
        queue.extend(page)
        self._queued += len(page)
        if left_out or not whole:
            self._behind[name] = page[-1] if page else last, left_out
        if queue and len(queue) == len(page) and name not in self._owners:
            self._ready.append(name)
        elif not queue:
            del self._queues[name]

    def begin_reading(self) -> None:
        """Queued executions are about to be read from the store."""
        self._left_out = False

    def read(self, page: Sequence[tuple[int, str | None]], *, whole: bool) -> bool:
        """Know queued executions that the store had; whether to read on before anything can start.

        `whole` says that there were no others then.
        """
        self.more = False
        left_out, self._left_out = self._left_out, False
        for execution, key in page:
            self.enqueue(execution, key)
        self.more = self._left_out or left_out or not whole
        return self.more and not self._ready and self._queued < BACKLOG

    def own(self, execution: int, key: str | None) -> None:
        """Take the key for an open execution found at boot (waiting ones hold no slot)."""
        if self.run.mode != "parallel":
            self._owners[self._name(key)] = execution

    def occupy(self, execution: int) -> None:
        """Take a slot whether one is free or not: for what runs alone, or to be cancelled."""
        self._running.add(execution)

    def refit(self, run: Run) -> bool:
        """Follow the flow's new `run`; whether keys and queue must be read from the store again."""
        again = (run.mode == "parallel") != (self.run.mode == "parallel")
        self.run = run
        if again:  # `parallel` knows no keys
            self._owners.clear()
            self._queues.clear()
            self._ready.clear()
            self._behind.clear()
            self._queued = self._last = 0
            self.more = True
        return again

    def resume(self, execution: int) -> None:
        """A waiting execution is due: it takes a slot before all queued ones, once."""
        if execution not in self._running:
            self._returning[execution] = None

    def park(self, execution: int) -> None:
        """An execution waits: its slot is free, its key is not."""
        self._running.discard(execution)

    def release(self, execution: int, key: str | None, *, hold: bool = False) -> None:
        """An execution ended; `hold` keeps the key (`on_fail: hold`) until `free`."""
        self._running.discard(execution)
        if not hold:
            self.free(execution, key)

    def free(self, execution: int, key: str | None) -> None:
        """Give a key back."""
        name = self._name(key)
        if self._owners.get(name) != execution:
            return
        del self._owners[name]
        if self._queues.get(name):
            self._ready.append(name)
        else:
            self._queues.pop(name, None)

    def hand_over(self, old: int, new: int, key: str | None) -> bool:
        """Let a retry, which is next, take the key that a failed execution holds; if it does."""
        name = self._name(key)
        if self._owners.get(name) != old:
            return False
        self._owners[name] = new
        self.resume(new)
        return True

    def drop(self, execution: int, key: str | None) -> None:
        """A queued execution was cancelled."""
        queue = self._queues.get(self._name(key))
        if queue is not None and execution in queue:
            queue.remove(execution)
            self._queued -= 1

    def turn(self) -> None:
        """Start what may start now."""
        while not self.paused and len(self._running) < self.run.max:
            if self._returning:
                execution, _ = self._returning.popitem(last=False)
                self._running.add(execution)
            elif (found := self._pick()) is not None:
                execution = found
            else:
                return
            self._start(execution)

    def knows(self, execution: int, key: str | None) -> bool:
        """Whether a queued execution will get its turn from here."""
        name = self._name(key)
        queued = execution in self._queues.get(name, ()) or name in self._behind
        return queued or self.more or execution in self._running or execution in self._returning

    def _pick(self) -> int | None:
        while self._ready:
            name = self._ready.popleft()
            queue = self._queues.get(name)
            if not queue or name in self._owners:
                continue
            execution = queue.popleft()
            self._queued -= 1
            self._take(execution, name)
            if not queue:
                del self._queues[name]
            elif self.run.mode == "parallel":
                self._ready.append(name)
            return execution
        return None

    def _take(self, execution: int, name: str) -> None:
        self._running.add(execution)
        if self.run.mode != "parallel":
            self._owners[name] = execution

    def _name(self, key: str | None) -> str:
        return "" if self.run.mode == "parallel" or key is None else key
