"""Schedules in a whole reactor: days that pass, crashes, clocks that are set."""

from datetime import UTC, datetime

import pytest

from reactor.testing import World
from tests.engine.lives import Lives

HOUR_MS = 3_600_000
FLOW = """
flow: tick
when:
  schedule: {config}
do:
  - log: ${{{{ event.data.due }}}} ${{{{ event.data.late_by }}}}
"""


def flow(config):
    """A flow that says when it was due and how late it was."""
    return FLOW.format(config=config)


async def told(world):
    """What the flow logged, in order of acceptance: due time and seconds late."""
    rows = await world.executions()
    opened = await world.store.load([row.id for row in rows])
    return [each.journal[0].value["output"].split() for each in opened]


async def dues(world):
    """The due times that started an execution, on 1 January by their clock alone."""
    return [due.removeprefix("2026-01-01T") for due, _ in await told(world)]


async def test_a_day_passes():
    """Each due time starts one execution, on time; the world begins at midnight."""
    async with World(flow("{every: 6h}")) as world:
        await world.advance("1d")

        assert await told(world) == [
            ["2026-01-01T06:00:00Z", "0"],
            ["2026-01-01T12:00:00Z", "0"],
            ["2026-01-01T18:00:00Z", "0"],
            ["2026-01-02T00:00:00Z", "0"],
        ]


async def test_the_event_happened_when_it_was_due():
    """Conditions on `event.time` see the due time, data shows it by the clock of the zone."""
    text = flow('{at: ["07:30"], tz: Asia/Kathmandu}').replace(
        "do:", 'only_if: part(event.time, "hour") == 1\ndo:'
    )
    async with World(text) as world:
        await world.advance("1d")

        assert await told(world) == [["2026-01-01T07:30:00+05:45", "0"]]


async def test_equal_schedules_are_one_event():
    """Two flows with the same schedule are started by one event."""
    one = flow("{every: 1h}")
    async with World(one, one.replace("tick", "tock")) as world:
        await world.advance("1h")

        assert len({row.event for row in await world.executions()}) == 1
        assert await world.states() == ["ok", "ok"]


