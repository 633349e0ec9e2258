"""Rows for the tests of stores, and ways to wait for them."""

import asyncio
import sqlite3
from typing import Any

from reactor.model.event import Event
from reactor.model.execution import Entry, Execution, State
from reactor.store import NewExecution, Store, Write

DAY_MS = 86_400_000
START_MS = 1_700_000_000_000


class HandClock:
    """A clock that stands until a test turns it."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic_secs(self) -> float:
        return self.ms / 1000


def an_id(number: int, ms: int = START_MS) -> int:
    """The id of something made at a time."""
    return (ms << 22) + number


def an_event(id_: int, data: Any = None, **values: Any) -> Event:
    """An event with small values everywhere."""
    fields: dict[str, Any] = {
        "id": id_,
        "source": "http",
        "instance": "http:/orders",
        "received_ms": id_ >> 22,
        "time_ms": id_ >> 22,
        "type": None,
        "key": None,
        "depth": 0,
        "data": {"id": id_} if data is None else data,
        "fields": {"method": "POST"},
    }
    return Event(**{**fields, **values})


def an_execution(id_: int, state: State = State.RUNNING, **values: Any) -> Execution:
    """An execution for the event of the same id."""
    fields: dict[str, Any] = {
        "id": id_,
        "root": id_,
        "flow": "orders",
        "version": "v1",
        "event": id_,
        "trigger": "http",
        "key": None,
        "state": state,
        "created_ms": id_ >> 22,
        "started_ms": None if state is State.QUEUED else id_ >> 22,
        "finished_ms": id_ >> 22 if state.ended else None,
        "epoch": 1,
    }
    return Execution(**{**fields, **values})


def started(id_: int, state: State = State.RUNNING, **values: Any) -> Write:
    """An event and its execution."""
    execution = an_execution(id_, state, **values)
    return Write(
        events=[an_event(execution.event)],
        executions=[NewExecution(execution, (an_entry("vars"),))],
    )


def an_entry(path: str, value: Any = None) -> Entry:
    """A line of a journal."""
    return Entry(path, "done", value)


async def stored(store: Store, *writes: Write) -> None:
    """Submit, and wait until the last is on disk."""
    done = asyncio.get_running_loop().create_future()
    for write in writes[:-1]:
        store.submit(write)
    store.submit(writes[-1], lambda: done.set_result(None))
    await asyncio.wait_for(done, 10)


def refuse(error: Exception) -> None:
    """What a store calls that must not fail."""
    raise AssertionError(error)


class Failing(sqlite3.Connection):
    """A connection on which everything fails, with a code of SQLite."""

    def __init__(self, code: int) -> None:
        super().__init__(":memory:")
        self.code = code
        self.asked = 0

    def execute(self, *_asked: Any) -> sqlite3.Cursor:
        self.asked += 1
        error = sqlite3.OperationalError("made to fail")
        error.sqlite_errorcode = self.code
        raise error
