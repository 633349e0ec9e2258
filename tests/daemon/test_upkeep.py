"""What is past its time goes, what is open or kept stays."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reactor.daemon.upkeep import CHECK_FIRST, Upkeep
from reactor.settings import load_settings
from reactor.store.sqlite import open_sqlite
from reactor.testing import HandClock, World

FLOW = """
flow: work
when: {event: {type: work}}
do:
  - log: hi
  - {fail: on purpose, only_if: event.data.bad}
"""


@asynccontextmanager
async def served(
    folder: Path, text: str = FLOW, **environ: str
) -> AsyncIterator[tuple[World, Upkeep]]:
    """A world over a store on disk, with the settings of an environment."""
    clock = HandClock()
    settings = load_settings(config=None, environ=environ)
    store = await open_sqlite(folder, on_failure=fail, clock=clock, threads=False)
    world = World(text, store=store, clock=clock)
    world.loading = replace(world.loading, defaults=settings.defaults_for_flows())
    async with world:
        yield world, Upkeep(world.engine, settings, renew=nothing)
    await store.close(clean=True)


async def nothing() -> None:
    """There are no secrets to renew."""


def fail(error: Exception) -> None:
    """The disk of a test does not fail."""
    raise error


async def test_history_goes_by_how_it_ended(tmp_path: Path) -> None:
    """`keep.ok` and `keep.failed` of the settings count for flows that do not say otherwise."""
    async with served(tmp_path, REACTOR_KEEP_OK="1h", REACTOR_KEEP_FAILED="3h") as (world, upkeep):
        await world.emit("work", {"bad": False})
        await world.emit("work", {"bad": True})
        await world.advance("2h")

        gone = await upkeep.prune()

        assert gone > 0
        assert await world.states() == ["failed"]
        await world.advance("2h")
        await upkeep.prune()
        assert await world.states() == []


async def test_a_flow_says_for_itself(tmp_path: Path) -> None:
    """A flow's `keep` beats the settings'."""
    text = FLOW + "keep: {ok: 5h}\n"
    async with served(tmp_path, text, REACTOR_KEEP_OK="1h") as (world, upkeep):
        await world.emit("work", {"bad": False})
        await world.advance("2h")

        await upkeep.prune()

        assert await world.states() == ["ok"]


async def test_what_is_open_stays(tmp_path: Path) -> None:
    """An execution that waits for its retry is kept however old it is."""
    text = (
        "flow: work\nwhen: {event: {type: work}}\n"
        "do: [{http: {get: 'http://127.0.0.1:1/'}, retry: {max: 3, delay: 10d, jitter: none,"
        " max_delay: 10d}}]\n"
    )
    async with served(tmp_path, text, REACTOR_KEEP_OK="1h", REACTOR_KEEP_FAILED="1h") as (
        world,
        upkeep,
    ):
        await world.emit("work", {})
        await world.advance("5h")

        await upkeep.prune()

        assert await world.states() == ["waiting"]


async def test_a_store_that_is_too_large_loses_its_oldest(tmp_path: Path) -> None:
    """Above `store.max_size` finished executions go, oldest first, and it is said once a day."""
    async with served(tmp_path, REACTOR_STORE_MAX_SIZE="300KiB") as (world, upkeep):
        for number in range(40):
            await world.emit("work", {"bad": False, "fill": f"{number}" * 10_000})
        before = [run.id for run in await world.executions()]

        gone = await upkeep.prune()

        left = [run.id for run in await world.executions()]
        assert gone > 0
        assert left == before[len(before) - len(left) :]


async def test_events_that_nobody_wanted_are_written_down(tmp_path: Path) -> None:
    """What the ring in memory holds is in the store after a flush."""
    async with served(tmp_path) as (world, _):
        receipt: Any = await world.emit("other", {})
        assert receipt.event is None

        world.engine.flush_unwanted()
        await world.engine.desk.settled()

        assert await world.store.history.event(receipt.unwanted) is not None


async def test_a_damaged_store_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half a minute after the start, and then daily, the store is looked over."""
    async with served(tmp_path) as (world, upkeep):
        for number in range(200):
            await world.emit("work", {"bad": False, "fill": str(number) * 500})
        world.store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        world.store._connection.execute("PRAGMA shrink_memory")  # so that it reads the disk
        damage(tmp_path / "reactor.db")
        waits = iter(range(CHECK_FIRST))

        async def wait(secs: float) -> None:
            if next(waits, None) is None:
                raise EndOfTime

        with pytest.raises(EndOfTime):
            await upkeep.run(wait)

    assert [record.message for record in caplog.records if record.name == "reactor.upkeep"] == [
        "the store is damaged: make a backup and restore a good one"
    ]


class EndOfTime(Exception):
    """The test has seen enough."""


def damage(database: Path) -> None:
    """Overwrite what stands in the middle of a file."""
    with database.open("r+b") as file:
        file.seek(database.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 4096)