async def test_a_removed_schedule_is_silent():
    """After a reload without it nothing is due; a new one begins then."""
    async with World(flow("{every: 1h}")) as world:
        await world.advance("1h")
        await world.reload(flow("{every: 2h}"))
        await world.advance("3h")

        assert await dues(world) == ["01:00:00Z", "02:00:00Z", "04:00:00Z"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("{every: 1h}", ["04:00:00Z 1800", "05:00:00Z 0"]),
        ("{every: 1h, missed: skip}", ["05:00:00Z 0"]),
        ("{every: 1h, missed: all, catch_up: 2h}",
         ["03:00:00Z 5400", "04:00:00Z 1800", "05:00:00Z 0"]),
    ],
)  # fmt: skip
async def test_what_was_missed_while_the_daemon_was_down(tmp_path, config, expected):
    """The policy decides, also for the very first due time; then it goes on by the clock."""
    async with Lives(tmp_path, flow(config)) as lives:
        lives.clock.turn(4 * HOUR_MS + HOUR_MS // 2)
        await lives.crash()
        await lives.world.advance("1h")

        found = [" ".join(each) for each in await told(lives.world)]
        assert found == [f"2026-01-01T{each}" for each in expected]


async def test_a_crash_repeats_nothing_and_loses_nothing(tmp_path):
    """Event and next due time are one commit: whenever it crashes, each time comes once."""
    async with Lives(tmp_path, flow("{every: 15m, missed: all}")) as lives:
        for _ in range(6):
            await lives.world.advance("20m")
            await lives.crash()
        await lives.world.advance("0s")

        quarters = [f"{hour:02}:{minute:02}:00Z" for hour in range(3) for minute in (0, 15, 30, 45)]
        assert await dues(lives.world) == quarters[1:9]


async def test_missed_times_are_told(tmp_path, caplog):
    """A line of the log says since when; what comes in time is silent."""
    async with Lives(tmp_path, flow("{every: 1h, missed: skip}")) as lives:
        await lives.world.advance("2h")
        before = [record.message for record in caplog.records]
        lives.clock.turn(4 * HOUR_MS)
        await lives.restart()

        told = [record for record in caplog.records if record.message == "due times were missed"]
        assert before == []
        assert [record.since for record in told] == ["2026-01-01T03:00:00Z"]


async def test_a_long_absence_comes_in_pages(tmp_path):
    """Hundreds of missed times each come once, in order."""
    async with Lives(tmp_path, flow("{every: 1m, missed: all}")) as lives:
        lives.clock.turn(5 * HOUR_MS)
        await lives.restart()

        found = await dues(lives.world)
        assert len(found) == 300
        assert found == sorted(set(found))


@pytest.mark.parametrize("missed", ["once", "all", "skip"])
@pytest.mark.parametrize("hours", [1, 24])
async def test_a_clock_set_back_fires_nothing_twice(missed, hours):
    """Times that were due already are waited past."""
    async with World(flow(f"{{every: 1h, missed: {missed}}}")) as world:
        await world.advance("3h")
        world.clock.jump(-hours * HOUR_MS)
        await world.advance(f"{hours}h")
        before = await dues(world)
        await world.advance("1h")

        assert before == ["01:00:00Z", "02:00:00Z", "03:00:00Z"]
        assert await dues(world) == [*before, "04:00:00Z"]


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("once", ["06:00:00Z", "07:00:00Z"]), ("skip", ["07:00:00Z"]),
     ("all", [f"0{hour}:00:00Z" for hour in range(1, 8)])],
)  # fmt: skip
async def test_a_clock_set_forward_follows_the_policy(missed, expected):
    """What it jumped over was missed."""
    async with World(flow(f"{{every: 1h, missed: {missed}}}")) as world:
        world.clock.jump(6 * HOUR_MS + HOUR_MS // 2)
        await world.advance("30m")

        assert await dues(world) == expected


async def test_a_clock_that_was_years_ahead_does_not_silence_a_schedule():
    """When it is right again the schedule begins anew."""
    async with World(flow("{every: 1h}")) as world:
        years = 10 * 365 * 24 * HOUR_MS
        world.clock.jump(years)
        await world.advance("1h")
        before = len(await world.executions())
        world.clock.jump(-years)
        await world.advance("3h")

        assert (await dues(world))[before:] == ["02:00:00Z", "03:00:00Z", "04:00:00Z"]


async def test_jitter_makes_late_and_stays_before_the_next():
    """Each is late by chance, at most up to the next due time; none is lost."""
    config = "{every: 1h, jitter: 10h, missed: skip}"
    async with World(flow(config), chance=lambda: 0.5) as world:
        await world.advance("3h")

        assert await told(world) == [
            ["2026-01-01T01:00:00Z", "1800"],
            ["2026-01-01T02:00:00Z", "1800"],
        ]


async def test_an_event_that_no_flow_wanted_is_over(tmp_path):
    """A time that a condition turned away does not come back as a missed one."""
    wanted = flow("{every: 1h}")
    async with Lives(tmp_path, wanted.replace("do:", "only_if: false\ndo:")) as lives:
        await lives.world.advance("1h")
        lives.flows = (wanted,)
        await lives.crash()
        await lives.world.advance("0s")

        assert await dues(lives.world) == []


async def test_a_position_by_hand():
    """`sources reset ID --to TIME` goes on from there."""
    async with World(flow("{every: 1h, missed: all}")) as world:
        await world.advance("3h")
        (instance,) = world.engine.intake.router.instances()
        await world.store.set_position(instance, "2026-01-01T05:30:00Z")
        await world.reload()
        await world.reload(flow("{every: 1h, missed: all}"))
        await world.advance("4h")

        assert (await dues(world))[3:] == ["06:00:00Z", "07:00:00Z"]


async def test_a_position_that_is_no_time_stops_the_source(caplog):
    """Only a person can mend it, and the log says how."""
    async with World(flow("{every: 1h}")) as world:
        (instance,) = world.engine.intake.router.instances()
        await world.reload()
        await world.store.set_position(instance, "soon")
        await world.reload(flow("{every: 1h}"))
        await world.advance("2h")

        assert await world.executions() == []
        assert f"reactor sources reset {instance} --to latest" in caplog.records[-1].error


async def test_the_store_keeps_the_next_due_time():
    """What `reactor sources` shows as the position is a time that people read."""
    async with World(flow("{every: 1h}")) as world:
        (instance,) = world.engine.intake.router.instances()
        first = await world.store.position(instance)
        await world.advance("1h")

        assert first == "2026-01-01T01:00:00Z"
        assert await world.store.position(instance) == "2026-01-01T02:00:00Z"
        assert datetime.fromisoformat(first).tzinfo == UTC
