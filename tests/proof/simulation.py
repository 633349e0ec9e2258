"""The real engine and store on made-up time, against an outside that one seed scripts.

A seed decides everything: what arrives when, how long a commit or a step takes, which of them
fails, and between which two rounds of the loop the process dies. The same seed gives the same
history.
"""

import asyncio
import errno
import hashlib
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from reactor.daemon.sources import Sources, SourceWorld
from reactor.engine.approvals import Approvals
from reactor.engine.core import Engine
from reactor.engine.core import Outside as EngineOutside
from reactor.engine.supervisor import Supervisor
from reactor.errors import NotFound, ReactorError, StorageFailed
from reactor.loading.load import Loading, load_document, load_text
from reactor.model.execution import Failure
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import Connection, Files, Network
from reactor.store import Query
from reactor.store.sqlite import SqliteStore, open_sqlite
from reactor.testing import BEGIN_MS
from tests.proof.faults import Fault
from tests.proof.outside import Message, Outside
from tests.proof.virtual import Cut, LoopClock, VirtualLoop

FLOWS = Path(__file__).with_name("simulated.yaml").read_text()
KINDS = (
    "plain", "line", "lone", "newest", "again", "sleepy", "spread", "tally", "parent", "picky",
    "quick", "box", "burst", "third", "pair", "silent", "slow", "hears", "asks", "back", "asker",
    "span", "sour", "edge", "torn",
)  # fmt: skip
KINDS_OF_A_SEED = 8  # few, so that they meet
KEYS = ("a", "b", "c")
MOST_CRASHES = 5  # more in a row may make a dead letter of an execution, as they should
RECONCILE_SECS = 10.0
TICK_SECS = 20.0  # when nothing is due; that the clock was set is seen then
LONGEST_SECS = 20_000.0  # of made-up time, until everything must be over

SOON_MS = 86_400_000  # gates that are due later hold for ever, as far as a seed goes
SPOILT_SECS = 300.0  # the same for a daemon with a fault, which may never end


