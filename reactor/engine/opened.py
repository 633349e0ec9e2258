"""What is open in one execution: steps at work or asleep, control steps, blocks to be walked."""

from collections import deque

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
            times += [frame.due_ms, frame.limit_ms]
        return min((time for time in times if time is not None), default=None)

    @property
    def waits(self) -> bool:
        """Whether a step sleeps to a time that the flow named."""
        return any(frame.due_ms is not None for frame in self.frames.values())

    @property
    def sleeping(self) -> bool:
        """Whether all that is open waits for a stored time."""
        if self.paused:
            return False
        for turn in self.turns.values():
            if turn.wake is None:
                return False
        return bool(self.turns) or (bool(self.frames) and self.waits)

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
            del self.frames[turn.path]
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
        """Drop everything."""
        self.aborts += [turn.path for turn in self.turns.values() if turn.wake is None]
        self.turns.clear()
        self.frames.clear()
        self.blocks.clear()
        self.acts.clear()
        self.paused.clear()
