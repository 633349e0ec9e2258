"""What survives: the rows, and the contract that every store keeps.

The engine decides everything; a store only keeps rows, in the order in which they were submitted.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from reactor.model.event import Event, Started
from reactor.model.execution import Entry, Execution, Failure, State
from reactor.store.gated import GateRow, Gates, Held, Judged, Taken
from reactor.store.hearing import Ears, Heard, Wait


class Identity(Struct, frozen=True, gc=False):
    """The name of something that came in, so that it is recognised when it comes again."""

    scope: str
    identity: str
    event: int
    executions: tuple[Started, ...]
    digest: bytes | None
    until_ms: int | None


class NewExecution(Struct, frozen=True, gc=False):
    """An execution to insert, with its journal so far.

    A terminal state means that it has already ended.
    """

    execution: Execution
    journal: tuple[Entry, ...]


class Record(Struct, frozen=True, gc=False):
    """Journal entries to append to an open execution."""

    execution: int
    entries: tuple[Entry, ...]


class Change(Struct, frozen=True, gc=False):
    """A new state of an open execution, which belongs to this boot from now on.

    `started_ms` and `crashes` None leave what is there.
    """

    execution: int
    state: State
    due_ms: int | None = None
    reason: str | None = None
    started_ms: int | None = None
    crashes: int | None = None


class End(Struct, frozen=True, gc=False):
    """The end of an open execution.

    Its terminal state and its whole journal, which replaces the records.
    """

    execution: int
    state: State
    started_ms: int | None
    finished_ms: int
    journal: tuple[Entry, ...]
    reason: str | None = None
    error: Failure | None = None


class StateValue(Struct, frozen=True, gc=False):
    """A value of `state.NAME[key]` (key "" when it has none); value None deletes."""

    name: str
    key: str
    value: Any
    until_ms: int | None = None


class Dead(Struct, frozen=True, kw_only=True):
    """A dead letter.

    An execution (`failed`, `undo`, `crash_loop`) or an event (`decode`, `removed`, `loop`).
    """

    id: int
    kind: str
    flow: str | None
    event: int
    execution: int | None
    reason: str
    created_ms: int
    hidden: bool = False


class Unwanted(Struct, frozen=True, gc=False):
    """An event that no flow wanted and which condition stopped each flow that was asked.

    `{flow: reason}`.
    """

    event: Event
    stopped: dict[str, str]


class Version(Struct, frozen=True):
    """A flow's content hash, and the plain data that makes the flow again."""

    hash: str
    flow: str
    document: Mapping[str, Any]


class FlowFile(Struct, frozen=True):
    """The last good text of a flow file, by its path below the flows folder.

    Text None: the file is gone.
    """

    path: str
    text: str | None


def place_name(instance: str, name: str) -> str:
    """Under which name a source instance's position of one of its things stands."""
    return f"{instance}\t{name}"


class Write(Struct):
    """Rows that are stored together or not at all. Applied in the order of the fields.

    A position or meta value of None deletes. Values may hold anything: what cannot be encoded is
    stored as a text that says so. `let_go` are held events that nothing needs any more: a group,
    and a place in it or None for all.
    """

    versions: list[Version] = []
    files: list[FlowFile] = []
    events: list[Event] = []
    identities: list[Identity] = []
    positions: list[tuple[str, Any]] = []
    executions: list[NewExecution] = []
    records: list[Record] = []
    changes: list[Change] = []
    ends: list[End] = []
    states: list[StateValue] = []
    gates: list[GateRow] = []
    held: list[Held] = []
    taken: list[Taken] = []
    let_go: list[tuple[int, int | None]] = []
    judged: list[Judged] = []
    dead: list[Dead] = []
    hidden: list[int] = []
    unwanted: list[Unwanted] = []
    meta: list[tuple[str, Any]] = []
    heard: list[Heard] = []
    waits: list[Wait] = []
    unwaits: list[Wait] = []


class Open(Struct, frozen=True):
    """An execution to go on with: its row, its event, its journal, and what it took from gates.

    `gathered` are the events of its group with their names, in order.
    """

    execution: Execution
    event: Event
    journal: tuple[Entry, ...]
    taken: Taken | None = None
    gathered: tuple[tuple[str | None, Event], ...] = ()


class Query(Struct, frozen=True, kw_only=True):
    """Which executions, events or dead letters to list.

    Newest first, `before` is a cursor (an id).
    """

    flow: str | None = None
    states: tuple[State, ...] = ()
    since_ms: int | None = None
    event: int | None = None
    before: int | None = None
    limit: int = 50


class Pressure(Struct, frozen=True, gc=False):
    """What waits for the next commit, and what the disk has left (None: not known yet).

    `rows` are events, executions, records and ends; `bytes` goes by what rows weighed lately.
    """

    rows: int
    bytes: int
    free_bytes: int | None
    store_bytes: int


