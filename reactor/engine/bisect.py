"""`poison: bisect`: a batch that failed goes on as two halves, until one event stands alone."""

from msgspec.structs import replace

from reactor.engine.making import Running
from reactor.ids import Ids
from reactor.model.execution import Execution, State
from reactor.model.gates import Batch
from reactor.store import NewExecution, Write
from reactor.store.gated import Taken


def to_be_halved(running: Running, taken: Taken | None) -> None:
    """Mark an execution that took several events of a batch with `poison: bisect`."""
    if taken is None or taken.group is None or taken.last <= taken.first:
        return
    bisected = any(
        isinstance(config, Batch) and config.bisect
        for trigger in running.flow.triggers
        if trigger.id == running.row.trigger and trigger.gates is not None
        for _, config in trigger.gates.chain
    )
    if bisected:
        running.batch = taken
        running.machine.halve()


def halves(write: Write, row: Execution, taken: Taken, ids: Ids, now_ms: int) -> tuple[int, int]:
    """Put two executions into the write, each from the start with half of the events."""
    middle = (taken.first + taken.last) // 2
    numbers = ids.next(), ids.next()
    parts = (taken.first, middle), (middle + 1, taken.last)
    for number, (first, last) in zip(numbers, parts, strict=True):
        half = replace(
            row,
            id=number,
            root=number,
            state=State.QUEUED,
            created_ms=now_ms,
            reason=None,
            started_ms=None,
            due_ms=None,
            crashes=0,
            error=None,
        )
        write.executions.append(NewExecution(half, ()))
        write.taken.append(replace(taken_again(taken, number), first=first, last=last))
    return numbers


def taken_again(taken: Taken, execution: int) -> Taken:
    """What another execution takes of the same; the flow's conditions are not asked again."""
    facts = {name: value for name, value in taken.facts.items() if name != "judge"}
    return replace(taken, execution=execution, facts=facts)
