"""Hints that something below a folder has changed, whatever happens to the folder itself."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

_LOOK_SECS = 1.0
_LOG = logging.getLogger(__name__)


async def hints(
    folder: Path,
    *,
    quiet_secs: float,
    restless_secs: float,
    rescan_secs: float,
    recursive: bool = True,
) -> AsyncGenerator[None, None]:
    """Yield when something below a folder may have changed, and every `rescan_secs` anyway.

    The kernel's word is only a hint to look (it may be lost without notice). Changes are told once
    they are quiet for `quiet_secs`, after `restless_secs` at the latest. The folder may be missing,
    be replaced, or be a link. Runs until closed.
    """
    polling: bool | None = None
    awatch = await asyncio.to_thread(_library)
    while True:
        # What happened before the watch began is not told: look once now, and at its first turn.
        yield
        place, identity = _nearest(folder), _identity(folder)
        idle_secs = rescan_secs
        try:
            watched = awatch(
                place,
                recursive=recursive and place == folder,
                watch_filter=None,
                step=round(quiet_secs * 1000),
                debounce=round(restless_secs * 1000),
                rust_timeout=round(_LOOK_SECS * 1000),
                yield_on_timeout=True,
                force_polling=polling,
                ignore_permission_denied=True,
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


def _library() -> Any:
    """What watches; it brings a whole event library along, which READY need not wait for."""
    from watchfiles import awatch

    return awatch
