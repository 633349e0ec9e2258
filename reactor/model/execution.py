"""One flow running for one event: its states, and the journal that makes it again after a crash."""

from enum import IntEnum
from typing import Any

from msgspec import Struct


class State(IntEnum):
    """States of an execution; terminal ones never change."""

    QUEUED = 0
    RUNNING = 1
    WAITING = 2
    OK = 3
    FAILED = 4
    CANCELLED = 5
    SKIPPED = 6

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self >= State.OK

    @property
    def word(self) -> str:
        """The name that users see."""
        return self.name.lower()


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One line of an execution's journal: what was decided or done at `path`.

    Kinds and their values (all plain data; secrets masked):

    - `vars` {name: value}; `ready` {at, input} before an outside step; `once` its start record
    - `attempt` {number, error, due}: a failed attempt that will be tried again
    - `done` {status, attempts, started, finished, input, output, error}
    - `chose`: any decision (a branch, a list, a verdict, a due time)
    - `cancel`: the error the execution was stopped with; `reply` and `output`: what it gave
    """

    path: str
    kind: str
    value: Any


class Failure(Struct, frozen=True, kw_only=True):
    """Why a step or an execution failed, as `error` shows it in expressions."""

    step: str | None
    kind: str
    message: str
    status: int | None = None
    attempts: int = 1
    output: Any = None
    item: Any = None


class Execution(Struct, frozen=True, kw_only=True, gc=False):
    """The stored row of an execution.

    Times in milliseconds; `root` is the first of a chain of retries.
    """

    id: int
    root: int
    flow: str
    version: str
    event: int
    trigger: str
    key: str | None
    state: State
    reason: str | None = None
    created_ms: int
    started_ms: int | None = None
    finished_ms: int | None = None
    due_ms: int | None = None
    epoch: int = 0
    crashes: int = 0
    depth: int = 0
    retry_of: int | None = None
    parent: int | None = None
    error: Failure | None = None
