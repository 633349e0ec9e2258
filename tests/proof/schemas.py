"""State folders of every schema that was ever released, as SQL: `tests/proof/schemas/N.sql`.

`python -m tests.proof.schemas` writes the dump of the schema of today. A dump of an earlier one is
never written again: it is what users have.
"""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from reactor.store.migrate import MIGRATIONS
from reactor.testing import World
from tests.engine.lives import Lives
from tests.engine.probe import Probe

FOLDER = Path(__file__).with_name("schemas")
OPEN = 2
_WRITTEN = """
flow: old
when: {event: {type: go}, key: event.data.key}
do:
  - set: {seen: {key: event.data.key, value: "(state.seen[event.data.key] | default(0)) + 1"}}
  - wait: 1s
  - log: woken
---
flow: bad
when: {event: {type: bad}}
do: [fail: on purpose]
"""


def newest() -> int:
    """The schema of today."""
    return len(MIGRATIONS) + 1


def restore(version: int, state: Path) -> None:
    """Make the state folder of a version."""
    dump = FOLDER / f"{version}.sql"
    assert dump.exists(), f"no dump of schema {version}: python -m tests.proof.schemas"
    state.mkdir(mode=0o700)
    with closing(sqlite3.connect(state / "reactor.db")) as connection:
        connection.executescript(dump.read_text())


async def _dump() -> str:
    with tempfile.TemporaryDirectory() as place:
        async with Lives(Path(place), _WRITTEN, probe=Probe()) as lives:
            await _fill(lives.world)
            store = lives.world.store
            version = store._connection.execute("PRAGMA user_version").fetchone()[0]
            lines = [*store._connection.iterdump(), f"PRAGMA user_version = {version};"]
    return "\n".join(lines) + "\n"


async def _fill(world: World) -> None:
    for number in range(OPEN):
        await world.emit("go", {"key": "a"}, identity=str(number))
    await world.emit("bad", {})


if __name__ == "__main__":
    (FOLDER / f"{newest()}.sql").write_text(asyncio.run(_dump()))
