"""What rests in the store: found again, in order, once, whatever happened to it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from reactor.engine import again
from reactor.engine.lanes import BACKLOG
from reactor.errors import UsageError
from reactor.model.event import Received
from reactor.model.execution import Failure, State
from reactor.store import Change, NewExecution, Open, Query, Write
from reactor.testing import World
from tests.engine.lives import Lives
from tests.engine.probe import Probe

FLOW = """
flow: one
when: {event: {type: go}}
run: {mode: queue}
do: [{id: call, probe: "${{ event.data }}"}]
"""
WAITS = """
flow: one
when: {event: {type: go}}
do: [{id: call, probe: 1, retry: {max: 1, delay: 1h, max_delay: 1h, jitter: none}}]
finally: [log: last]
"""
RENAMED = """
flow: one
when: {event: {type: go}}
do: [log: now it loads]
"""


@pytest.fixture
async def lives(tmp_path):
    """One flow in `queue` mode whose first attempt hangs."""
    async with Lives(tmp_path, FLOW, probe=Probe({"call": ["hang", "ok"]})) as lives:
        yield lives


async def test_a_long_queue_keeps_its_order_over_a_crash(lives):
    """More than is read at once, with newcomers while it is read."""
    events = [Received(data=number, type="go") for number in range(1200)]
    await lives.world.offer("event", *events)

    await lives.crash()
    await lives.world.offer("event", Received(data=1200, type="go"))

    given = [call.given for call in lives.probe.calls]
    assert given == [0, *range(1201)]
    assert lives.engine.meter.repaired == 0


async def test_what_is_over_the_bound_of_memory_waits_in_the_store(lives):
    """The lane knows a bounded number; the rest comes when those are through."""
    lane = lives.engine.desk.lane("one")
    await lives.world.offer("event", Received(data=0, type="go"))
    lane._queued = BACKLOG  # as if so many were queued
    await lives.world.offer("event", Received(data=1, type="go"), Received(data=2, type="go"))
    lane._queued = 0

    lives.probe.release("call")
    await lives.world.settle()
    await lives.engine.desk.refill("one")
    await lives.world.settle()

    assert [call.given for call in lives.probe.calls] == [0, 1, 2]
    assert await lives.world.states() == ["ok"] * 3


async def test_a_lost_execution_is_found_and_counted(lives):
    """The reconciler queues an open row again that nobody owns, and says so."""
    await lives.world.emit("go", 1)
    lives.probe.release("call")
    await lives.world.settle()
    done = (await lives.story())[0].execution
    number = lives.engine.ids.next()
    lost = replace(done, id=number, root=number, state=State.RUNNING)
    lives.world.store.submit(Write(executions=[NewExecution(lost, ())]))

    await lives.world.advance("10s")

    assert await lives.world.states() == ["ok", "ok"]
    assert lives.engine.meter.repaired == 1


class Reads:
    """A store whose reader is slow: what it read is old when it is looked at."""

    def __init__(self, store: Any, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def open_executions(self, *args: Any, **options: Any) -> list[Open]:
        """What was open before."""
        page: list[Open] = await self._store.open_executions(*args, **options)
        await self._meanwhile()
        return page


async def test_what_ends_while_the_reconciler_reads_is_not_taken_for_lost(lives):
    """It has no owner any more, and needs none."""
    await lives.world.emit("go", 1)
    lives.world.clock.turn(10_000)

    async def end() -> None:
        lives.probe.release("call")
        await lives.world.settle()

    lives.engine.desk._store = Reads(lives.world.store, end)
    await lives.engine.desk.reconcile()
    await lives.world.settle()

    assert await lives.world.states() == ["ok"]
    assert lives.engine.meter.repaired == 0


async def test_a_fresh_execution_is_not_taken_for_lost(lives):
    """What runs, waits for its turn or was just accepted has an owner."""
    await lives.world.offer("event", *(Received(data=n, type="go") for n in range(3)))

    for _ in range(5):
        await lives.world.advance("5s")

    assert lives.engine.meter.repaired == 0
    assert len(lives.probe.calls) == 1


async def test_a_version_that_does_not_compile_any_more_needs_attention(tmp_path):
    """Its executions are parked until they are run again with the current version."""
    async with Lives(tmp_path, WAITS, probe=Probe({"call": ["fail"]})) as lives:
        await lives.world.emit("go")
        lives.flows = (RENAMED,)
        lives.probe.spec = replace(lives.probe.spec, word="other")

        await lives.crash()
        await lives.world.advance("2h")
        parked = (await lives.story())[0].execution
        assert parked.state is State.WAITING
        assert (parked.reason or "").startswith("needs_attention")
        with pytest.raises(UsageError, match="--version current"):
            await again.retry(lives.engine, parked.id)
        await again.retry(lives.engine, parked.id, version="current")
        await lives.world.settle()

        assert await lives.world.states() == ["cancelled", "ok"]


async def test_a_failing_disk_is_no_execution_s_fault(tmp_path):
    """However often the disk ends the daemon, what ran meanwhile is taken up as before."""
    async with Lives(tmp_path, WAITS, probe=Probe({"call": ["hang"] * 12 + ["ok"]})) as lives:
        await lives.world.emit("go")
        for _ in range(10):
            await lives.crash(disk_failed=True)
        crashes = (await lives.story())[0].execution.crashes

        await lives.crash()

        assert crashes == 0
        assert (await lives.story())[0].execution.crashes == 1


async def test_what_needs_attention_can_be_cancelled(tmp_path):
    """Without its flow it cannot run, not even `finally`; it ends all the same."""
    async with Lives(tmp_path, WAITS, probe=Probe({"call": ["fail"]})) as lives:
        await lives.world.emit("go")
        lives.flows = (RENAMED,)
        lives.probe.spec = replace(lives.probe.spec, word="other")
        await lives.crash()
        await lives.world.advance("2h")
        number = (await lives.story())[0].execution.id

        error = Failure(step=None, kind="cancelled", message="by hand")
        cancelled = await lives.engine.desk.cancel(number, error)
        await lives.world.settle()

        assert cancelled
        assert await lives.world.states() == ["cancelled"]


async def test_draining_gives_what_runs_some_time(lives):
    """What ends within the limit is stored; nothing new begins."""
    await lives.world.offer("event", *(Received(data=n, type="go") for n in range(2)))
    engine = lives.engine

    lives.probe.release("call")
    await engine.stop(limit_secs=0)
    await lives.world.settle()

    assert len(lives.probe.calls) == 1
    await lives.restart()
    assert await lives.world.states() == ["ok", "ok"]


async def test_due_times_beyond_the_moment_are_rows_not_timers(tmp_path):
    """A waiting execution holds no slot, no task and no timer."""
    async with Lives(tmp_path, WAITS, probe=Probe({"call": ["fail"]})) as lives:
        await lives.world.emit("go")

        engine = lives.engine
        assert engine.runner.live == {}
        assert engine.desk.lane("one").running == 0
        assert engine.next_turn_secs() is None
        assert await lives.world.store.next_due() is not None


async def test_history_goes_when_its_time_is_over(tmp_path):
    """Ended executions and their events are deleted, open ones stay."""
    flow = WAITS.replace("flow: one", "flow: one\nkeep: {ok: 1h, failed: 2h}")
    async with Lives(tmp_path, flow, probe=Probe({"call": ["ok", "fail"]})) as lives:
        await lives.world.emit("go")
        await lives.world.emit("go")
        await lives.world.advance("30m")
        now_ms = lives.clock.now_ms()

        limits: dict[str, Any] = {"ok_before": {"": now_ms + 1}, "failed_before": {"": now_ms + 1}}
        while await lives.world.store.prune(**limits, now_ms=now_ms):
            pass

        assert await lives.world.states() == ["waiting"]
        assert len(await lives.world.store.history.events(Query())) == 1


async def test_a_change_of_nobody_is_ignored():
    """A row that ended meanwhile stays as it ended."""
    async with World(RENAMED) as world:
        await world.emit("go")
        number = (await world.executions())[0].id

        world.store.submit(Write(changes=[Change(number, State.QUEUED)]))
        await world.advance("1m")

        assert await world.states() == ["ok"]
