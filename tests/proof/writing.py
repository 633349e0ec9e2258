"""A process that accepts events and says what it acknowledged, for power cuts to hit.

`python -m tests.proof.writing FOLDER VARIANT SEED EVENTS`; VARIANT is `full`, or a daemon with a
fault that must be found: `normal` and `off` (of `synchronous`), `early` (acknowledges at once).
"""

import asyncio
import itertools
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reactor.clock import SystemClock
from reactor.engine.emitter import Emitter
from reactor.model.event import Receipt, Received
from reactor.plugin.context import ActionContext
from reactor.plugin.spec import Config, Spec, action
from reactor.store.sqlite import SqliteStore, open_sqlite
from reactor.testing import World
from tests.proof.faults import acknowledge_early

FLOWS = """
flow: keep
when: {event: {type: keep}}
run: {max: 64}
do:
  - set: {kept: {key: event.data.lane, value: "(state.kept[event.data.lane] | default(0)) + 1"}}
  - touch: {}
  - map: {over: "[event.data.lane]", to: "${{ item }}"}
---
flow: brief
when: {event: {type: brief}}
do: [log: hi]
keep: {ok: 1s}
"""
LANES = 8
LARGE = "x" * 1_100_000
LARGE_EVERY = 150  # events for each that does not fit into a row


class Touch(Config, frozen=True):
    """Nothing to say."""


@action("touch", examples=["touch: {}"])
async def touch(config: Touch, context: ActionContext) -> str:
    """An outside step that takes no time."""
    return context.key


def faulty(store: SqliteStore, variant: str) -> None:
    """Make the store what the variant says."""
    if variant in ("normal", "off"):
        store._connection.execute(f"PRAGMA synchronous = {variant}")
    # A small log, so that what is written back to the database is hit too.
    store._commits._log.limit_bytes = 240 << 10
    if variant == "early":
        acknowledge_early(store)


async def write(folder: Path, variant: str, seed: int, events: int) -> None:
    """Accept so many events, several sources side by side, and prune what is old."""
    chance, clock = random.Random(seed), SystemClock()
    store = await open_sqlite(folder, on_failure=_refuse, clock=clock)
    faulty(store, variant)
    acknowledged = os.open(folder / "acknowledged", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def say(word: str, text: str) -> None:
        os.write(acknowledged, f"{word} {text}\n".encode())

    numbers = itertools.count()
    specs: list[Spec] = [touch]
    async with World(FLOWS, store=store, specs=specs) as world:
        emit = world.engine.emitter("event")

        async def source(lane: int) -> None:
            while (number := next(numbers)) < events:
                batch = [_received(number, lane, index) for index in range(chance.randint(1, 6))]
                await _told(emit, batch, say)
                if number % 40 == 0:
                    soon = {"": 0, "brief": clock.now_ms() + 60_000}
                    await store.prune(ok_before=soon, failed_before={"": 0}, now_ms=0)

        await asyncio.gather(*(source(lane) for lane in range(LANES)))
        say("all", "done")
        os._exit(0)


def _received(number: int, lane: int, index: int) -> Received:
    data: Any = {"lane": str(lane)}
    if number % LARGE_EVERY == 1 and index == 0:
        data["fill"] = LARGE
    type_ = "brief" if number % 3 == 0 else "keep"
    return Received(data=data, type=type_, identity=f"{number}-{index}", wait=index == 0)


async def _told(emit: Emitter, batch: list[Received], say: Callable[[str, str], None]) -> None:
    receipts: list[Receipt] = await emit.many(batch)
    for received, receipt in zip(batch, receipts, strict=True):
        (started,) = receipt.executions
        if started.flow == "keep":
            say("accepted", f"{receipt.event} {started.execution} {received.identity}")
    outcome = receipts[0].outcome
    if outcome is not None and receipts[0].executions[0].flow == "keep":
        say("ended", str((await outcome).execution))


def _refuse(error: Exception) -> None:
    raise AssertionError(error)


if __name__ == "__main__":
    place, variant_, seed_, events_ = sys.argv[1:]
    asyncio.run(write(Path(place), variant_, int(seed_), int(events_)))
