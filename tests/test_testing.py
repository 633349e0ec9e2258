"""The World: a reactor in memory whose clock a test turns."""

import pytest

from reactor.errors import InvalidFlow, StorageFailed
from reactor.model.event import Received
from reactor.model.execution import State
from reactor.testing import BEGIN_MS, HandClock, World, outcomes
from tests.engine.probe import Probe

HELLO = """
flow: hello
when: {event: {type: go}}
do: [{id: call, probe: "${{ event.data }}", retry: {max: 3, delay: 10s, jitter: none}}]
"""


async def test_an_event_runs_its_flow_at_once():
    """When `emit` returns, everything that needs no time has happened."""
    probe = Probe()
    async with World(HELLO, specs=[probe.spec]) as world:
        receipt = await world.emit("go", 5)

        assert [one.flow for one in receipt.executions] == ["hello"]
        assert [call.given for call in probe.calls] == [5]
        assert await world.states("hello") == ["ok"]


async def test_no_time_passes_by_itself():
    """A retry waits until the test advances to it, and no further."""
    probe = Probe({"call": ["fail"]})
    async with World(HELLO, specs=[probe.spec]) as world:
        await world.emit("go")
        assert len(probe.calls) == 1

        await world.advance("10s")

        assert len(probe.calls) == 2
        assert world.clock.now_ms() == BEGIN_MS + 10_000


async def test_advance_stops_wherever_something_is_due():
    """Each attempt happens at its own time within one long advance."""
    probe = Probe({"call": ["fail"]})
    async with World(HELLO, specs=[probe.spec]) as world:
        await world.emit("go")

        await world.advance("1h")

        row = (await world.executions())[0]
        assert row.finished_ms == BEGIN_MS + 70_000
        assert row.state is State.FAILED
        assert outcomes([row]) == {State.FAILED: 1}


async def test_an_attempt_that_hangs_lets_the_world_rest():
    """With `held` the world does not wait for what waits for the test."""
    probe = Probe({"call": ["hang"]})
    async with World(HELLO, specs=[probe.spec], held=lambda: probe.held) as world:
        await world.emit("go", 1)
        assert await world.states() == ["running"]

        probe.release("call")
        await world.settle()

        assert await world.states() == ["ok"]


async def test_a_due_execution_without_a_slot_does_not_stop_time():
    """Time passes although something that is due must wait for its turn."""
    probe = Probe({"call": ["fail", "hang"]})
    flow = HELLO.replace("flow: hello", "flow: hello\nrun: {max: 1}")
    async with World(flow, specs=[probe.spec], held=lambda: probe.held) as world:
        await world.emit("go", 1)
        await world.emit("go", 2)

        await world.advance("1m")

        assert await world.states() == ["waiting", "running"]


async def test_a_reload_swaps_the_flows():
    """What was loaded before hears nothing any more."""
    async with World("flow: a\nwhen: {event: {type: go}}\ndo: [log: a]") as world:
        await world.reload("flow: b\nwhen: {event: {type: go}}\ndo: [log: b]")

        receipt = await world.emit("go")

        assert [one.flow for one in receipt.executions] == ["b"]


async def test_a_flow_that_does_not_load_says_why():
    """All problems stand in one error, with their places."""
    world = World("flow: a\nwhen: {event: {type: go}}\ndo: [lgo: a]")

    with pytest.raises(InvalidFlow, match="lgo"):
        await world.__aenter__()


async def test_a_wall_clock_that_is_set_moves_no_time():
    """`jump` is what an administrator does; `turn` is what passes."""
    clock = HandClock()

    clock.jump(3_600_000)
    clock.turn(1000)

    assert (clock.now_ms() - BEGIN_MS, clock.monotonic_secs()) == (3_601_000, 1.0)


async def test_a_batch_is_answered_in_order():
    """One receipt for each event, in the order given."""
    async with World("flow: a\nwhen: {event: {type: go}}\ndo: [log: a]") as world:
        receipts = await world.offer(
            "event", Received(data=1, type="go"), Received(data=2), Received(data=3, type="go")
        )

        assert [bool(one.executions) for one in receipts] == [True, False, True]


async def test_a_failing_store_is_raised_where_the_test_waits():
    """A commit that fails ends the world with the store's own error."""
    async with World("flow: a\nwhen: {event: {type: go}}\ndo: [log: a]") as world:
        world._failed(StorageFailed("the disk is gone"))

        with pytest.raises(StorageFailed, match="gone"):
            await world.settle()
        world._failure = None


LOOP = """
flow: loop
when: {event: {type: go}}
do:
  - id: poll
    repeat: {until: steps.call.output == "ready", every: 10s, do: [{id: call, probe: 1}]}
  - wait: 1h
"""


async def test_pauses_pass_and_nothing_else():
    """The time of retries and rounds passes, that of a wait does not."""
    probe = Probe({"call": ["ok", "ok", {"gives": "ready"}]})
    async with World(LOOP, specs=[probe.spec]) as world:
        await world.emit("go")

        await world.pass_pauses()

        assert len(probe.calls) == 3
        assert world.clock.now_ms() == BEGIN_MS + 20_000
        assert await world.states() == ["waiting"]


async def test_a_loop_that_never_ends_is_told():
    """What goes on for ever is no rest."""
    flow = """
flow: loop
when: {event: {type: go}}
do: [repeat: {until: state.done, every: 1h, do: [vars: {a: 1}]}]
"""
    async with World(flow) as world:
        await world.emit("go")

        with pytest.raises(TimeoutError, match="still at it after 20"):
            await world.pass_pauses(most=20)


async def test_secrets_may_be_a_function():
    """Every name has a value, as in the tests of flows."""
    flow = "flow: a\nwhen: {event: {type: go}}\ndo: [{id: call, probe: '${{ secrets.x }}'}]"
    probe = Probe()
    async with World(flow, specs=[probe.spec], secrets=lambda name: f"secret-{name}") as world:
        await world.emit("go")

        assert [call.given for call in probe.calls] == ["secret-x"]
