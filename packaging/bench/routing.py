"""What finding the flows that want an event costs when there are many flows."""

from pathlib import Path
from timeit import timeit

from msgspec.structs import replace

from conditions import load_flow
from load import ORDER
from measure import Row, Size, interleaved
from reactor.engine.router import Router, Surroundings, view_of
from reactor.model.event import Received
from reactor.model.flow import Flow

COUNTS = (1, 1_000, 10_000)
LOADED = load_flow('event.data.region == "r0"')
TIMES = 2_000
NOW_MS = 1_767_225_600_000


def rows(size: Size, folder: Path) -> list[Row]:
    """One row for each count beside the first; one flow of all wants the event."""
    flows = [_flow(number) for number in range(COUNTS[-1])]
    routers = [Router(flows[:count]) for count in COUNTS]
    spreads = interleaved(size.rounds * 2, *(lambda each=each: _nanosecs(each) for each in routers))
    return [
        Row(
            key="routing",
            what=f"routing an event among {count:,} flows",
            unit="ns",
            measured=found,
            reference="among one",
            beside=spreads[0],
            figure=found.median / spreads[0].median,
            aim="< 3 times that",
            passed=found.median < 3 * spreads[0].median,
            facts={"times_a_sample": TIMES},
        )
        for count, found in zip(COUNTS[1:], spreads[1:], strict=True)
    ]


def _flow(number: int) -> Flow:
    """A flow of its own region; made of one that was loaded, for loading has its own row."""
    condition = LOADED.only_if[0].part(f'event.data.region == "r{number}"')
    return replace(LOADED, name=f"orders-{number}", only_if=(condition,))


def _nanosecs(router: Router) -> float:
    received = Received(data={**ORDER, "region": "r0"}, type="order")
    view = view_of(received, source="event", event_id="evt_0", time_ms=NOW_MS)
    around = Surroundings({}, {})
    if len(router.route("event", view, around, NOW_MS)) != 1:
        raise AssertionError("one flow wants the event")
    return timeit(lambda: router.route("event", view, around, NOW_MS), number=TIMES) / TIMES * 1e9
