"""Says when flow files have changed, once they are quiet for a moment."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

SUFFIXES = (".yaml", ".yml")
LONGEST_RESTLESS_SECS = 2.0
_LOOK_SECS = 1.0
_LOG = logging.getLogger(__name__)

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
    async with aclosing(_hints(folder, quiet_secs, rescan_secs)) as hints:
        async for _ in hints:
            now = await asyncio.to_thread(snapshot, folder)
            if now != seen:
                seen = now
                changed()


async def _hints(folder: Path, quiet_secs: float, rescan_secs: float) -> AsyncGenerator[None, None]:
    polling: bool | None = None
    while True:
        # What happened before the watch began is not told: look once now, and at its first turn.
        yield
        place, identity = _nearest(folder), _identity(folder)
        idle_secs = rescan_secs
        try:
            watched = awatch(
                place,
                recursive=place == folder,
                watch_filter=None,
                step=round(quiet_secs * 1000),
                debounce=round(LONGEST_RESTLESS_SECS * 1000),
                rust_timeout=round(_LOOK_SECS * 1000),
                yield_on_timeout=True,
                force_polling=polling,
            )
            async with aclosing(watched) as batches:
                async for changes in batches:
                    if _identity(folder) != identity:
                        break
                    idle_secs += _LOOK_SECS
                    if changes or idle_secs >= rescan_secs:
                        idle_secs = 0.0
                        yield
        except FileNotFoundError:
            continue
        except OSError as error:
            if polling:
                raise
            # Out of inotify watches, or a file system without them.
            _LOG.warning("watching by polling", extra={"folder": str(folder), "error": str(error)})
            polling = True


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder it is now: another one with the same name has another identity."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next((place for place in (folder, *absolute.parents) if place.is_dir()), Path("/"))
