"""The rows of one commit: what many `Write`s say, encoded and sorted by table."""

from collections import Counter
from typing import Any

from reactor.model.event import Event
from reactor.model.execution import Entry
from reactor.store import Change, End, NewExecution, Record, Write
from reactor.store.blobs import LARGEST_IN_ROW, Blobs
from reactor.store.codec import encode, encode_failure, encode_journal
from reactor.store.statements import (
    CHANGE_EXECUTIONS,
    DROP_FILES,
    DROP_GATES,
    DROP_GROUPS,
    DROP_HELD,
    DROP_META,
    DROP_POSITIONS,
    DROP_STATES,
    DROP_STEPS,
    DROP_WAITS,
    END_EXECUTIONS,
    HIDE_DEAD,
    INSERT_EVENTS,
    INSERT_EXECUTIONS,
    INSERT_HELD,
    INSERT_STEPS,
    INSERT_TAKEN,
    INSERT_VERSIONS,
    PUT_DEAD,
    PUT_FILES,
    PUT_GATES,
    PUT_HEARD,
    PUT_IDENTITIES,
    PUT_JUDGED,
    PUT_META,
    PUT_POSITIONS,
    PUT_STATES,
    PUT_UNWANTED,
    PUT_WAITS,
    TRIM_UNWANTED,
    USE_VERSIONS,
    ManyRows,
)

Rows = dict[Any, tuple[Any, ...]]


