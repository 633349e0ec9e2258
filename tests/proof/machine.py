"""Stories that hypothesis makes up: whatever is done in whatever order, these things hold."""

import asyncio
import logging
import shutil
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from reactor.engine import again
from reactor.errors import ReactorError
from reactor.ids import id_text
from reactor.model.execution import Execution, Failure, State
from tests.engine.lives import Lives
from tests.engine.probe import Probe
from tests.proof.report import Figures

FLOWS = """
flow: line
when: {{event: {{type: line}}, key: event.data.key}}
run: {{mode: queue}}
do:
  - {{id: first, probe: "${{{{ event.data.id }}}}", retry: {{max: 9, delay: 10s, jitter: none}}}}
  - {{id: held, probe: "${{{{ event.data.id }}}}"}}
---
flow: count
when: {{event: {{type: count}}, key: event.data.key}}
do:
  - set: {{seen: {{key: event.data.key, value: "(state.seen[event.data.key] | default(0)) + 1"}}}}
  - wait: 30s
  - {{id: last, probe: {version}}}
---
flow: bad
when: {{event: {{type: bad}}}}
do: [{{id: broken, probe: 1}}]
"""
SCRIPT: dict[str, list[Any]] = {
    "first": ["fail", "ok"] * 500,
    "held": ["hang"],
    "broken": [{"fails": {"transient": False}}],
}
KINDS = some.sampled_from(["line", "count", "bad"])
KEYS = some.sampled_from(["a", "b"])
SPANS = some.sampled_from(["1s", "11s", "31s", "5m"])
MEMORY = Path("/dev/shm")


class Story(RuleBasedStateMachine):
    """One reactor through several lives; events, people and crashes come in any order."""

    steps = 0

    @initialize()
    def begin(self) -> None:
        """An empty state folder."""
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.loop = asyncio.new_event_loop()
        self.version = 0
        self.offered: dict[str, tuple[str, str, Any]] = {}
        self.retries = 0
        self.ended: dict[int, State] = {}
        self.lives = Lives(self.folder, FLOWS.format(version=0), probe=Probe(SCRIPT))
        self.do(self.lives.__aenter__())

    def do(self, work: Any) -> Any:
        """Wait for something on the story's own loop."""
        type(self).steps += 1
        return self.loop.run_until_complete(work)

    @rule(kind=KINDS, key=KEYS)
    def offer(self, kind: str, key: str) -> None:
        """A new event."""
        identity = str(len(self.offered))
        data = {"id": identity, "key": key}
        receipt = self.do(self.lives.world.emit(kind, data, identity=identity))
        self.offered[identity] = (kind, key, receipt)

    @rule(data=some.data())
    def duplicate(self, data: some.DataObject) -> None:
        """An event comes again: the same answer, nothing new."""
        if not self.offered:
            return
        identity = data.draw(some.sampled_from(sorted(self.offered)))
        kind, key, first = self.offered[identity]
        offered = {"id": identity, "key": key}
        second = self.do(self.lives.world.emit(kind, offered, identity=identity))
        assert second.duplicate
        assert (second.event, second.executions) == (first.event, first.executions)

    @rule()
    def crash(self) -> None:
        """The process dies; so often in a row only that no execution is given up."""
        rows = self.rows()
        if max((row.crashes for row in rows if not row.state.ended), default=0) < 6:
            self.do(self.lives.crash())

    @rule()
    def restart(self) -> None:
        """A stop in good order."""
        self.do(self.lives.restart())

    @rule(span=SPANS)
    def advance(self, span: str) -> None:
        """Time passes."""
        self.do(self.lives.world.advance(span))

    @rule()
    def reload(self) -> None:
        """The flows change; what is open keeps its version."""
        self.version += 1
        self.lives.flows = (FLOWS.format(version=self.version),)
        self.do(self.lives.world.reload(*self.lives.flows))

    @rule()
    def release(self) -> None:
        """What hangs outside answers."""
        self.lives.probe.release("held")
        self.do(self.lives.world.settle())

    @rule(data=some.data())
    def cancel(self, data: some.DataObject) -> None:
        """A person cancels an execution, ended or not."""
        rows = self.rows()
        if rows:
            row = data.draw(some.sampled_from(rows))
            error = Failure(step=None, kind="cancelled", message="by hand")
            assert self.do(self.lives.engine.desk.cancel(row.id, error)) is not row.state.ended
            self.do(self.lives.world.settle())

    @rule(data=some.data())
    def retry(self, data: some.DataObject) -> None:
        """A person retries one that failed."""
        failed = [row for row in self.rows() if row.state is State.FAILED]
        if failed:
            row = data.draw(some.sampled_from(failed))
            with suppress(ReactorError):
                self.do(again.retry(self.lives.engine, row.id))
                self.retries += 1
            self.do(self.lives.world.settle())

    @invariant()
    def holds(self) -> None:
        """One execution for each event, ended ones as they were, nothing without an owner."""
        if not hasattr(self, "lives"):
            return
        rows = self.rows()
        assert len(rows) == len(self.offered) + self.retries
        for row in rows:
            if row.state.ended:
                assert self.ended.setdefault(row.id, row.state) is row.state
        assert {row.id for row in rows} >= self.ended.keys()
        assert self.lives.engine.meter.repaired == 0
        self._keys_are_taken_once(rows)
        self._counts(rows)

    def _keys_are_taken_once(self, rows: list[Execution]) -> None:
        begun = [row for row in rows if row.flow == "line" and row.started_ms is not None]
        working = [row.key for row in begun if not row.state.ended]
        assert len(working) == len(set(working)), "two of one key at work"

    def _counts(self, rows: list[Execution]) -> None:
        # While one that was there at three crashes runs alone, the others wait.
        begun = [row for row in rows if row.flow == "count" and row.started_ms is not None]
        wanted = Counter(row.key for row in begun)
        assert self.lives.engine.shared.committed.get("seen", {}) == wanted

    def rows(self) -> list[Execution]:
        """All executions, in order of acceptance."""
        rows: list[Execution] = self.do(self.lives.world.executions())
        return rows

    def teardown(self) -> None:
        """In the end everything ends, and each key's executions began in order."""
        if not hasattr(self, "lives"):
            return
        try:
            self.lives.probe.script["held"] = ["ok"]
            self.release()
            for _ in range(4):
                self.do(self.lives.world.advance("5m"))
            rows = self.rows()
            assert all(row.state.ended for row in rows)
            self._counts(rows)
            self._began_in_order()
        finally:
            self.do(self.lives.__aexit__())
            self.loop.close()
            shutil.rmtree(self.folder)

    def _began_in_order(self) -> None:
        first: dict[str, int] = {}
        for place, call in enumerate(self.lives.probe.calls):
            if call.step == "first":
                first.setdefault(call.key, place)
        by_key: dict[str | None, list[int]] = {}
        for row in self.rows():
            began = first.get(f"{id_text('exe', row.root)}:do.0")
            if row.flow == "line" and row.retry_of is None and began is not None:
                by_key.setdefault(row.key, []).append(began)
        assert all(places == sorted(places) for places in by_key.values())


def stories(*, examples: int, steps: int) -> Figures:
    """So many stories of so many steps; hypothesis prints the shortest one that fails."""
    began = time.monotonic()
    logging.disable(logging.CRITICAL)
    Story.steps = 0
    try:
        run_state_machine_as_test(
            Story,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        logging.disable(logging.NOTSET)
    numbers = {"stories": examples, "steps in each, at most": steps, "awaited": Story.steps}
    return Figures("stories of hypothesis", numbers, time.monotonic() - began)
