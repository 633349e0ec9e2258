"""An execution in memory: its row, its machine, and the names its expressions see."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from reactor.clock import instant
from reactor.engine.machine import Machine
from reactor.engine.render import Rendering
from reactor.engine.router import about_flow
from reactor.engine.state import SharedState
from reactor.engine.timers import Timer
from reactor.engine.words import Stage
from reactor.ids import Ids, id_text
from reactor.model.execution import Entry, Execution, Failure
from reactor.model.flow import Flow
from reactor.store.gated import Taken


class Running:
    """One open execution that the runner holds."""

    __slots__ = (
        "aborted",
        "alarm",
        "batch",
        "closing",
        "closing_ms",
        "commits",
        "deadline",
        "flow",
        "machine",
        "patience",
        "row",
        "stage",
        "started_ms",
        "stopping",
        "tasks",
        "view",
    )

    def __init__(
        self, row: Execution, flow: Flow, machine: Machine, stage: Stage, view: dict[str, Any]
    ) -> None:
        self.row = row
        self.flow = flow
        self.machine = machine
        self.stage = stage
        self.view = view
        self.started_ms = row.started_ms
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.deadline: Timer | None = None
        self.closing: Timer | None = None
        self.closing_ms: int | None = None  # when `closing` fires
        self.commits = 0  # on their way to the disk
        self.stopping: Failure | None = None
        self.aborted: set[str] = set()  # attempts that were given up and have not ended
        self.patience: Timer | None = None  # how long they may take to
        self.batch: Taken | None = None  # a batch that is halved when it fails
        self.alarm: Timer | None = None  # a branch waits for a time while others work


class Passed(Struct, gc=False):
    """An execution that went straight: over before its first commit."""

    row: Execution
    stage: Stage
    output: Any


class Maker:
    """Makes executions from rows and journals."""

    def __init__(
        self,
        *,
        ids: Ids,
        shared: SharedState,
        env: Mapping[str, str],
        secret: Callable[[str], str],
        chance: Callable[[], float],
    ) -> None:
        self._ids = ids
        self._shared = shared
        self._env = env
        self._secret = secret
        self._chance = chance

    def stage(self, row: Execution, flow: Flow) -> Stage:
        """Where the engine's own words of an execution act."""
        return Stage(
            self._shared,
            self._ids.next,
            row.root,
            row.depth,
            row.event,
            row.id,
            flow,
            row.created_ms,
        )

    def names(self, flow: Flow, view: dict[str, Any], events: Any = None) -> dict[str, Any]:
        """What the conditions of a flow saw of an event that was stored, or of several."""
        many = {} if events is None else {"events": events}
        return {
            **many,
            "event": view,
            "vars": {},
            "env": self._env,
            "state": self._shared.committed,
            "now": None,
            "flow": about_flow(flow),
        }

    def make(
        self,
        row: Execution,
        flow: Flow,
        names: dict[str, Any],
        stage: Stage,
        journal: Iterable[Entry],
        *,
        saved: int | None = None,
    ) -> Running:
        """The execution as far as its journal goes; `machine.begin` walks it.

        `names` are what its conditions saw. `saved` entries of the journal are stored; None: all.
        """
        names["steps"] = {}
        names["error"] = None
        names["execution"] = about_execution(row)
        rendering = Rendering(flow, names, self._secret)
        machine = Machine(flow, rendering, stage, journal, self._chance, saved=saved)
        return Running(row, flow, machine, stage, names["event"])


def about_execution(row: Execution) -> dict[str, Any]:
    """`execution` in expressions."""
    return {
        "id": id_text("exe", row.id),
        "flow": row.flow,
        "version": row.version[:12],
        "started": instant(row.created_ms),
        "attempt": 1,
    }
