"""Steps that wait for something outside their execution: an event, a person, a called flow.

Such a step asks the store: when it begins, when something came that it may take, and when its time
is over. What it hears is decided by what is on disk, so it is the same in whatever order things
came. In between it rests, and leaves nothing in memory.
"""

from collections.abc import Sequence

from msgspec import Struct

from reactor.engine.frames import Frame, Walk
from reactor.engine.turns import Turn
from reactor.ids import first_id
from reactor.model.event import Event
from reactor.store import Open
from reactor.store.hearing import Wait

PAGE = 100  # so many events are looked at at once


class Ask(Struct, frozen=True):
    """A question of a step: what was heard under a name and key, or what became of `child`."""

    path: str
    name: str
    key: str
    after: int = 0
    child: int | None = None


class Heard(Struct, frozen=True):
    """The answer to an Ask; `whole` says that there is nothing more."""

    events: Sequence[Event] = ()
    whole: bool = True
    child: Open | None = None


class AskingFrame(Frame):
    """The base of steps that ask; `wait` is the row by which they are woken."""

    def __init__(self, turn: Turn, walk: Walk) -> None:
        super().__init__(turn, walk)
        self.wait: Wait | None = None
        # What it may wait for came after its event, or after it was started by hand.
        stage = walk.stage
        self.after = max(stage.event, first_id(stage.created_ms))
        self._asked = False
        self._missed = False

    @property
    def rests(self) -> bool:
        """Whether it was told what there is, and waits for more."""
        return self.wait is not None and not self.asks

    def register(self, wait: Wait, *, new: bool) -> None:
        """Wait under this row, and ask as soon as it is on disk."""
        self.wait = wait
        if new:
            self.walk.stage.waits.append(wait)
        self.asks = True

    def question(self) -> Ask | None:
        """What it asks, once; None while an answer is on its way."""
        if not self.asks or self._asked or self.wait is None:
            return None
        self._asked = True
        child = self.child
        return Ask(self.turn.path, self.wait.name, self.wait.key, self.after, child)

    @property
    def child(self) -> int | None:
        """The execution that it waits for, if it is one."""
        return None

    def stir(self) -> None:
        """Something came that it may take."""
        if self.wait is not None:
            self._missed = self.asks
            self.asks = True

    def tick(self) -> None:
        """When its time is over it looks once more: what came before counts."""
        if self.limit_ms is not None and self.limit_ms <= self.walk.now_ms:
            if self.wait is None:
                self.too_long()
            else:
                self.asks = True

    def told(self, answer: Heard) -> None:
        """Take what there is, or rest on; its time may be over."""
        self._asked = False
        if self.take(answer):
            return
        self.asks, self._missed = self._missed or not answer.whole, False
        if not self.asks and self.limit_ms is not None and self.limit_ms <= self.walk.now_ms:
            self.too_long()

    def take(self, answer: Heard) -> bool:
        """Whether this was it; the step has ended then."""
        raise NotImplementedError

    def ended(self) -> None:
        """It waits for nothing any more."""
        if self.wait is not None:
            self.walk.stage.unwaits.append(self.wait)
            self.wait = None

    def leave(self) -> None:
        """It was given up."""
        self.ended()


def told_by(event: Event, limit_ms: int | None) -> bool:
    """Whether an event came before the time was over."""
    return limit_ms is None or event.received_ms <= limit_ms
