"""A daemon made of plain data, for the API and the command line."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from reactor.clock import instant
from reactor.errors import InvalidFlow, NotFound, Overloaded, UsageError
from reactor.ids import id_text
from reactor.model.event import Event, Receipt, Started
from reactor.model.execution import Entry, Execution, Failure, State
from reactor.store import Dead, Open, Query, Unwanted
from reactor.store.gated import Judged
from reactor.web.admin.approving import ApprovalView
from reactor.web.admin.server import api_socket, serve_api
from reactor.web.admin.wire import (
    Check,
    Decision,
    FlowView,
    Happening,
    Part,
    ProblemView,
    Ready,
    Reloaded,
    SourceView,
    StateView,
    TriggerView,
)

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z
EVENT = NOON << 22
EXECUTION = EVENT + 1
FAILED = EVENT + 2
WAITING = EVENT + 3
DEAD = EVENT + 4
MADE = EVENT + 9


def evt(number: int = EVENT) -> str:
    """The public id of an event."""
    return id_text("evt", number)


def exe(number: int = EXECUTION) -> str:
    """The public id of an execution."""
    return id_text("exe", number)


def ded(number: int = DEAD) -> str:
    """The public id of a dead letter."""
    return id_text("ded", number)


class Noon:
    """A clock that stands at noon."""

    def now_ms(self) -> int:
        return NOON

    def monotonic_secs(self) -> float:
        return 0.0


FAILURE = Failure(step="notify", kind="http", message="503 from slack.test", status=503, attempts=2)


def execution(number: int, state: State, **more: Any) -> Execution:
    """A row of the flow `hello`."""
    return Execution(
        id=number, root=number, flow=more.pop("flow", "hello"), version="v1", event=EVENT,
        trigger="http", key=None, state=state, created_ms=NOON, started_ms=NOON + 5, **more
    )  # fmt: skip


def done(status: str, **more: Any) -> dict[str, Any]:
    """The journal's word on a step that ended."""
    result = {"attempts": 1, "started": NOON + 5, "finished": NOON + 255, "input": None}
    return {**result, "output": None, "error": None, "status": status, **more}


class Rows:
    """The read side: a few rows in memory."""

    def __init__(self) -> None:
        data = {"name": "Ada", "total": 7}
        event = Event(EVENT, "http", "http:1", NOON, NOON, None, None, 0, data, {"method": "POST"})
        self.all_events = {EVENT: event}
        self.opened = {
            EXECUTION: Open(
                execution(EXECUTION, State.OK, finished_ms=NOON + 1255),
                event,
                (
                    Entry("", "vars", {"who": "Ada"}),
                    Entry("do.0", "done", done("ok", input="hello Ada")),
                    Entry("do.1", "ready", {"at": NOON + 5, "input": {"post": "http://x"}}),
                    Entry("do.1", "done", done("ok", attempts=2, output={"status": 200})),
                ),
            ),
            FAILED: Open(
                execution(FAILED, State.FAILED, finished_ms=NOON + 900, error=FAILURE,
                          retry_of=EXECUTION),
                event,
                (Entry("do.1", "done", done("failed", attempts=2, error=failure_plain())),),
            ),
            WAITING: Open(
                execution(WAITING, State.WAITING, flow="invoice"),
                event,
                (
                    Entry("do.1", "ready", {"at": NOON + 5, "input": {"post": "http://x"}}),
                    Entry("do.1", "attempt",
                          {"number": 1, "error": failure_plain(), "due": NOON + 9000}),
                ),
            ),
        }  # fmt: skip
        self.letters = {
            DEAD: Dead(
                id=DEAD, kind="failed", flow="hello", event=EVENT, execution=FAILED,
                reason="503 from slack.test", created_ms=NOON + 900,
            )
        }  # fmt: skip

    async def executions(self, query: Query) -> list[Execution]:
        rows = sorted((one.execution for one in self.opened.values()), key=lambda row: -row.id)
        return [
            row
            for row in rows
            if query.flow in (None, row.flow)
            and (not query.states or row.state in query.states)
            and (query.since_ms is None or row.created_ms >= query.since_ms)
            and query.event in (None, row.event)
            and (query.before is None or row.id < query.before)
        ][: query.limit]

    async def execution(self, id_: int) -> Open | None:
        return self.opened.get(id_)

    async def events(self, query: Query) -> list[Event]:
        return [
            event
            for event in self.all_events.values()
            if query.before is None or event.id < query.before
        ][: query.limit]

    async def event(self, id_: int) -> Event | None:
        return self.all_events.get(id_)

    async def judged(self, event: int) -> list[Judged]:
        return []

    async def unwanted(self, id_: int) -> Unwanted | None:
        return None

    async def dead(self, query: Query) -> list[Dead]:
        return [
            letter
            for letter in self.letters.values()
            if not letter.hidden and (query.before is None or letter.id < query.before)
        ][: query.limit]

    async def dead_letter(self, id_: int) -> Dead | None:
        return self.letters.get(id_)

    async def sizes(self) -> dict[str, int]:
        return {"executions": len(self.opened)}


