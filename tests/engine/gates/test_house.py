"""Gates in a whole reactor: what is told, refused and kept in memory."""

from typing import Any

from reactor.daemon.why import decisions, told_of
from reactor.model.event import Received
from reactor.testing import World


async def why(world: World, event: int) -> list[tuple[str, str | None]]:
    """What each trigger made of an event."""
    engine, history = world.engine, world.store.history
    unwanted = next((row for row in engine.unwanted if row.event.id == event), None)
    found = await history.event(event) if unwanted is None else unwanted.event
    stopped = {} if unwanted is None else unwanted.stopped
    router = engine.intake.router
    told = told_of(await history.judged(event), stopped, router)
    assert found is not None
    runs: list[Any] = await world.executions()
    mine = [run for run in runs if run.event == event]
    return [
        (one.decision, one.reason) for one in decisions(found, router, engine.around, mine, told)
    ]


async def test_each_gate_says_why_it_held_or_stopped_an_event():
    """With the values that it saw, also when nothing was stored."""
    flow = "flow: f\nwhen: {event: {type: s}, becomes: event.data > 5, for: 5m}\ndo: [log: hi]\n"
    async with World(flow) as world:
        receipts = [await world.emit("s", data) for data in (1, 9, 8, 2)]

        ids = [one.event or one.unwanted for one in receipts]
        said = [await why(world, id_) for id_ in ids if id_ is not None]

    fell = ("stopped", "becomes: event.data > 5 fell back before for was over")
    assert said == [
        [("stopped", "becomes: event.data > 5 is false")],
        [fell],
        [("stopped", "becomes: event.data > 5 stays true, held by for")],
        [fell],
    ]


async def test_a_late_event_says_so():
    """Its window is closed; it is kept."""
    flow = (
        "flow: f\nwhen: {event: {type: s}, window: {every: 1h, time: event.data}}\ndo: [log: hi]\n"
    )
    async with World(flow) as world:
        await world.emit("s", "2026-01-01T10:30:00Z")
        await world.emit("s", "2026-01-01T11:30:00Z")
        receipt = await world.emit("s", "2026-01-01T10:31:00Z")

        assert receipt.event is not None
        said = await why(world, receipt.event)

    assert said == [("late", "window: the one until 2026-01-01T11:00:00+00:00 is closed")]


async def test_a_throttle_that_refuses_stores_nothing_and_says_when_to_come_again():
    """The caller is answered before the store; the pace counts what was accepted only."""
    flow = (
        "flow: f\nwhen:\n  http: {path: /a, verify: none}\n"
        "  throttle: {max: 1, per: 1m, over: refuse}\ndo: [log: hi]\n"
    )
    async with World(flow) as world:
        (instance,) = world.engine.intake.router.instances()
        accepted = await world.offer(instance, Received(data=1, fields={}))
        await world.advance("20s")

        refused = await world.offer(instance, Received(data=2), Received(data=3))

        assert accepted[0].refused_secs is None
        assert [(one.event, one.refused_secs) for one in refused] == [(None, 40.0), (None, 40.0)]
        await world.advance("40s")
        again = await world.offer(instance, Received(data=4))
        assert again[0].refused_secs is None
        assert await world.states() == ["ok", "ok"]


async def test_rows_of_quiet_keys_leave_memory_and_are_found_again():
    """The bound holds, and a key that comes back has its state."""
    flow = (
        "flow: f\nwhen: {event: {type: s}, key: event.data.k, changes: event.data.v}\n"
        'do: [log: "${{ event.previous }}"]\n'
    )
    async with World(flow) as world:
        rows = world.engine.intake.house.rows
        rows.most = 50
        for first in range(0, 300, 100):
            batch = [
                Received(data={"k": str(n), "v": 1}, type="s") for n in range(first, first + 100)
            ]
            await world.offer("event", *batch)

        assert rows.known <= 50
        await world.emit("s", {"k": "7", "v": 1})
        await world.emit("s", {"k": "7", "v": 2})

        assert await world.states() == ["ok"]


async def test_flows_without_gates_ask_for_no_rows():
    """A router without gates decides nothing about them."""
    async with World("flow: f\nwhen: {event: {type: s}}\ndo: [log: hi]\n") as world:
        plan = world.engine.intake.plan("event", Received(data=1, type="s"))

        assert world.engine.intake.router.gated == {}
        assert not plan.gated


async def test_many_keys_that_are_due_at_once_all_go_on():
    """More than one turn of the reconciler takes."""
    flow = (
        "flow: f\nwhen: {event: {type: s}, key: event.data, absent: 30m}\n"
        'do: [map: {to: "${{ event.key }}"}]\n'
    )
    async with World(flow) as world:
        await world.offer("event", *[Received(data=str(n), type="s") for n in range(250)])
        world.clock.jump(3_600_000)

        await world.advance("1s")

        assert await world.states() == ["ok"] * 250
