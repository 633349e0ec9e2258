"""What must be true of a state folder after everything that happened to it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from reactor.clock import SystemClock
from reactor.ids import id_text, parse_id
from reactor.model.execution import Execution, State
from reactor.store import Dead, Query, StateValue
from reactor.store.sqlite import open_sqlite
from tests.proof.offers import History

EVERYTHING = 1 << 40


class Kept(Struct):
    """All executions, dead letters and state of a folder that no daemon has open."""

    executions: Mapping[int, Execution]
    dead: list[Dead]
    state: list[StateValue]

    def by_key(self, name: str) -> dict[str, Any]:
        """The values of a `state` with keys."""
        return {value.key: value.value for value in self.state if value.name == name}


def read(folder: Path) -> Kept:
    """Everything that a state folder keeps."""
    return asyncio.run(_read(folder))


async def _read(folder: Path) -> Kept:
    store = await open_sqlite(folder, on_failure=_refuse, clock=SystemClock(), threads=False)
    try:
        rows = await store.history.executions(Query(limit=EVERYTHING))
        dead = await store.history.dead(Query(limit=EVERYTHING))
        return Kept({row.id: row for row in rows}, dead, await store.state_values())
    finally:
        await store.close(clean=True)


def verdict(history: History, kept: Kept) -> dict[str, int]:
    """How many acknowledged events are lost, how many rows nobody expects, what is still open."""
    accepted = {parse_id(text, "exe") for text in history.accepted.values()}
    ours = kept.executions.keys()
    return {
        "lost": len(accepted - ours),
        # An event whose answer nobody heard may be there, but not twice.
        "unexpected": max(0, len(ours - accepted) - len(history.unknown)),
        "contradictions": len(history.contradictions)
        + len(history.accepted)
        - len(set(history.accepted.values())),
        "open": sum(not row.state.ended for row in kept.executions.values()),
        "not ok": sum(
            row.state.ended and row.state is not State.OK for row in kept.executions.values()
        ),
        "dead letters": len(kept.dead),
    }


def effects(
    history: History, heard: list[tuple[str, Any]], path: str, kept: Kept
) -> dict[str, int]:
    """How often the sink misses what was acknowledged, hears twice, or out of the client's order.

    Order counts by the first time that an effect is seen: a crash may repeat the last one.
    """
    wanted = {id_ for id_ in history.accepted if history.offered[id_].path == path}
    times = Counter(data["id"] for _, data in heard)
    last: dict[int, int] = {}
    disordered, seen = 0, set()
    keys: dict[str, set[str]] = {}
    for key, data in heard:
        keys.setdefault(data["id"], set()).add(key)
        if data["id"] in seen:
            continue
        seen.add(data["id"])
        disordered += data["number"] <= last.get(data["client"], -1)
        last[data["client"]] = data["number"]
    texts = {id_text("exe", number) for number in kept.executions}
    return {
        "effects missing": len(wanted - times.keys()),
        "effects unexpected": len(times.keys() - history.offered.keys())
        + sum(key.partition(":")[0] not in texts for key, _ in heard),
        "effects under two keys": sum(len(found) > 1 for found in keys.values()),
        "effects out of order": disordered,
        "effects seen twice": sum(times.values()) - len(times),
    }


def expect(numbers: Mapping[str, Any], **most: int) -> None:
    """Fail unless each of the named numbers (`_` for a space) is at most what is given."""
    given = {word.replace("_", " "): limit for word, limit in most.items()}
    wrong = {name: numbers[name] for name, limit in given.items() if numbers[name] > limit}
    assert not wrong, f"{wrong} in {dict(numbers)}"


def _refuse(error: Exception) -> None:
    raise AssertionError(error)