class Seeded(Struct, frozen=True):
    """What one seed came to: its trace, and the store and outside as they were at the end."""

    seed: int
    trace: list[str]
    outside: Outside
    folder: Path
    crashes: int
    repaired: int

    @property
    def digest(self) -> str:
        """The history in a few letters: equal for the same seed."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


@cache
def loaded() -> tuple[Sequence[Flow], Loading]:
    """The simulated flows; a flow knows the words of an outside, not which one it will be."""
    loading = Loading(catalog=Catalog(Outside(random.Random(), print).specs))
    found = load_text(FLOWS, "simulated.yaml", loading)
    errors = [problem for problem in found.problems if problem.severity == "error"]
    assert not errors, errors
    return found.flows, loading


class Simulation:
    """All lives of one seed. `fault` spoils each store, to see that the checks notice."""

    def __init__(self, folder: Path, seed: int, fault: Fault | None = None) -> None:
        self.trace: list[str] = []
        self.crashes = 0
        self.repaired = 0
        self._folder = folder
        self._seed = seed
        self._fault = fault
        self._chance = random.Random(seed)
        self._clock: LoopClock
        self._store: SqliteStore
        self._engine: Engine
        self._died = False
        self.outside = Outside(random.Random(seed + 1), self._tell)
        self._catalog = Catalog(self.outside.specs)
        self._flows, self._loading = loaded()
        self._left = self._chance.randint(15, 40)
        self._kinds = self._chance.sample(KINDS, KINDS_OF_A_SEED)
        if "hears" in self._kinds:
            self._kinds.append("word")

    def run(self) -> Seeded:
        """Live and die until everything that arrived is done."""
        now, skew_ms = 0.0, 0
        while True:
            rounds = self._rounds()
            loop = VirtualLoop(now, self._between(rounds))
            asyncio.set_event_loop(loop)
            self._clock = LoopClock(loop, BEGIN_MS)
            self._clock.skew_ms = skew_ms
            self._died = False
            over = self._live(loop)
            now, skew_ms = loop.now, self._clock.skew_ms
            if over:
                return Seeded(
                    self._seed, self.trace, self.outside, self._folder, self.crashes, self.repaired
                )
            self.crashes += 1
            now += self._chance.choice((0.0, 0.5, 20.0, 500.0))

    # ---- one life

    def _rounds(self) -> int | None:
        """After how many rounds of the loop the process dies; None when it may live."""
        if self.crashes >= MOST_CRASHES:
            return None
        # A few rounds hit what happens at boot, many what happens under way.
        return int(self._chance.expovariate(1 / self._chance.choice((20, 150, 400, 1500))))

    def _between(self, rounds: int | None) -> Callable[[], None]:
        left = iter(range(rounds)) if rounds is not None else None

        def between() -> None:
            if self._died or (left is not None and next(left, None) is None):
                raise Cut

        return between

    def _live(self, loop: VirtualLoop) -> bool:
        """Whether the life came to its end by itself, with everything done."""
        self._tell("lives", self.crashes)
        main = loop.create_task(self._main())
        try:
            loop.run_until_complete(main)
        except Cut:
            self._tell("dies")
            self.outside.alive = False
            if main.done():
                main.exception()
            self._kill()
            return False
        finally:
            loop.end()
        return True

    def _kill(self) -> None:
        store = getattr(self, "_store", None)
        if store is None:
            return
        del self._store
        # Nothing that still happens in this process may reach the disk.
        store._writer._failure = StorageFailed("the process is dead")
        store._connection.close()
        with suppress(OSError):  # it died just after it had let go of the folder
            store._folder.close()
        self.repaired += self._engine.meter.repaired if hasattr(self, "_engine") else 0

    async def _main(self) -> None:
        self.outside.reborn()
        self._store = store = await open_sqlite(
            self._folder,
            on_failure=self._storage_failed,
            clock=self._clock,
            threads=False,
            failpoint=self._failpoint,
        )
        self._slow_down(store)
        if self._fault is not None:
            self._fault(store)
        changed = asyncio.Event()
        self._engine = engine = Engine(store, self._around(), changed=changed.set)
        supervisor = Supervisor(
            clock=self._clock, chance=self._chance.random, wait=asyncio.sleep, redact=str
        )
        sources = Sources(self._source_world(engine, store), supervisor)
        async with asyncio.TaskGroup() as parts:
            keeping = [parts.create_task(_turn_timers(engine, changed))]
            await engine.start(self._flows, after_failure=store.after_failure)
            await sources.follow(engine.intake.router)
            keeping.append(parts.create_task(self._keep_up(engine)))
            keeping.append(parts.create_task(self._answer(engine)))
            keeping.append(parts.create_task(self._cancel(engine)))
            arriving = parts.create_task(self._arrive(engine, sources))
            await arriving
            async with asyncio.timeout(LONGEST_SECS if self._fault is None else SPOILT_SECS):
                await self._everything_done(store)
            for part in keeping:
                part.cancel()
            await supervisor.close()
            await engine.stop(limit_secs=0)
        self.repaired += engine.meter.repaired
        await store.close(clean=True)
        self._tell("over")

    async def _arrive(self, engine: Engine, sources: Sources) -> None:
        chance = self._chance
        while self._left:
            await asyncio.sleep(chance.expovariate(1))
            self._left -= 1
            number = len(self.outside.messages)
            kind, key, size = chance.choice(self._kinds), chance.choice(KEYS), chance.randint(0, 5)
            message = Message(number, kind, key, size, self._clock.now_ms())
            self._tell("published", number, message.kind, message.key)
            self.outside.publish(message)
            luck = chance.random()
            if luck < 0.05:
                self._tell("reloaded")
                engine.serve(self._flows)
                await sources.follow(engine.intake.router)
            elif luck < 0.08:
                self._clock.skew_ms += chance.choice((-60_000, 60_000, -3_600_000, 3_600_000))
                self._tell("clock set", self._clock.skew_ms)

    async def _answer(self, engine: Engine) -> None:
        """A person who answers now and then what flows ask."""
        approvals, chance = Approvals(engine), self._chance
        while True:
            await asyncio.sleep(chance.expovariate(0.1))
            questions = await approvals.open()
            if not questions:
                continue
            number = chance.choice(questions).wait.execution
            approved = chance.random() < 0.7
            by = f"person {len(self.outside.answers)} of life {self.outside.life}"
            try:
                await approvals.answer(number, None, approved=approved, by=by, form={})
            except ReactorError as error:
                self._tell("not answered", str(error))
                continue
            self._tell("answered", number, approved)
            self.outside.answers.append((number, by if approved else None))

    async def _cancel(self, engine: Engine) -> None:
        """A person who cancels now and then what may be cancelled, each once."""
        chance = self._chance
        while True:
            await asyncio.sleep(chance.expovariate(0.1))
            opened = [
                row.id
                for row in await self._store.history.executions(Query(flow="torn"))
                if not row.state.ended and row.id not in self.outside.cancelled
            ]
            if opened:
                number = chance.choice(opened)
                self.outside.cancelled.add(number)
                error = Failure(step=None, kind="cancelled", message="by hand")
                self._tell("cancels", number, await engine.desk.cancel(number, error))

    async def _everything_done(self, store: SqliteStore) -> None:
        while True:
            await asyncio.sleep(TICK_SECS)
            if not await self._anything_left(store):
                await self._engine.desk.settled()
                if not await self._anything_left(store):
                    return

    async def _anything_left(self, store: SqliteStore) -> bool:
        soon_ms = self._clock.now_ms() + SOON_MS
        gates = await store.gates.due(soon_ms, limit=1)
        return bool(self.outside.open or gates or await store.open_counts())

    async def _keep_up(self, engine: Engine) -> None:
        await engine.desk.reconcile()
        while True:
            await asyncio.sleep(RECONCILE_SECS)
            engine.flush_unwanted()
            await engine.desk.reconcile()

    # ---- faults of the disk

    def _slow_down(self, store: SqliteStore) -> None:
        """Commits take their time, so that more than one write waits for each."""
        # Power cuts are tried elsewhere: here a commit is sure when SQLite says so.
        store._connection.execute("PRAGMA synchronous = OFF")
        writer, loop, chance = store._writer, asyncio.get_running_loop(), self._chance

        def schedule() -> None:
            writer._scheduled = True
            slow = chance.random() < 0.01
            loop.call_later(2.0 if slow else chance.expovariate(400), writer._take_turn)

        writer._schedule = schedule  # type: ignore[method-assign]

    def _failpoint(self, place: str) -> None:
        if self.crashes >= MOST_CRASHES:
            return
        luck = self._chance.random()
        if place == "before the commit" and luck < 0.01:
            self._tell("disk full")
            raise OSError(errno.ENOSPC, "no room in this simulation")
        if luck > 0.9995:
            self._tell("disk fails", place)
            raise OSError(errno.EIO, "the disk of this simulation fails")

    def _storage_failed(self, error: StorageFailed) -> None:
        self._died = True

    # ---- what engine and sources are given

    def _around(self) -> EngineOutside:
        return EngineOutside(
            clock=self._clock,
            chance=self._chance.random,
            catalog=self._catalog,
            compile_flow=lambda version: load_document(version.document, self._loading),
            env={},
            secret=_no_secret,
            redact=lambda value: value,
            network=Network(),
            files=Files(base="."),
            shared=_no_shared,
            connection=_no_connection,
            say=lambda *line: self._tell("says", *line[2:]),
        )

    def _source_world(self, engine: Engine, store: SqliteStore) -> SourceWorld:
        return SourceWorld(
            clock=self._clock,
            catalog=self._catalog,
            store=store,
            shared=_no_shared,
            secret=_no_secret,
            env={},
            connection=_no_connection,
            routes=_no_routes,
            files=Files(base="."),
            network=Network(),
            emit=engine.emitter,
            wait_until=_no_waiting,
            chance=self._chance.random,
            allow_unauthenticated=True,
            listens_on_loopback=True,
        )

    def _tell(self, *facts: Any) -> None:
        now = self._clock.loop.now if hasattr(self, "_clock") else 0.0
        self.trace.append(f"{now:.6f} {facts}")


async def _turn_timers(engine: Engine, changed: asyncio.Event) -> None:
    while True:
        changed.clear()
        engine.turn()
        secs = engine.next_turn_secs()
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECS if secs is None else min(secs, TICK_SECS)):
                await changed.wait()


def _no_secret(name: str) -> str:
    raise NotFound(name)


def _no_connection(kind: str, name: str | None) -> Connection:
    raise NotFound(kind)


def _no_routes(word: str) -> Any:
    return None


async def _no_waiting(ms: int) -> None:
    raise NotFound(str(ms))


async def _no_shared(key: str, open_: Any) -> Any:
    raise NotFound(key)
