"""From the command to READY, and what a daemon takes that does nothing."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from measure import Row, Size, interleaved, spread
from processes import daemon

ROOT = Path(__file__).parents[2]
BINARIES = {
    "one-file binary": (ROOT / "dist" / "reactor", 1.0),
    "one-folder binary": (ROOT / "dist" / "reactor-dir" / "reactor", 0.6),
}
FLOW = """\
flow: orders-{number}
about: Tells about large orders.
when:
  http: {{path: /orders/{number}, verify: none}}
only_if: event.body.total > 100
vars:
  who: ${{{{ event.body.customer.name }}}}
do:
  - id: lines
    map: {{over: event.body.lines, where: item.count > 1, to: "${{{{ item.sku }}}}"}}
  - log: ${{{{ vars.who }}}} ordered ${{{{ steps.lines.output | len }}}} lines
"""
FLOWS = {f"orders-{number}.yaml": FLOW.format(number=number) for number in range(10)}
IDLE_SECS = 1.0


def rows(size: Size, folder: Path) -> list[Row]:
    """The installed package, the binaries where they are built, and the idle memory."""
    found = [_row(size, folder / "installed", "installed package", None, 0.6)]
    for name, (path, limit_secs) in BINARIES.items():
        if path.exists():
            found.append(_row(size, folder / path.parent.name, name, [str(path)], limit_secs))
    return [*found, _memory(folder / "installed")]


def _row(
    size: Size, folder: Path, name: str, command: Sequence[str] | None, limit_secs: float
) -> Row:
    def ours() -> float:
        with daemon(folder, FLOWS, command) as served:
            return served.ready_secs

    first = ours()  # makes the store and what is kept beside it
    found, beside = interleaved(size.starts, ours, _start_python)
    return Row(
        key="start",
        what=f"start to READY with ten flows, {name}",
        unit="s",
        measured=found,
        reference="python -c pass",
        beside=beside,
        figure=found.median,
        aim=f"< {limit_secs} s",
        passed=found.median < limit_secs,
        facts={"first_start_secs": first},
    )


def _start_python() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def _memory(folder: Path) -> Row:
    with daemon(folder, FLOWS) as served:
        time.sleep(IDLE_SECS)
        resident, shared_in_part = served.memory_mb()
    return Row(
        key="start",
        what="idle memory (RSS) after READY with ten flows",
        unit="MB",
        measured=spread([resident]),
        figure=resident,
        aim="< 60 MB",
        passed=resident < 60,
        facts={"pss_mb": shared_in_part},
    )