def failure_plain() -> dict[str, Any]:
    """The failure as the journal holds it."""
    return {name: getattr(FAILURE, name) for name in Failure.__struct_fields__}


class PretendDaemon:
    """The acting side: remembers what it was asked in `asked`."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.paused: set[str] = set()
        self.values = {
            ("battery", "sensor-7"): StateView(name="battery", key="sensor-7", value=80),
            ("last_seen", ""): StateView(
                name="last_seen", key="", value="today", until=instant(NOON)
            ),
        }
        self.problems: list[ProblemView] = []
        self.checks = [Check(check="disk", state="ok", detail="12GiB free")]
        self.news: asyncio.Queue[Happening | None] = asyncio.Queue()
        self.subscriptions = 0
        self.heard = threading.Event()
        self.wanted = True

    async def status(self) -> Ready:
        return Ready(version="1", pid=7, started=instant(NOON), listen="127.0.0.1:8787", flows=2)

    async def flows(self) -> list[FlowView]:
        state: Literal["on", "paused"] = "paused" if "hello" in self.paused else "on"
        return [
            FlowView(
                flow="hello", file="hello.yaml", version="v1", enabled=True, state=state,
                triggers=[TriggerView(id="http", source="http", errors=3)],
                executions={"running": 1, "waiting": 2},
            ),
            FlowView(flow="oops", file="oops.yaml", version=None, enabled=True, state="broken"),
        ]  # fmt: skip

    async def start(
        self, flow: str, *, trigger: str | None, data: Any, inputs: Mapping[str, Any]
    ) -> Receipt:
        self._known(flow)
        if trigger == "nope":
            raise UsageError("flow 'hello' has no trigger 'nope'; it has http")
        self.asked.append(("start", flow, trigger, data, dict(inputs)))
        return Receipt(EVENT, (Started(flow, EXECUTION),))

    async def pause(self, flow: str) -> None:
        self._known(flow)
        self.paused.add(flow)

    async def resume(self, flow: str) -> None:
        self._known(flow)
        self.paused.discard(flow)

    async def emit(self, type_: str, data: Any, *, key: str | None, id_: str | None) -> Receipt:
        if type_ == "full":
            raise Overloaded("the disk is full: nothing was stored", retry_after_secs=5)
        if type_ == "boom":
            raise RuntimeError("boom")
        if type_ == "nobody":
            return Receipt(None)
        self.asked.append(("emit", type_, data, key, id_))
        return Receipt(EVENT, (Started("hello", EXECUTION),), ("held-flow",), duplicate=id_ == "7")

    async def why(self, event: int) -> list[Decision]:
        if event != EVENT:
            raise NotFound("no event is kept under this id")
        parts = [
            Part(text="event.body.total", value=7),
            Part(text="event.body.total > 9", value=False),
        ]
        return [
            Decision(flow="hello", trigger="http", decision="started", execution=exe()),
            Decision(flow="big-orders", trigger="http", decision="stopped",
                     reason="only_if: event.body.total > 9", detail=parts),
            Decision(flow="odd", trigger="http", decision="error", detail="text < number"),
        ]  # fmt: skip

    async def replay(self, event: int, flow: str) -> Receipt:
        self._known(flow)
        self.asked.append(("replay", event, flow))
        return Receipt(MADE, (Started(flow, EXECUTION),))

    async def steps(self, version: str) -> Mapping[str, str]:
        return {"do.0": "greet", "do.1": "notify"}

    async def cancel(self, execution: int) -> None:
        if execution == EXECUTION:
            raise UsageError(f"execution {exe()} has ended: ok")
        self._execution(execution)
        self.asked.append(("cancel", execution))

    async def approvals(self) -> list[ApprovalView]:
        form = {"note": {"type": "string"}}
        since = datetime(2026, 1, 1, tzinfo=UTC)
        return [
            ApprovalView(execution=exe(), flow="hello", step="ask", question="Go on?", form=form,
                         since=since, until=None)
        ]  # fmt: skip

    async def answer(
        self,
        execution: int,
        step: str | None,
        *,
        approved: bool,
        by: str,
        form: Mapping[str, Any],
        message: str | None,
    ) -> str:
        self._execution(execution)
        self.asked.append(("answer", execution, step, approved, by, dict(form), message))
        return step or "ask"

    async def retry(
        self,
        execution: int,
        *,
        start: Literal["start", "failed"],
        version: Literal["original", "current"],
    ) -> int:
        self._execution(execution)
        self.asked.append(("retry", execution, start, version))
        return MADE

    async def sources(self) -> list[SourceView]:
        return [
            SourceView(id="http:1", source="http", state="up", flows=["hello"]),
            SourceView(id="kafka:9f2c", source="kafka", state="retrying",
                       detail="no broker answers", flows=["hello", "odd"], position={"0": 41}),
        ]  # fmt: skip

    async def reset_source(self, id_: str, to: str) -> SourceView:
        if id_ != "kafka:9f2c":
            raise NotFound(f"no source is called {id_!r}: `reactor sources` lists them")
        self.asked.append(("reset", id_, to))
        return (await self.sources())[1]

    async def drop_dead(self, id_: int) -> None:
        self._letter(id_)
        self.asked.append(("drop", id_))

    async def retry_dead(self, id_: int) -> Receipt:
        self._letter(id_)
        self.asked.append(("retry dead", id_))
        return Receipt(EVENT, (Started("hello", MADE),))

    async def state_values(self, name: str | None) -> list[StateView]:
        return [view for view in self.values.values() if name in (None, view.name)]

    async def set_state(self, name: str, key: str, value: Any, ttl_secs: float | None) -> None:
        self.asked.append(("set", name, key, value, ttl_secs))
        if value is None:
            self.values.pop((name, key), None)
        else:
            self.values[name, key] = StateView(name=name, key=key, value=value)

    async def backup(self, target: Path) -> int:
        if target == Path("/"):
            raise UsageError(f"{target} exists: name a new file")
        return 1536

    async def reload(self) -> Reloaded:
        return Reloaded(flows=2, problems=self.problems)

    async def doctor(self) -> list[Check]:
        return self.checks

    async def metrics(self) -> str:
        return "# HELP reactor_up one\nreactor_up 1\n"

    async def subscribe(self) -> AsyncGenerator[Happening]:
        self.subscriptions += 1
        while (happening := await self.news.get()) is not None:
            yield happening
            self.heard.set()

    def _known(self, flow: str) -> None:
        if flow not in ("hello", "oops"):
            raise NotFound(f"no flow is called {flow!r}: `reactor flows` lists them")
        if flow == "oops":
            raise InvalidFlow("flow 'oops' does not load: `reactor check` says why")

    def _execution(self, number: int) -> None:
        if number not in (EXECUTION, FAILED, WAITING):
            raise NotFound(f"no execution {exe(number)} is kept")

    def _letter(self, number: int) -> None:
        if number != DEAD:
            raise NotFound(f"no dead letter {ded(number)} is kept")


class Served:
    """A pretend daemon behind a real socket, on a thread with its own loop."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.control = PretendDaemon()
        self.rows = Rows()
        self.loop = asyncio.new_event_loop()

    def tell(self, *happenings: Happening) -> None:
        """Let something happen."""
        for happening in happenings:
            self.loop.call_soon_threadsafe(self.control.news.put_nowait, happening)


@contextmanager
def serving(state: Path, allowed: frozenset[int] | None = None) -> Iterator[Served]:
    """The API of a pretend daemon on a socket in the state folder."""
    served = Served(state)

    def run(api: asyncio.Task[None]) -> None:
        with suppress(asyncio.CancelledError):
            served.loop.run_until_complete(api)
        served.loop.run_until_complete(served.loop.shutdown_asyncgens())
        served.loop.run_until_complete(served.loop.shutdown_default_executor())
        served.loop.close()

    with api_socket(state) as listening:
        api = served.loop.create_task(
            serve_api(listening, served.control, served.rows, Noon(), version="1", allowed=allowed)
        )
        thread = threading.Thread(target=run, args=[api])
        thread.start()
        try:
            yield served
        finally:
            served.loop.call_soon_threadsafe(api.cancel)
            thread.join(10)
