"""Loops: `repeat`, round after round, and `each`, so many items at once."""

from functools import partial
from typing import Any

from msgspec.structs import replace

from reactor.engine.frames import Frame, Walk, last_output
from reactor.engine.recall import rounds
from reactor.engine.turns import Block, Turn
from reactor.errors import ActionFailed
from reactor.expr.values import kind
from reactor.model.execution import Failure
from reactor.model.flow import RepeatStep

MOST_ITEMS = 100_000
BREATH = 100  # so many rounds or items, then a commit: the event loop is never held for long


class RepeatFrame(Frame):
    """Steps done again until a condition holds; its output is what was collected, else the last.

    What is decided after a round is one entry: whether it was the last, what was collected, and
    when the next one begins.
    """

    def __init__(self, turn: Turn, walk: Walk, step: RepeatStep) -> None:
        super().__init__(turn, walk)
        self.step = step
        self.round = 0
        self.collected: list[Any] = []

    def begin(self) -> None:
        """Go on after the last round that was decided."""
        self.round = rounds(self.path, self.walk.recorded)
        decided = None
        for number in range(self.round):
            decided = self.walk.recorded(f"{self.path}@{number}", "chose")
            self.collected.append(decided["collected"])
        if decided is None:
            self._do()
        else:
            self._go_on(decided)

    def wake(self) -> None:
        """The next round."""
        self._do()

    def _do(self) -> None:
        around = self.ground
        ground = replace(around, suffix=f"{around.suffix}@{self.round}")
        self.walk.push(self.step.do, self._ended, ground)

    def _ended(self, failure: Failure | None) -> None:
        if failure is not None:
            self.walk.close(self.turn, None, failure)
        elif self.walk.undecided:
            self.walk.pause(Block((), self._ended, self.ground))  # `until` may read `state`
        else:
            self.decide(self._judge)

    def _judge(self) -> None:
        names, step = self.ground.names, self.step
        until = bool(step.until) and all(condition.test(names) for condition in step.until)
        decided = {
            "until": until,
            "collected": None if step.collect is None else step.collect.evaluate(names),
            "due": self.walk.now_ms + round(step.every_secs * 1000),
        }
        self.walk.note(f"{self.path}@{self.round}", "chose", decided)
        self.collected.append(decided["collected"])
        self.round += 1
        self._go_on(decided)

    def _go_on(self, decided: dict[str, Any]) -> None:
        step = self.step
        if decided["until"] or (not step.until and self.round == step.max):
            last = last_output(step.do, self.ground.names)
            self.walk.close(self.turn, last if step.collect is None else self.collected, None)
        elif self.round == step.max:
            self.fail("exhausted", f"until did not hold in {step.max} rounds")
        elif decided["due"] > self.walk.now_ms:
            self.due_ms = decided["due"]
        elif self.round % BREATH:
            self._do()
        else:
            self.walk.pause(Block((), lambda _: self._do(), self.ground))


class EachFrame(Frame):
    """A step for each item of a list, `at_once` of them at a time; its output is the list.

    The list is decided once. Only items at work have anything in memory; the next one is begun when
    one ends, from the queue of blocks, so that neither tasks nor the stack grow with the list.
    """

    def begin(self) -> None:
        """Decide the list, once, and begin the first items."""
        step = self.turn.step
        self.one = replace(step, each=None)
        items = self.walk.recorded(self.path, "chose")
        if items is None:
            items = step.each.render(self.ground.names) if step.each is not None else []
            if not isinstance(items, list):
                raise ActionFailed(f"each: a {kind(items)}, not a list", kind="type")
            if len(items) > MOST_ITEMS:
                message = f"each: {len(items)} items, at most {MOST_ITEMS}: split the list"
                raise ActionFailed(message, kind="too_large")
            self.walk.note(self.path, "chose", items)
        self.items: list[Any] = items
        self.outputs: list[Any] = [None] * len(items)
        self.next = 0
        self.open = 0
        self._fill()

    def _fill(self) -> None:
        while self.open < self.turn.step.at_once and self.next < len(self.items):
            index = self.next
            self.next += 1
            if not self._known(index):
                self.open += 1
                self._start(index)
        if not self.open:
            self.walk.close(self.turn, self.outputs, None)

    def _known(self, index: int) -> bool:
        """Whether the journal has how this item ended, and it needs no more."""
        path = f"{self.one.path}{self.ground.suffix}@{index}"
        done = self.walk.recorded(path, "done")
        if done is None or done["status"] not in ("ok", "skipped"):
            return False
        self.outputs[index] = done["output"]
        return True

    def _start(self, index: int) -> None:
        names = self.ground.names
        item = {self.turn.step.item_name: self.items[index], "index": index}
        ground = self.inner(f"@{index}", steps=dict(names["steps"]), **item)
        ended = partial(self._ended, index, ground.names)
        if (index + 1) % BREATH:
            self.walk.push((self.one,), ended, ground)
        else:
            self.walk.pause(Block((self.one,), ended, ground))

    def _ended(self, index: int, names: dict[str, Any], failure: Failure | None) -> None:
        if failure is not None:
            self.walk.close(self.turn, None, replace(failure, item=self.items[index]))
            return
        self.outputs[index] = last_output((self.one,), names)
        self.open -= 1
        self._fill()
