"""Executions at work: nothing is done before the disk knows of it, and each end is told once."""

import asyncio
from typing import Any

from reactor.model.event import Received
from reactor.model.execution import Failure
from reactor.testing import World
from tests.engine.probe import Probe

FLOW = """
flow: one
when: {event: {type: go}}
do: [{id: call, probe: 1}]
finally: [{id: last, probe: 2}]
"""
ENOUGH = Failure(step=None, kind="cancelled", message="enough")


async def test_a_cancel_on_the_way_to_the_disk_comes_first():
    """An execution that is cancelled before its first commit never begins its outside step."""
    probe = Probe()
    async with World(FLOW, specs=[probe.spec]) as world:
        world.engine.emitter("event").nowait(Received(data=1, type="go"), lambda _: None)
        number = next(iter(world.engine.runner.live))

        assert world.engine.runner.cancel(number, ENOUGH)
        await world.settle()

        assert [call.given for call in probe.calls] == [2]
        assert await world.states() == ["cancelled"]
        assert world.engine.meter.ended == {("one", "cancelled"): 1}


async def test_an_end_is_told_once():
    """Who listens hears of an event, its steps and one end, in this order."""
    heard: list[tuple[str, Any]] = []
    probe = Probe()
    async with World(FLOW, specs=[probe.spec]) as world:
        world.engine.listen(lambda kind, facts: heard.append((kind, facts["state"])))

        await world.emit("go")

        assert heard == [("event", None), ("step", "ok"), ("step", "ok"), ("execution", "ok")]


async def test_an_attempt_that_does_not_end_is_left_after_ten_seconds():
    """An action that swallows its cancellation does not keep the execution from ending."""
    probe = Stubborn({"call": ["hang"]})
    async with World(FLOW, specs=[probe.spec], held=lambda: probe.held) as world:
        await world.emit("go")
        number = next(iter(world.engine.runner.live))
        world.engine.runner.cancel(number, ENOUGH)
        await world.settle()
        assert await world.states() == ["running"]

        await world.advance("10s")

        assert await world.states() == ["cancelled"]
        probe.release("call")
        await world.settle()
        assert await world.states() == ["cancelled"]


class Stubborn(Probe):
    """A probe that goes on hanging when it is cancelled."""

    async def _hang(self, step: str) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._hanging.setdefault(step, []).append(future)
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError:
                continue
        return None


async def test_an_outcome_is_told_to_whoever_waits():
    """The reply, else the end, once it is on disk."""
    reply = "flow: one\nwhen: {event: {type: go}}\ndo: [reply: {status: 201}, log: more]"
    async with World(reply) as world:
        receipts = await world.offer("event", Received(data=1, type="go", wait=True))

        outcome = receipts[0].outcome
        assert outcome is not None
        found = await outcome
        assert (found.state, found.reply) == ("replied", {"status": 201})


async def test_a_repeat_gets_the_stored_reply():
    """The first reply is given again, whatever came after it."""
    reply = "flow: one\nwhen: {event: {type: go}}\ndo: [reply: {status: 201}, reply: {status: 500}]"
    async with World(reply) as world:
        received = Received(data=1, type="go", wait=True, identity="x")
        await world.offer("event", received)

        again = (await world.offer("event", received))[0]

        assert again.outcome is not None
        assert (await again.outcome).reply == {"status": 201}


async def test_no_slot_is_lost_when_a_flow_cannot_begin():
    """A first step without its secret fails its execution; the next event starts another."""
    flow = """
flow: one
when: {event: {type: go}}
run: {max: 1}
do: [{id: call, probe: "${{ secrets.nothing }}"}]
"""
    probe = Probe()
    async with World(flow, specs=[probe.spec]) as world:
        await world.emit("go")
        await world.emit("go")

        assert await world.states() == ["failed", "failed"]
        assert world.engine.desk.lane("one").running == 0
