"""How events get in: once for each identity, on disk before anyone is answered, or refused."""

import asyncio
import errno
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.engine.intake import Limits
from reactor.errors import Overloaded, StorageFailed
from reactor.model.event import Receipt, Received
from reactor.store import Query
from reactor.store.sqlite import open_memory, open_sqlite
from reactor.testing import HandClock, World
from tests.engine.lives import Lives
from tests.engine.probe import Probe

FLOW = """
flow: one
when: {event: {type: go}}
do: [{id: call, probe: "${{ event.data }}", retry: {max: 9, delay: 1m, jitter: none}}]
"""
LOGS = """
flow: one
when: {event: {type: go}}
do: [log: hi]
"""
STEPS = st.lists(
    st.tuples(st.just("offer"), st.sampled_from("abc"))
    | st.tuples(st.just("rush"), st.sampled_from("abc"))
    | st.tuples(st.sampled_from(["crash", "restart", "settle"]), st.just(""))
    | st.tuples(st.just("advance"), st.sampled_from(["10s", "1m"])),
    min_size=1,
    max_size=10,
)


@settings(max_examples=40)
@given(STEPS)
def test_an_identity_has_exactly_one_execution(steps):
    """Whatever is offered, repeated, cut off and restarted, each identity that was answered ran."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(steps, Path(folder)))


async def play(steps: list[tuple[str, str]], folder: Path) -> None:
    """Do the steps, then offer everything once more, and look."""
    answered: set[str] = set()
    async with Lives(
        folder, FLOW, probe=Probe({"call": ["fail", "ok", "ok", "fail", "ok"]})
    ) as one:
        for word, given_ in steps:
            if word == "offer":
                received = Received(data=given_, type="go", identity=given_)
                await one.world.offer("event", received)
                answered.add(given_)
            elif word == "rush":  # nobody waits for the answer; a crash may come first
                received = Received(data=given_, type="go", identity=given_)
                one.engine.emitter("event").nowait(received, partial(note, given_, answered))
            elif word == "advance":
                await one.world.advance(given_)
            elif word == "settle":
                await one.world.settle()
            else:
                await getattr(one, word)()
        await one.world.advance("10m")
        rows = [opened.event.data for opened in await one.story()]
        assert sorted(rows) == sorted(set(rows))
        assert set(rows) >= answered
        assert set(await one.world.states()) <= {"ok"}
        assert one.engine.meter.repaired == 0


def note(name: str, answered: set[str], result: Any) -> None:
    """What was answered with a receipt must run."""
    if isinstance(result, Receipt):
        answered.add(name)


async def test_nobody_is_answered_before_the_commit():
    """The callback comes after the disk has the event, in a later turn of the loop."""
    async with World(LOGS) as world:
        answers: list[Any] = []

        world.engine.emitter("event").nowait(Received(data=1, type="go"), answers.append)

        assert answers == []
        assert await world.store.history.events(Query()) == []
        await world.settle()
        assert [one.event is not None for one in answers] == [True]


@pytest.mark.parametrize(
    "flow",
    [LOGS, LOGS.replace("{type: go}}", "{type: go}, dedup: {id: event.data, within: 1h}}")],
    ids=["identity", "dedup"],
)
async def test_a_repeat_waits_for_the_commit_of_the_first(flow):
    """A source may not acknowledge a repeat whose first is not on disk yet."""
    async with World(flow) as world:
        answers: list[Any] = []
        emitter = world.engine.emitter("event")
        identity = None if "dedup" in flow else "x"
        emitter.nowait(Received(data=1, type="go", identity=identity), answers.append)
        emitter.nowait(Received(data=1, type="go", identity=identity), answers.append)

        assert answers == []
        await world.settle()

        first, second = answers
        assert (first.duplicate, second.duplicate) == (False, True)
        assert second.executions == first.executions


async def test_an_identity_may_be_known_for_a_while():
    """After `known_secs` the same identity is a new event."""
    async with World(LOGS) as world:
        event = Received(data=1, type="go", identity="x", known_secs=60.0)
        first, again = [(await world.offer("event", event))[0] for _ in range(2)]

        await world.advance("2m")
        later = (await world.offer("event", event))[0]

    assert (again.duplicate, again.event) == (True, first.event)
    assert not later.duplicate


async def test_another_body_under_an_identity_is_a_conflict():
    """The digest tells a repeat from another request with the same key."""
    async with World(LOGS) as world:
        one = Received(data=1, type="go", identity="x", digest=b"1")
        other = Received(data=2, type="go", identity="x", digest=b"2")

        receipts = await world.offer("event", one, one, other)

        assert [(one.duplicate, one.conflict) for one in receipts] == [
            (False, False),
            (True, False),
            (True, True),
        ]


async def test_what_cannot_be_decoded_is_kept_as_a_dead_letter():
    """Raw data of a broker is stored, acknowledged and shown; the same again is a repeat."""
    async with World(LOGS) as world:
        bad = Received(data=b"\xff", identity="x", undecodable="no JSON", position=7)

        first = (await world.offer("event", bad))[0]
        second = (await world.offer("event", bad))[0]

        dead = await world.store.history.dead_letter((await letters(world))[0].id)
        assert dead is not None
        assert (dead.kind, dead.reason, dead.event) == ("decode", "no JSON", first.event)
        assert second.duplicate
        assert await world.store.position("event") == 7


async def letters(world: World) -> list[Any]:
    """All dead letters."""
    return list(await world.store.history.dead(Query(limit=99)))


async def test_a_position_is_stored_with_what_it_started():
    """After the answer the source's place is on disk."""
    async with World(LOGS) as world:
        await world.offer("event", Received(data=1, type="go", position={"offset": 5}))

        assert await world.store.position("event") == {"offset": 5}