class Store(Protocol):
    """Keeps rows. One daemon at a time; all methods belong to the event loop's thread.

    `submit` never blocks. A failed commit is unknown, not failed: the store reports
    `StorageFailed` once to the
    callback it was opened with, calls no `done` any more, and the daemon must stop.
    """

    @property
    def ears(self) -> Ears:
        """What open executions wait to hear, and what was heard."""
        ...

    @property
    def epoch(self) -> int:
        """How many times this state was opened.

        Executions `running` under an older epoch were cut off.
        """
        ...

    @property
    def last_id(self) -> int:
        """The highest id of any event, execution or dead letter stored before this boot."""
        ...

    def submit(self, write: Write, done: Callable[[], None] | None = None) -> None:
        """Queue rows for the next group commit.

        `done` is called after it is on disk, in order of submission, never from inside `submit`.
        An empty Write is a barrier: its `done` comes after all that was submitted before.
        """
        ...

    def known(
        self,
        names: Sequence[tuple[str, str]],
        done: Callable[[list[Identity | None]], None],
    ) -> None:
        """Look up (scope, identity) pairs among committed rows; `done` may be called at once.

        What ran out (`until_ms`) is not known any more.
        """
        ...

    @property
    def gates(self) -> Gates:
        """What gates remember, and the events they hold."""
        ...

    def pressure(self) -> Pressure:
        """How much waits for the disk, from memory."""
        ...

    async def position(self, instance: str) -> Any:
        """The last position of a source instance, or None."""
        ...

    async def places(self, instance: str) -> dict[str, Any]:
        """The positions that a source instance keeps by name (see `place_name`)."""
        ...

    async def set_position(self, instance: str, value: Any) -> None:
        """Move a source instance by hand (`sources reset`); None forgets it."""
        ...

    async def open_executions(
        self, states: Sequence[State], *, after: int, limit: int, older_epoch: bool = False
    ) -> list[Open]:
        """Open executions in order of id, a page at a time; `older_epoch` of earlier boots only."""
        ...

    async def load(self, executions: Sequence[int]) -> list[Open]:
        """These executions with events and journals, ended ones too; unknown ids are left out."""
        ...

    async def backlog(
        self, flow: str, *, after: int, limit: int, key: str | None = None
    ) -> list[tuple[int, str | None]]:
        """(id, key) of queued executions without a due time, in order of id; `key` "" is none."""
        ...

    async def delayed(self, flow: str) -> list[tuple[int, int]]:
        """(id, due_ms) of a flow's queued executions that have a due time, in order of id."""
        ...

    async def open_keys(self, flow: str) -> list[tuple[int, str | None, State]]:
        """(id, key, state) of running and waiting executions of a flow."""
        ...

    async def held_keys(self, flow: str) -> list[tuple[int, str | None]]:
        """(id, key) of failed executions of a flow whose dead letter nobody retried or dropped."""
        ...

    async def due(self, before_ms: int, *, limit: int) -> list[tuple[int, int]]:
        """(due_ms, id) of open executions due at or before a time, earliest first.

        They are waiting, or queued with a time before which they must not start.
        """
        ...

    async def next_due(self) -> int | None:
        """The earliest due time of all open executions."""
        ...

    async def open_counts(self) -> dict[str, dict[State, int]]:
        """For each flow how many executions are open, by state."""
        ...

    async def state_values(self) -> list[StateValue]:
        """All values of `state` that have not run out."""
        ...

    async def versions(self, hashes: Sequence[str] | None = None) -> list[Version]:
        """Stored flow versions: the named ones, or those that open executions are pinned to."""
        ...

    async def files(self) -> list[FlowFile]:
        """The last good text of each flow file."""
        ...

    async def meta(self, key: str) -> Any:
        """A small value of the daemon's own (paused flows, clean stop), or None."""
        ...

    async def prune(
        self, *, ok_before: Mapping[str, int], failed_before: Mapping[str, int], now_ms: int
    ) -> int:
        """Delete one chunk (at most 500 rows) of what is past its time; how many rows went.

        The limits are by flow (key "" for all others); cancelled and skipped count as ok. Expired
        identities and state go too, and nothing that an open or kept execution refers to. A flow
        version goes with its last execution unless it was submitted since this boot, so submit the
        versions of loaded flows after each boot.
        """
        ...

    async def shrink(self, max_bytes: int) -> int:
        """Delete one chunk of the oldest ended executions if the store is larger than this.

        How many went.
        """
        ...

    async def backup(self, target: Path) -> None:
        """Write a consistent copy that opens as a store of its own; UsageError if one is there."""
        ...

    async def check(self) -> str | None:
        """What is wrong with the stored data, or None; reads all of it, beside all other work."""
        ...

    async def close(self, *, clean: bool) -> None:
        """Commit what waits, checkpoint, and mark the stop as clean."""
        ...


class History(Protocol):
    """The read side, for people: short reads beside the writer."""

    async def executions(self, query: Query) -> list[Execution]:
        """Executions, newest first; those of an event also if it came to them in a group."""
        ...

    async def execution(self, id_: int) -> Open | None:
        """One execution with its event and journal."""
        ...

    async def events(self, query: Query) -> list[Event]:
        """Stored events, newest first."""
        ...

    async def event(self, id_: int) -> Event | None:
        """One event, wanted or not."""
        ...

    async def judged(self, event: int) -> list[Judged]:
        """What gates made of a stored event."""
        ...

    async def unwanted(self, id_: int) -> Unwanted | None:
        """Why no flow wanted an event, as far as it was kept."""
        ...

    async def dead(self, query: Query) -> list[Dead]:
        """Dead letters that are not hidden, newest first."""
        ...

    async def dead_letter(self, id_: int) -> Dead | None:
        """One dead letter."""
        ...

    async def sizes(self) -> dict[str, int]:
        """Rows by table, and the bytes on disk, for `doctor` and metrics."""
        ...
