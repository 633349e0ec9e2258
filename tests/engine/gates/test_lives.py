"""Any order of deliver, crash and advance comes to the same end."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.lives import Lives

FLOWS = """
flow: rise
when: {event: {type: s}, key: event.data.k, becomes: event.data.v > 5, for: 20s, recovers: true}
do: [map: {to: "${{ event.key }} ${{ event.edge }} ${{ event.data.n }} ${{ event.last.data.n }}"}]
---
flow: silence
when: {event: {type: s}, key: event.data.k, absent: 50s, recovers: true}
do: [map: {to: "${{ event.key }} ${{ event.edge }} ${{ event.data.n }}"}]
---
flow: burst
when: {event: {type: s}, debounce: {quiet: 15s, max_wait: 40s, take: all}}
do: [map: {to: "${{ events | pluck('data.n') | join(',') }}"}]
---
flow: batch
when: {event: {type: s}, key: event.data.k, batch: {max: 3, within: 30s}}
do: [map: {to: "${{ events | pluck('data.n') | join(',') }}"}]
---
flow: number
when: {event: {type: s}, count: {min: 3, within: 30s}}
do: [map: {to: "${{ events | pluck('data.n') | join(',') }}"}]
---
flow: minute
when: {event: {type: s}, window: {every: 1m}}
do: [map: {to: "${{ events | pluck('data.n') | join(',') }} ${{ event.end }}"}]
---
flow: pair
when:
  join:
    within: 45s
    of:
      low: {event: {type: s}, only_if: event.data.v <= 5, key: event.data.k}
      high: {event: {type: s}, only_if: event.data.v > 5, key: event.data.k}
do: [map: {to: "${{ events.low.data.n }} ${{ events.high.data.n }}"}]
---
flow: pace
when: {event: {type: s}, remember: {last: event.data.n}, throttle: {max: 2, per: 30s}}
do: [map: {to: "${{ event.data.n }} ${{ now }}"}]
"""
Step = tuple[str, int] | int | None
STEPS = st.lists(
    st.one_of(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), st.integers(1, 60), st.none()),
    max_size=14,
)


@settings(max_examples=12, deadline=None)
@given(STEPS)
def test_crashes_change_nothing(steps):
    """With a crash wherever there is None the same executions come to the same results."""
    with TemporaryDirectory() as folder:
        quiet = asyncio.run(lived(Path(folder) / "quiet", [step for step in steps if step]))
        rough = asyncio.run(lived(Path(folder) / "rough", steps))

    assert rough == quiet


async def lived(folder: Path, steps: list[Step]) -> tuple[Any, Any]:
    """What came of it: for each flow the results in order, and what `state` holds."""
    number = 0
    async with Lives(folder, FLOWS) as lives:
        for step in [*steps, 300]:
            if step is None:
                await lives.crash()
            elif isinstance(step, int):
                await lives.world.advance(f"{step}s")
            else:
                number += 1
                key, value = step
                await lives.world.emit("s", {"k": key, "v": value, "n": number})
        found: dict[str, list[Any]] = {}
        for opened in await lives.story():
            done = [entry.value["output"] for entry in opened.journal if entry.kind == "done"]
            found.setdefault(opened.execution.flow, []).append((opened.execution.state.word, done))
        return {flow: sorted(each) for flow, each in found.items()}, dict(
            lives.engine.shared.committed
        )
