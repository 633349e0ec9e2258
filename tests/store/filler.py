"""A process that stores as fast as it can and says what is on disk, until it is killed."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from reactor.clock import SystemClock
from reactor.model.execution import State
from reactor.store import End, Record, Write
from reactor.store.sqlite import open_sqlite
from tests.store.made import an_entry, an_id, refuse, started

IN_FLIGHT = 200


async def fill(folder: Path) -> None:
    """Store executions that record and end; print `accepted` and `ended` ids after the commit."""
    store = await open_sqlite(folder, on_failure=refuse, clock=SystemClock())
    room = asyncio.Semaphore(IN_FLIGHT)

    def say(word: str, id_: int) -> None:
        os.write(1, f"{word} {id_}\n".encode())

    def accepted(id_: int) -> None:
        say("accepted", id_)
        large = "x" * (2 << 20) if id_ % 50 == 0 else "x"
        store.submit(Write(records=[Record(id_, (an_entry("do.0", large),))]))
        end = End(id_, State.OK, 1, 2, (an_entry("all", large),))
        store.submit(Write(ends=[end]), lambda: ended(id_))

    def ended(id_: int) -> None:
        say("ended", id_)
        room.release()

    number = store.last_id & 0xFFFF
    while True:
        await room.acquire()
        number += 1
        id_ = an_id(number)
        store.submit(started(id_), partial(accepted, id_))


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1])))
