"""An event through the gates of one trigger: each asked in its order, all in one write."""

from collections import deque

from msgspec import Struct

from reactor.engine.gates.moves import Asked, Item, Move
from reactor.engine.gates.order import WORDS
from reactor.engine.gates.rows import Found, Rows
from reactor.engine.router import Candidate
from reactor.store import Write
from reactor.store.gated import GateName, Judged


class Passed(Struct):
    """What came through all gates, what was said about the rest, and whether anything is new.

    `moved` are the rows that were written, with their due times, `kept` events that gates have now.
    """

    items: list[Item] = []
    says: str = ""
    changed: bool = False
    late: bool = False
    moved: list[tuple[GateName, int | None]] = []
    kept: set[int] = set()


def names_in(candidate: Candidate, key: str, first: int = 0) -> list[GateName]:
    """The rows of a trigger's gates for a key, from the `first` gate on."""
    gates = candidate.trigger.gates
    chain = () if gates is None else gates.chain[first:]
    return [(candidate.flow.name, candidate.trigger.id, word, key) for word, _ in chain]


def throttle_name(candidate: Candidate, pace: str) -> GateName:
    """The row of a trigger's throttle."""
    return candidate.flow.name, candidate.trigger.id, "throttle", pace


class Chain:
    """Walks the gates of one trigger for one key, over rows that were asked for."""

    def __init__(
        self, rows: Rows, found: Found, write: Write, candidate: Candidate, key: str
    ) -> None:
        self.passed = Passed()
        self._rows = rows
        self._found = found
        self._write = write
        self._candidate = candidate
        self._key = key

    def hear(self, item: Item, asked: Asked) -> Passed:
        """Take an event in at the first gate; EvaluationError leaves everything as it was."""
        self._go_on(deque([(0, item)]), asked)
        return self.passed

    def due(self, index: int, asked: Asked) -> Passed | None:
        """Let a gate do what is due, unless it is not any more."""
        gates = self._candidate.trigger.gates
        word, config = ("", None) if gates is None else gates.chain[index]
        act = WORDS[word].due if word else None
        mark = self._rows.get(self._name(word), self._found)
        if act is None or mark is None or mark.due_ms is None or mark.due_ms > asked.now_ms:
            return None
        move = act(config, mark, asked)
        self._apply(word, move)
        self._go_on(deque((index + 1, item) for item in move.passes), asked)
        return self.passed

    def _go_on(self, waiting: deque[tuple[int, Item]], asked: Asked) -> None:
        gates = self._candidate.trigger.gates
        chain = () if gates is None else gates.chain
        while waiting:
            index, item = waiting.popleft()
            if index == len(chain):
                self.passed.items.append(item)
                continue
            word, config = chain[index]
            mark = self._rows.get(self._name(word), self._found)
            move = WORDS[word].hear(config, mark, item, asked)
            self._apply(word, move)
            self.passed.says = move.says
            self.passed.late |= move.late
            waiting.extend((index + 1, each) for each in move.passes)

    def _apply(self, word: str, move: Move) -> None:
        if not move.changed:
            self.passed.changed |= move.late
            return
        name = self._name(word)
        self._rows.put(self._write, name, move.mark)
        self._write.held += move.held
        self._write.let_go += move.let_go
        flow, trigger = name[:2]
        self._write.judged += [
            Judged(event, flow, trigger, "stopped", move.says) for event in move.over
        ]
        self.passed.changed = True
        self.passed.kept |= {held.event for held in move.held}
        if move.mark is not None and move.mark.event is not None:
            self.passed.kept.add(move.mark.event)
        self.passed.moved.append((name, None if move.mark is None else move.mark.due_ms))

    def _name(self, word: str) -> GateName:
        return self._candidate.flow.name, self._candidate.trigger.id, word, self._key
