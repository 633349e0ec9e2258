"""What the API asks of the daemon; the daemon gives it, tests bring their own."""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from reactor.model.event import Receipt
from reactor.web.admin.approving import ApprovalView
from reactor.web.admin.wire import (
    Check,
    Decision,
    FlowView,
    Happening,
    Ready,
    Reloaded,
    SourceView,
    StateView,
)


class Control(Protocol):
    """The running daemon, as the API sees it.

    All methods belong to the event loop's thread. Ids are the numbers inside. What is asked for
    and does not exist raises `NotFound`, what makes no sense `UsageError`, what the flow refuses
    `InvalidFlow`, what cannot be stored now `Overloaded`; each says what to do instead.
    """

    async def status(self) -> Ready:
        """Who serves, since when and where."""
        ...

    async def flows(self) -> list[FlowView]:
        """All flows of the flows folder by name; broken and stale ones too."""
        ...

    async def start(
        self, flow: str, *, trigger: str | None, data: Any, inputs: Mapping[str, Any]
    ) -> Receipt:
        """Start a flow by hand; its conditions are not asked.

        Without a trigger its `call` trigger takes the checked inputs; a flow with one trigger and
        no `call` takes that one. Raises `UsageError` for an unknown or ambiguous trigger, a
        missing, unknown or wrong input.
        """
        ...

    async def pause(self, flow: str) -> None:
        """Let a flow take no more events until `resume`, also over restarts; no-op if paused."""
        ...

    async def resume(self, flow: str) -> None:
        """Let a paused flow take events again; no-op if it is not paused."""
        ...

    async def emit(self, type_: str, data: Any, *, key: str | None, id_: str | None) -> Receipt:
        """Accept an event of source `event`; on disk when it answers.

        `id_` is its identity: a second event with the same one is a duplicate.
        """
        ...

    async def why(self, event: int) -> list[Decision]:
        """Each flow's decision about an event, with the values of the parts of its conditions.

        An event that no flow wanted is explained as long as it is kept; older ones are `NotFound`.
        """
        ...

    async def replay(self, event: int, flow: str) -> Receipt:
        """Offer a stored event anew to one flow; the new event has `replay_of`.

        Raises `UsageError` when the flow does not hear such events.
        """
        ...

    async def steps(self, version: str) -> Mapping[str, str]:
        """The ids of a flow version's steps by path (`do.0` → `notify`), nested ones too.

        Empty when the version is not known any more.
        """
        ...

    async def cancel(self, execution: int) -> None:
        """Stop an open execution and go to its `finally`; a second time skips that too.

        Raises `UsageError` when it has ended.
        """
        ...

    async def approvals(self) -> list[ApprovalView]:
        """The steps that wait for a person, the oldest first."""
        ...

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
        """Approve or deny a step that waits for a person, and give its id; on disk when it answers.

        Raises `NotFound` when nothing waits there, `UsageError` when several steps wait and none is
        named, or when the form is not what was asked for.
        """
        ...

    async def retry(
        self,
        execution: int,
        *,
        start: Literal["start", "failed"],
        version: Literal["original", "current"],
    ) -> int:
        """Run an execution again and give the new one's id, which is on disk.

        Raises `UsageError` while it is open, and for `failed` after `undo` ran.
        """
        ...

    async def sources(self) -> list[SourceView]:
        """All sources by id, with their state and last position."""
        ...

    async def reset_source(self, id_: str, to: str) -> SourceView:
        """Move a source to `earliest`, `latest` or a position; it is restarted there.

        Raises `UsageError` for a position that the source cannot read or when it keeps none.
        """
        ...

    async def drop_dead(self, id_: int) -> None:
        """Hide a dead letter; it stays in the store until its time."""
        ...

    async def retry_dead(self, id_: int) -> Receipt:
        """Run a dead letter again and hide it: its execution from the start, or its event anew."""
        ...

    async def state_values(self, name: str | None) -> list[StateView]:
        """Values of `state`, by name and key; all of them or those of one name."""
        ...

    async def set_state(self, name: str, key: str, value: Any, ttl_secs: float | None) -> None:
        """Store a value of `state.NAME[key]`; None deletes it. On disk when it answers."""
        ...

    async def backup(self, target: Path) -> int:
        """Write a copy of the store to a new folder, while everything runs; its size in bytes.

        Raises `UsageError` when the target exists or cannot be written.
        """
        ...

    async def reload(self) -> Reloaded:
        """Read flows and settings again; what does not load keeps its last good version."""
        ...

    async def doctor(self) -> list[Check]:
        """Look at what usually goes wrong: disk, store, sources, files, clock, open executions."""
        ...

    async def metrics(self) -> str:
        """All metrics in the text form of Prometheus."""
        ...

    def subscribe(self) -> AsyncGenerator[Happening]:
        """What happens from now on.

        Never slows the daemon: who reads too slowly misses some, told by a `gap`. Closing the
        generator ends the subscription.
        """
        ...
