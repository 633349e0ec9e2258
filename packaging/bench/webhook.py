"""The durable webhook beside a bare handler that stores nothing, and the lag under its load."""

import sqlite3
from contextlib import closing
from pathlib import Path

from load import BODY, CONNECTIONS, Told, client_name, post_orders
from measure import Row, Size, spread
from processes import bare_aiohttp, daemon
from reactor.model.execution import State

FLOW = """\
flow: orders
when:
  http: {path: /orders, verify: none}
only_if: event.body.total > 100
do:
  - log: order ${{ event.body.id }} from ${{ event.body.customer.name }}
"""
LAG = "reactor_event_loop_lag_seconds"


def rows(size: Size, folder: Path) -> list[Row]:
    """The row of the webhook, and the one of the lag while it was measured."""
    told: list[Told] = []
    bare: list[Told] = []
    with bare_aiohttp() as reference, daemon(folder, {"orders.yaml": FLOW}) as served:
        post_orders(reference, 1, folder)  # warm up
        told_first = post_orders(served.address, 1, folder)
        served.settle()
        before = served.metrics()
        for _ in range(size.rounds):
            bare.append(post_orders(reference, size.load_secs, folder))
            told.append(post_orders(served.address, size.load_secs, folder))
            served.settle()
        after = served.metrics()
    accepted = told_first.accepted + sum(one.accepted for one in told)
    finished = count_finished(folder / "state")
    lost = max(0, accepted - finished)
    ours, theirs = spread([one.rate for one in told]), spread([one.rate for one in bare])
    ratio = ours.median / theirs.median
    webhook = Row(
        key="webhook",
        what="durable webhook: 202 after fsync, one condition, one step run and recorded",
        unit="/s",
        measured=ours,
        reference="bare aiohttp that stores nothing",
        beside=theirs,
        figure=ratio,
        aim="≥ 1.0 of it, nothing lost",
        passed=ratio >= 1.0 and lost == 0 and not any(one.others for one in told),
        facts={
            "client": client_name(),
            "body_bytes": len(BODY),
            "p50_ms": spread([one.p50_ms for one in told]).median,
            "p99_ms": spread([one.p99_ms for one in told]).median,
            "other_answers": sum(one.others for one in told),
            "answered_202": accepted,
            "finished_in_store": finished,
            "lost": lost,
            # What was on its way when the client hung up was accepted without being counted.
            "most_uncounted": CONNECTIONS * (size.rounds + 1),
        },
    )
    return [webhook, _lag_row(before, after)]


def count_finished(state: Path) -> int:
    """How many executions in a store have ended well."""
    with closing(sqlite3.connect(f"file:{state / 'reactor.db'}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM executions WHERE state = ?"
        count: int = database.execute(query, (State.OK.value,)).fetchone()[0]
        return count


def _lag_row(before: dict[str, float], after: dict[str, float]) -> Row:
    """The upper bound of the bucket in which 99 of 100 looks at the clock lie."""
    head = f'{LAG}_bucket{{le="'
    counts = {
        float(name.removeprefix(head).removesuffix('"}')): after[name] - before.get(name, 0)
        for name in after
        if name.startswith(head)
    }
    looks = round(max(counts.values(), default=0))
    bound = min((le for le, count in counts.items() if count >= looks * 0.99), default=0.0)
    return Row(
        key="webhook",
        what="event loop lag under that load, p99 (not above)",
        unit="ms",
        measured=spread([bound * 1000]),
        figure=bound * 1000,
        aim="< 10 ms",
        passed=bound <= 0.01,
        facts={"looks": looks},
    )
