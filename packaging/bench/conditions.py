"""A condition as the router asks it, beside the same condition as plain Python."""

from pathlib import Path
from timeit import timeit
from typing import Any

from load import ORDER
from measure import Row, Size, interleaved
from reactor.loading.load import Loading, load_text
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog

CONDITION = 'event.data.total > 100 and event.data.customer.name == "Ada Lovelace"'
FLOW = """\
flow: orders
when:
  event: {{type: order}}
only_if: {condition}
do:
  - log: hello
"""
TIMES = 20_000


def rows(size: Size, folder: Path) -> list[Row]:
    """One row for a small event and one for a large one."""
    return [_row(size, 1), _row(size, 100)]


def load_flow(condition: str) -> Flow:
    """A flow with this condition."""
    text = FLOW.format(condition=condition)
    return load_text(text, "orders.yaml", Loading(catalog=Catalog())).flows[0]


def order_of(kilobytes: int) -> dict[str, Any]:
    """An order with a note that makes it about so large."""
    lines = [{"sku": f"AB-{number:04}", "note": "x" * 60} for number in range(kilobytes * 10)]
    return {**ORDER, "lines": lines}


def _row(size: Size, kilobytes: int) -> Row:
    condition = load_flow(CONDITION).only_if[0]
    names = {"event": {"data": order_of(kilobytes)}}
    if not (condition.test(names) and plain(names)):
        raise AssertionError("the condition holds for this order")

    def ours() -> float:
        return timeit(lambda: condition.test(names), number=TIMES) / TIMES * 1e9

    def theirs() -> float:
        return timeit(lambda: plain(names), number=TIMES) / TIMES * 1e9

    found, beside = interleaved(size.rounds * 2, ours, theirs)
    ratio = found.median / beside.median
    return Row(
        key="conditions",
        what=f"a condition on an event of {kilobytes} KB",
        unit="ns",
        measured=found,
        reference="the same as plain Python",
        beside=beside,
        figure=ratio,
        aim="≤ 3 times that",
        passed=ratio <= 3,
        facts={"condition": CONDITION, "times_a_sample": TIMES},
    )


def plain(names: dict[str, Any]) -> bool:
    """The condition as somebody would write it in Python."""
    data = names["event"]["data"]
    return bool(data["total"] > 100 and data["customer"]["name"] == "Ada Lovelace")