async def test_a_full_queue_refuses_what_does_not_wait():
    """Over the bound an event is refused with the time after which to try again, and counted."""
    async with World(LOGS, limits=Limits(rows=1)) as world:
        answers: list[Any] = []
        emitter = world.engine.emitter("event")

        for number in range(3):
            emitter.nowait(Received(data=number, type="go"), answers.append)

        assert isinstance(answers[0], Overloaded)
        assert answers[0].retry_after_secs > 0
        await world.settle()
        assert world.engine.meter.refused == len(answers) - 1
        assert await world.states() == ["ok"]


async def test_a_full_queue_slows_a_source_down():
    """Who waits for the answer gets it when there is room again; nothing is lost."""
    async with World(LOGS, limits=Limits(rows=1)) as world:
        emitter = world.engine.emitter("event")

        waiting = asyncio.create_task(emitter(Received(data=1, type="go")))
        emitter.nowait(Received(data=0, type="go"), lambda _: None)
        await world.settle()
        assert not waiting.done()
        await world.advance("1s")

        assert (await waiting).event is not None
        assert await world.states() == ["ok", "ok"]


async def test_a_stopping_daemon_refuses_and_finishes_what_it_took():
    """While it drains nothing comes in; what came before is answered."""
    async with World(LOGS) as world:
        answers: list[Any] = []
        emitter = world.engine.emitter("event")
        emitter.nowait(Received(data=0, type="go"), answers.append)

        await world.engine.stop(limit_secs=0)
        emitter.nowait(Received(data=1, type="go"), answers.append)
        await world.settle()

        assert sorted(type(one).__name__ for one in answers) == ["Overloaded", "Receipt"]


async def test_a_whole_batch_is_one_commit():
    """Events, executions and their ends of a batch reach the disk together."""
    commits: list[str] = []
    clock_world = World()
    store = await open_memory(
        on_failure=clock_world._failed, clock=clock_world.clock, failpoint=commits.append
    )
    async with World(LOGS, store=store, clock=clock_world.clock) as world:
        commits.clear()

        await world.offer("event", *(Received(data=n, type="go") for n in range(10)))

        assert commits.count("after the commit") == 1
        assert await world.states() == ["ok"] * 10
    await store.close(clean=True)


async def test_who_will_not_wait_hears_that_the_disk_is_full(tmp_path):
    """A request under way is answered; its event is stored once there is room, and runs once."""
    room = [True]

    def failpoint(place: str) -> None:
        if place == "before the commit" and not room[0]:
            raise OSError(errno.ENOSPC, "no room")

    clock = HandClock()
    store = await open_sqlite(
        tmp_path, on_failure=print, clock=clock, threads=False, failpoint=failpoint
    )
    flow = "flow: one\nwhen: {event: {type: go}}\ndo: [log: hi]\n"
    async with World(flow, store=store, clock=clock) as world:
        room[0] = False
        heard = asyncio.get_running_loop().create_future()
        answers: list[Any] = []
        emitter = world.engine.emitter("event")
        emitter.nowait(Received(data=None, type="go"), answers.append)

        def stalled() -> None:
            world.engine.intake.stall()
            if not heard.done():
                heard.set_result(None)

        store.when_stalled(stalled)

        await asyncio.wait_for(heard, 10)
        room[0] = True
        await world.engine.desk.settled()
        await world.settle()

        assert [type(answer) for answer in answers] == [StorageFailed]
        assert await world.states() == ["ok"]
    await store.close(clean=True)
