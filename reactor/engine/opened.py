"""What is open in one execution: steps at work or asleep, control steps, blocks to be walked."""

from collections import deque

from reactor.engine.asking import AskingFrame
from reactor.engine.frames import Frame
from reactor.engine.turns import Act, Block, Turn


class Opened:
    """Everything that a machine has begun and not ended; `acts` and `aborts` wait to be taken."""

    __slots__ = ("aborts", "acts", "blocks", "frames", "paused", "turns")

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}
        self.frames: dict[str, Frame] = {}
        self.blocks: deque[Block] = deque()
        self.paused: list[Block] = []  # until the next commit
        self.acts: list[Act] = []
        self.aborts: list[str] = []

    @property
    def due(self) -> int | None:
        """The earliest time at which a sleeping step goes on, or one has taken too long."""
        times = [turn.due_ms for turn in self.turns.values() if turn.wake is not None]
        for frame in self.frames.values():
            if not frame.asks:  # what asks is told soon, and looks at the time itself
                times += [frame.due_ms, frame.limit_ms]
        return min((time for time in times if time is not None), default=None)

    @property
    def waits_for(self) -> str:
        """What the step that began last rests for."""
        held = next((turn.held for turn in self.turns.values() if turn.held), None)
        if held is not None:
            return f"rate of connection {held}"
        words = [frame.word for frame in self.frames.values() if frame.rests]
        return words[-1] if words else "retry"

    @property
    def asking(self) -> list[AskingFrame]:
        """The steps that must be told something."""
        frames = self.frames.values()
        return [frame for frame in frames if frame.asks and isinstance(frame, AskingFrame)]

    @property
    def sleeping(self) -> bool:
        """Whether all that is open waits for a stored time."""
        if self.paused:
            return False
        for turn in self.turns.values():
            if turn.wake is None:
                return False
        rests = bool(self.turns)
        for frame in self.frames.values():
            if frame.asks:
                return False
            rests = rests or frame.rests
        return rests

    def wake(self, now_ms: int) -> None:
        """Go on with what is due."""
        for path, frame in list(self.frames.items()):
            if path in self.frames:  # it was not dropped with one before it
                frame.tick()
        for path, turn in list(self.turns.items()):
            wake, due_ms = turn.wake, turn.due_ms
            if wake is None or due_ms is None or due_ms > now_ms:
                continue
            if self.turns.pop(path, None) is not None:
                wake(turn)

    def lose(self, path: str) -> list[Turn]:
        """Drop all that is open inside a control step; attempts under way are to be cancelled."""
        inner = [one.turn for one in self.frames.values() if one.turn.block.ground.within(path)]
        leaves = [turn for turn in self.turns.values() if turn.block.ground.within(path)]
        for turn in inner:
            self.frames.pop(turn.path).leave()
        for turn in leaves:
            del self.turns[turn.path]
            if turn.wake is None:
                self.aborts.append(turn.path)
        gone = {turn.path for turn in leaves}
        self.acts = [act for act in self.acts if act.path not in gone]
        kept = [one for one in self.blocks if not one.ground.within(path)]
        self.blocks.clear()
        self.blocks.extend(kept)
        self.paused = [one for one in self.paused if not one.ground.within(path)]
        return [*inner, *leaves]

    def drop(self) -> None:
        """Give everything up."""
        for frame in self.frames.values():
            frame.leave()
        self.forget()

    def forget(self) -> None:
        """Let go of everything; what the store has of it stays."""
        self.aborts += [turn.path for turn in self.turns.values() if turn.wake is None]
        self.turns.clear()
        self.frames.clear()
        self.blocks.clear()
        self.acts.clear()
        self.paused.clear()
