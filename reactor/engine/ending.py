"""What the end of an execution leaves: a dead letter if it failed, an event for `flow`."""

from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from reactor.ids import id_text
from reactor.model.event import Received
from reactor.model.execution import Execution, Failure, State
from reactor.store import Dead


def dead_letter(row: Execution, error: Failure | None, now_ms: int, kind: str = "failed") -> Dead:
    """The dead letter of a failed execution; it has the execution's number."""
    return Dead(
        id=row.id,
        kind=kind,
        flow=row.flow,
        event=row.event,
        execution=row.id,
        reason="" if error is None else error.message,
        created_ms=now_ms,
    )


def undo_letter(
    row: Execution, number: int, step: str, why: Mapping[str, Any], now_ms: int
) -> Dead:
    """The dead letter of a step that could not be taken back."""
    return Dead(
        id=number,
        kind="undo",
        flow=row.flow,
        event=row.event,
        execution=row.id,
        reason=f"undo of step {step!r}: {why['message']}",
        created_ms=now_ms,
    )


def end_of(row: Execution, state: State, error: Failure | None, output: Any = None) -> Received:
    """The event that tells flows with `flow: {finished: …}` of this end."""
    return Received(
        data={
            "flow": row.flow,
            "execution": id_text("exe", row.id),
            "state": state.word,
            "output": output,
            "error": None if error is None else to_builtins(error, builtin_types=(bytes,)),
        },
        type=state.word,
        identity=f"{row.id}:ended",
        parent=row.event,
        depth=row.depth + 1,
    )
