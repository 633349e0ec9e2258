"""When gates have something to do by themselves: stored times, and timers for what is near."""

import asyncio
from collections import deque

from reactor.clock import Clock
from reactor.engine.alarms import NEAR_MS
from reactor.engine.gates.chain import Chain, Passed, names_in, throttle_name
from reactor.engine.gates.door import Door
from reactor.engine.gates.moves import Asked
from reactor.engine.gates.release import Releases
from reactor.engine.gates.rows import Found, Rows
from reactor.engine.gates.silence import expected
from reactor.engine.plan import Weft
from reactor.engine.router import Candidate
from reactor.engine.timers import Timer, Timers
from reactor.ids import Ids
from reactor.model.gates import Absent, Gates
from reactor.store import Store, Write
from reactor.store.gated import GateName

PAGE = 10_000
AT_ONCE = 100  # so many, then a commit: the event loop is never held for long


class Wakes:
    """Turns due times of rows into events that go on."""

    def __init__(
        self,
        *,
        store: Store,
        rows: Rows,
        clock: Clock,
        ids: Ids,
        moments: Timers,
        door: Door,
    ) -> None:
        self.releases = self._releases = Releases(rows, ids, door, self.watch)
        self._store = store
        self._rows = rows
        self._clock = clock
        self._ids = ids
        self._moments = moments
        self._door = door
        self._timers: dict[GateName, Timer] = {}

    def moved(self, passed: Passed) -> None:
        """Rows were written."""
        for name, due_ms in passed.moved:
            self.watch(name, due_ms)

    def watch(self, name: GateName, due_ms: int | None) -> None:
        """Wake a gate at its time if that is near; the reconciler finds far ones.

        One timer a row: one that is too early looks again, so renewing a row costs nothing.
        """
        if due_ms is None or due_ms - self._clock.now_ms() > NEAR_MS:
            return
        timer = self._timers.get(name)
        if timer is not None:
            if timer.at <= due_ms:
                return
            timer.cancel()
        self._timers[name] = self._moments.at(due_ms, lambda: self._turn(name))

    def _turn(self, name: GateName) -> None:
        self._timers.pop(name, None)
        flow, trigger, word, key = name
        candidate = self._door.router.gated.get((flow, trigger))
        if candidate is None or not self._door.open:
            return  # frozen, removed, or for the next start
        gates = candidate.trigger.gates or Gates()
        words = [each for each, _ in gates.chain]
        if word == "throttle":
            self._rows.ask([name], lambda found: self._forget(name, found))
        elif word in words:
            first = words.index(word)
            names = names_in(candidate, key, first)
            if gates.throttle is not None:
                names.append(throttle_name(candidate, key))
            self._rows.ask(names, lambda found: self._due(candidate, first, name, found))

    def _due(self, candidate: Candidate, first: int, name: GateName, found: Found) -> None:
        now_ms, key = self._clock.now_ms(), name[3]
        weft = Weft(Write(), deque(), [])
        chain = Chain(self._rows, found, weft.write, candidate, key)
        passed = chain.due(first, Asked({}, now_ms, self._ids.next))
        if passed is None:
            mark = self._rows.get(name, found)
            self.watch(name, None if mark is None else mark.due_ms)
            return
        for item in passed.items:
            self._releases.release(weft, candidate, key, item, found=found, now_ms=now_ms)
        self.moved(passed)
        self._door.carry_out(weft)

    def _forget(self, name: GateName, found: Found) -> None:
        """A throttle that was quiet for long enough knows nothing of its key."""
        mark = self._rows.get(name, found)
        if mark is None or mark.due_ms is None:
            return
        if mark.due_ms > self._clock.now_ms():
            self.watch(name, mark.due_ms)
            return
        weft = Weft(Write(), deque(), [])
        self._rows.put(weft.write, name, None)
        self._door.carry_out(weft)

    def expect(self) -> None:
        """Wait for the keys that triggers name, from now on where nothing is known of them."""
        for candidate in self._door.router.gated.values():
            for word, config in (candidate.trigger.gates or Gates()).chain:
                if isinstance(config, Absent) and config.expect:
                    self._expect(candidate, word, config)

    def _expect(self, candidate: Candidate, word: str, config: Absent) -> None:
        flow, trigger = candidate.flow.name, candidate.trigger.id
        names = [(flow, trigger, word, key) for key in config.expect]

        def known(found: Found) -> None:
            weft = Weft(Write(), deque(), [])
            now_ms = self._clock.now_ms()
            for name in names:
                if self._rows.get(name, found) is None:
                    mark = expected(config, name[3], now_ms)
                    self._rows.put(weft.write, name, mark)
                    self.watch(name, mark.due_ms)
            if weft.write.gates:
                self._door.carry_out(weft)

        self._rows.ask(names, known)

    async def reconcile(self) -> None:
        """Find rows that are due soon, and let those go that are; frozen flows' rows wait."""
        router, before = self._door.router, None
        while router.gated and self._door.open:
            now_ms = self._clock.now_ms()
            found = await self._store.gates.due(now_ms + NEAR_MS, frozen=router.frozen, limit=PAGE)
            for due_ms, name in found:
                if due_ms > now_ms:
                    self.watch(name, due_ms)
            late = [name for due_ms, name in found if due_ms <= now_ms]
            for first in range(0, len(late), AT_ONCE):
                for name in late[first : first + AT_ONCE]:
                    if name not in self._timers:
                        self._turn(name)
                await self._settled()
            if len(found) < PAGE or not late or found == before:
                return
            before = found

    async def _settled(self) -> None:
        """What was decided is on disk; others had their turn."""
        done = asyncio.get_running_loop().create_future()
        self._store.submit(Write(), lambda: None if done.done() else done.set_result(None))
        await done
