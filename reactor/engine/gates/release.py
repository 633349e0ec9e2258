"""What goes on from gates: the way of its execution, in the pace of `throttle`."""

from collections.abc import Callable

from msgspec.structs import replace

from reactor.engine.gates.chain import throttle_name
from reactor.engine.gates.door import Door, Way
from reactor.engine.gates.moves import Item
from reactor.engine.gates.pace import next_start, started
from reactor.engine.gates.rows import Found, Rows
from reactor.engine.plan import Weft
from reactor.engine.router import Candidate, Decision
from reactor.ids import Ids
from reactor.model.event import Event, Started
from reactor.store import Write
from reactor.store.gated import GateName


class Releases:
    """Starts what gates let go; `watch` is told of the rows of throttles."""

    def __init__(
        self,
        rows: Rows,
        ids: Ids,
        door: Door,
        watch: Callable[[GateName, int | None], None],
    ) -> None:
        self._rows = rows
        self._ids = ids
        self._door = door
        self._watch = watch

    def way(
        self,
        write: Write,
        candidate: Candidate,
        item: Item,
        found: Found,
        now_ms: int,
    ) -> Way:
        """How the execution of an item begins; a throttle counts its start."""
        gates = candidate.trigger.gates
        throttle = None if gates is None else gates.throttle
        start_ms = None
        if throttle is not None:
            name = throttle_name(candidate, item.pace)
            mark = self._rows.get(name, found)
            at_ms = next_start(throttle, mark, now_ms)
            if at_ms > now_ms and throttle.over == "drop":
                start_ms = 0
            else:
                row = started(throttle, mark, at_ms, now_ms)
                self._rows.put(write, name, row)
                self._watch(name, row.due_ms)
                start_ms = at_ms if at_ms > now_ms else None
        return Way(
            facts=item.facts, group=item.group, first=item.first, last=item.last, start_ms=start_ms
        )

    def release(
        self,
        weft: Weft,
        candidate: Candidate,
        key: str,
        item: Item,
        *,
        found: Found,
        now_ms: int,
    ) -> Started:
        """Start what was held, from the store: the flow's conditions are asked when it is read."""
        event = item.event or self._nothing_heard(weft.write, candidate, key or None, now_ms)
        facts = {**item.facts, "key": key or None, "judge": True}
        way = replace(
            self.way(weft.write, candidate, item, found, now_ms), facts=facts, deferred=True
        )
        decision = Decision(candidate, "started", {}, {}, item.lane)
        number = self._door.starter.admit(
            weft, decision, event, now_ms=now_ms, depth=item.depth, way=way
        )
        return Started(candidate.flow.name, number)

    def _nothing_heard(
        self, write: Write, candidate: Candidate, key: str | None, now_ms: int
    ) -> int:
        """The event of a key that was waited for and never came."""
        number, trigger = self._ids.next(), candidate.trigger
        write.events.append(
            Event(number, trigger.source, trigger.instance, now_ms, now_ms, None, key, 0, None, {})
        )
        return number
