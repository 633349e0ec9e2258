"""What the last run left open is taken up: at once, or alone where it crashed the daemon before."""

import logging
from collections.abc import Sequence

from reactor.engine.desk import PAGE, Desk
from reactor.failpoints import reach
from reactor.ids import id_text
from reactor.model.execution import Failure, State
from reactor.model.flow import Flow
from reactor.store import Change, Open, Store, Write

LONE_CRASHES = 3  # from here on an execution runs alone
MOST_CRASHES = LONE_CRASHES + 5
LONE_SECS = 30.0

_LOG = logging.getLogger(__name__)


async def recover(desk: Desk, store: Store, flows: Sequence[Flow], *, blame: bool = True) -> int:
    """Take up what was running; how many executions that was.

    Each has one more crash, if one of them may be to `blame`. From the third on an execution runs
    alone, before everything else; five crashes while alone make it a dead letter. What is queued is
    read as slots allow. It returns when everything is in its lane; what runs alone keeps the lanes
    waiting after that.
    """
    found, suspects, lost = await _take_up(desk, store, int(blame))
    if suspects:
        desk.hold()
    for name in {*await store.open_counts(), *(flow.name for flow in flows)}:
        await desk.own_keys(name)
    for opened in suspects:
        desk.lane(opened.execution.flow).own(opened.execution.id, opened.execution.key)
    for name, counts in (await store.open_counts()).items():
        if counts.get(State.QUEUED):
            desk.lane(name).more = True
            await desk.refill(name)
    for opened in lost:
        _give_up(desk, opened)
    if suspects:
        desk.own(_run_alone(desk, store, suspects))
    else:
        desk.let_go()
    return found


async def _take_up(desk: Desk, store: Store, blame: int) -> tuple[int, list[Open], list[Open]]:
    """How many were running, which of them must run alone, and which must not run any more."""
    found, after = 0, 0
    suspects: list[Open] = []
    lost: list[Open] = []
    while page := await store.open_executions((State.RUNNING,), after=after, limit=PAGE):
        write = Write()
        found += len(page)
        for opened in page:
            row = opened.execution
            after, crashes = row.id, row.crashes + blame
            if crashes >= MOST_CRASHES:
                lost.append(opened)
                continue
            change = Change(row.id, State.RUNNING, None, None, row.started_ms, crashes)
            write.changes.append(change)
            if crashes >= LONE_CRASHES:
                suspects.append(opened)
                continue
            lane = desk.lane(row.flow)
            lane.own(row.id, row.key)
            lane.resume(row.id)
        store.submit(write)
        reach("the open ones are taken up")
    return found, suspects, lost


async def _run_alone(desk: Desk, store: Store, suspects: list[Open]) -> None:
    for suspect in suspects:
        row = suspect.execution
        facts = {"flow": row.flow, "execution": id_text("exe", row.id), "crashes": row.crashes + 1}
        _LOG.warning("runs alone: the daemon crashed while it ran", extra=facts)
        await desk.settled()
        for opened in await store.load([row.id]):
            await desk.alone(opened, LONE_SECS)
    desk.let_go()


def _give_up(desk: Desk, opened: Open) -> None:
    row = opened.execution
    message = f"the daemon crashed {row.crashes + 1} times while this ran, the last times alone"
    error = Failure(step=None, kind="crash_loop", message=message)
    lane = desk.lane(row.flow)
    if lane.run.hold_on_fail:
        lane.own(row.id, row.key)
    desk.runner.bury(opened, error)
