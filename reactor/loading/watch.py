"""Says when flow files have changed, once they are quiet for a moment."""

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path

from reactor.plugin.watching import hints

SUFFIXES = (".yaml", ".yml")
LONGEST_RESTLESS_SECS = 2.0

Signature = tuple[int, int, int, int]
Snapshot = Mapping[str, Signature]


def snapshot(folder: Path) -> dict[str, Signature]:
    """Each flow file below the folder with its device, inode, size and time of change."""
    found: dict[str, Signature] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(SUFFIXES):
                continue
            path = os.path.join(place, name)  # noqa: PTH118 -- thousands of files, every time
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:  # gone again, or a link to nowhere
                continue
            found[path] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return found


async def watch(
    folder: Path,
    changed: Callable[[], None],
    *,
    seen: Snapshot | None = None,
    quiet_secs: float = 0.2,
    rescan_secs: float = 30.0,
) -> None:
    """Call `changed` when flow files differ from `seen`, the snapshot taken before loading.

    Runs until cancelled. The kernel's word is only a hint to look (it may be lost without notice);
    every `rescan_secs` it looks anyway. The folder may be missing, be replaced, or be a link.
    """
    seen = await asyncio.to_thread(snapshot, folder) if seen is None else seen
    looks = hints(
        folder, quiet_secs=quiet_secs, restless_secs=LONGEST_RESTLESS_SECS, rescan_secs=rescan_secs
    )
    async with aclosing(looks):
        async for _ in looks:
            now = await asyncio.to_thread(snapshot, folder)
            if now != seen:
                seen = now
                changed()