class Batch:
    """Collects rows, to be applied in the order of the fields of `Write`.

    `sequence` numbers records. Of several values for one key the last stays; of several ends of
    one execution the first, as terminal rows never change. `removed` are the files that no row
    names once this is committed.
    """

    def __init__(self, blobs: Blobs, *, epoch: int, sequence: int, unwanted_rows: int) -> None:
        self.bytes = 0
        self.sequence = sequence
        self.removed: list[str] = []
        self._blobs = blobs
        self._epoch = epoch
        self._unwanted_rows = unwanted_rows
        # Flat lists of values for what is only added, rows by key for what may come twice.
        self._events: list[Any] = []
        self._executions: list[Any] = []
        self._steps: list[Any] = []
        self._dead: list[Any] = []
        self._unwanted: list[Any] = []
        self._hidden: list[int] = []
        self._uses: Counter[str] = Counter()
        self._versions: Rows = {}
        self._files: Rows = {}
        self._identities: Rows = {}
        self._positions: Rows = {}
        self._changes: dict[int, Change] = {}
        self._ends: Rows = {}
        self._states: Rows = {}
        self._gates: Rows = {}
        self._held: list[Any] = []
        self._taken: list[Any] = []
        self._let_go: list[Any] = []
        self._gone_groups: list[int] = []
        self._judged: list[Any] = []
        self._meta: Rows = {}
        self._heard: list[Any] = []
        self._waits: list[Any] = []
        self._unwaits: list[Any] = []

    def add(self, write: Write) -> None:
        """Encode the rows of one Write; never raises for a value that cannot be encoded."""
        for event in write.events:
            self._add_event(event)
        for new in write.executions:
            self._add_execution(new)
        for record in write.records:
            self._add_record(record)
        for change in write.changes:
            self._add_change(change)
        for end in write.ends:
            self._add_end(end)
        for it in write.identities:
            executions = encode(it.executions) if it.executions else None
            row = (it.scope, it.identity, it.event, executions, it.digest, it.until_ms)
            self._identities[it.scope, it.identity] = row
        for instance, position in write.positions:
            self._positions[instance] = (instance, _optional(position))
        if write.states or write.dead or write.hidden or write.unwanted or write.meta:
            self._add_rare(write)
        if write.gates or write.held or write.taken or write.let_go or write.judged:
            self._add_gates(write)
        if write.versions or write.files:
            self._add_flows(write)
        if write.heard or write.waits or write.unwaits:
            self._add_waits(write)

    def plan(self) -> list[tuple[ManyRows, list[Any]]]:
        """The statements with their rows, in order."""
        changes = [
            (c.execution, int(c.state), c.due_ms, c.reason, c.started_ms, c.crashes, self._epoch)
            for c in self._changes.values()
        ]
        steps = [
            (INSERT_VERSIONS, _flat(self._versions.values())),
            (USE_VERSIONS, _flat((hash_, n, self._epoch) for hash_, n in self._uses.items())),
            (PUT_FILES, _kept(self._files)),
            (DROP_FILES, _gone(self._files)),
            (INSERT_EVENTS, self._events),
            (PUT_IDENTITIES, _flat(self._identities.values())),
            (PUT_POSITIONS, _kept(self._positions)),
            (DROP_POSITIONS, _gone(self._positions)),
            (INSERT_EXECUTIONS, self._executions),
            (INSERT_STEPS, self._steps),
            (CHANGE_EXECUTIONS, _flat(changes)),
            (END_EXECUTIONS, _flat(self._ends.values())),
            (DROP_STEPS, list(self._ends)),
            (PUT_STATES, _kept(self._states, 2)),
            (DROP_STATES, _gone(self._states, 2)),
            (PUT_GATES, _kept(self._gates, 4)),
            (DROP_GATES, _gone(self._gates, 4)),
            (INSERT_HELD, self._held),
            (INSERT_TAKEN, self._taken),
            (DROP_HELD, self._let_go),
            (DROP_GROUPS, self._gone_groups),
            (PUT_JUDGED, self._judged),
            (PUT_DEAD, self._dead),
            (HIDE_DEAD, self._hidden),
            (PUT_UNWANTED, self._unwanted),
            (TRIM_UNWANTED, [self._unwanted_rows] if self._unwanted else []),
            (PUT_META, _kept(self._meta)),
            (DROP_META, _gone(self._meta)),
            (PUT_HEARD, self._heard),
            (PUT_WAITS, self._waits),
            (DROP_WAITS, self._unwaits),
        ]
        return [(statement, values) for statement, values in steps if values]

    def _add_event(self, event: Event) -> None:
        data = encode((event.data, event.fields))
        self.bytes += len(data)
        large = len(data) > LARGEST_IN_ROW
        self._events += (
            event.id,
            event.source,
            event.instance,
            event.received_ms,
            event.time_ms,
            event.type,
            event.key,
            event.depth,
            self._blobs.keep(f"event-{event.id}", data) if large else data,
        )

    def _add_execution(self, new: NewExecution) -> None:
        row = new.execution
        journal: bytes | str | None = None
        if new.journal:
            owner = None if row.state.ended else row.id
            journal = self._journal("journal", row.id, new.journal, owner)
        self._uses[row.version] += 1
        self._executions += (
            row.id,
            row.flow,
            int(row.state),
            row.event,
            row.version,
            row.key,
            row.reason,
            row.due_ms,
            row.started_ms,
            row.finished_ms,
            row.epoch or self._epoch,
            row.crashes,
            encode((row.root, row.trigger, row.created_ms, row.depth, row.retry_of, row.parent)),
            None if row.error is None else encode_failure(row.error),
            journal,
        )

    def _add_record(self, record: Record) -> None:
        self.sequence += 1
        entries = self._journal("steps", record.execution, record.entries, record.execution)
        self._steps += (record.execution, self.sequence, entries)

    def _add_change(self, change: Change) -> None:
        if change.execution in self._ends:
            return
        earlier = self._changes.get(change.execution)
        if earlier is not None:
            started, crashes = change.started_ms, change.crashes
            change = Change(
                change.execution,
                change.state,
                change.due_ms,
                change.reason,
                earlier.started_ms if started is None else started,
                earlier.crashes if crashes is None else crashes,
            )
        self._changes[change.execution] = change

    def _add_end(self, end: End) -> None:
        if end.execution in self._ends:
            return
        self.removed += self._blobs.ended(end.execution)
        self._ends[end.execution] = (
            end.execution,
            int(end.state),
            end.started_ms,
            end.finished_ms,
            end.reason,
            None if end.error is None else encode_failure(end.error),
            self._journal("journal", end.execution, end.journal, None),
        )

    def _add_rare(self, write: Write) -> None:
        for it in write.states:
            row = (it.name, it.key, _optional(it.value), it.until_ms)
            self._states[it.name, it.key] = row
        for dead in write.dead:
            self._dead += (
                dead.id,
                dead.kind,
                dead.flow,
                dead.event,
                dead.execution,
                dead.reason,
                dead.created_ms,
                dead.hidden,
            )
        self._hidden += write.hidden
        for unwanted in write.unwanted:
            event = encode(unwanted.event)
            self.bytes += len(event)
            self._unwanted += (unwanted.event.id, event, encode(unwanted.stopped))
        for key, value in write.meta:
            self._meta[key] = (key, _optional(value))

    def _add_gates(self, write: Write) -> None:
        for it in write.gates:
            state = _optional(it.state)
            self.bytes += 0 if state is None else len(state)
            self._gates[it.name] = (*it.name, state, it.due_ms, it.event)
        for held in write.held:
            self._held += (held.group, held.place, held.event, held.name)
        for taken in write.taken:
            facts = encode(taken.facts)
            self._taken += (taken.execution, taken.group, taken.first, taken.last, facts)
        for one in write.judged:
            self._judged += (one.event, one.flow, one.trigger, one.decision, one.reason)
        for group, place in write.let_go:
            if place is None:
                self._gone_groups.append(group)
            else:
                self._let_go += (group, place)

    def _add_flows(self, write: Write) -> None:
        for version in write.versions:
            document = encode(version.document)
            self.bytes += len(document)
            self._versions[version.hash] = (version.hash, version.flow, document)
            self._uses[version.hash] += 0
        for file in write.files:
            self._files[file.path] = (file.path, file.text)

    def _add_waits(self, write: Write) -> None:
        for heard in write.heard:
            self._heard += (heard.name, heard.key, heard.event)
        for wait in write.waits:
            self._waits += (wait.name, wait.key, wait.execution, wait.path)
        for wait in write.unwaits:
            self._unwaits += (wait.name, wait.key, wait.execution, wait.path)

    def _journal(
        self, kind: str, execution: int, entries: tuple[Entry, ...], owner: int | None
    ) -> bytes | str:
        data = encode_journal(entries)
        self.bytes += len(data)
        if len(data) <= LARGEST_IN_ROW:
            return data
        self.sequence += 1  # so that no file is ever written over
        return self._blobs.keep(f"{kind}-{execution}-{self.sequence}", data, owner)


def _optional(value: Any) -> bytes | None:
    return None if value is None else encode(value)


def _flat(rows: Any) -> list[Any]:
    return [value for row in rows for value in row]


def _kept(rows: Rows, keys: int = 1) -> list[Any]:
    return _flat(row for row in rows.values() if row[keys] is not None)


def _gone(rows: Rows, keys: int = 1) -> list[Any]:
    return _flat(row[:keys] for row in rows.values() if row[keys] is None)
