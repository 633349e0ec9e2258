"""Which files some process has open for writing, as far as this one may know."""

import os
import stat
from contextlib import suppress

_PROCESSES = "/proc"


def written_now() -> set[tuple[int, int]]:
    """Device and inode of files that are open for writing; blocks while it reads /proc.

    The kernel shows a daemon the files of its own user's processes, root those of all; where there
    is no /proc nothing is known. A lease (`F_SETLEASE`) would be exact for one file, but makes
    whoever opens it wait or fail at that moment, and cannot tell "open" from "not on this disk".
    """
    found: set[tuple[int, int]] = set()
    for process in _names(_PROCESSES):
        if not process.isdigit():
            continue
        opened = f"{_PROCESSES}/{process}/fd"
        for number in _names(opened):
            place = f"{opened}/{number}"
            with suppress(OSError):
                # The link's own rights say how the file was opened.
                if os.lstat(place).st_mode & stat.S_IWUSR:
                    status = os.stat(place)  # noqa: PTH116 - thousands at once
                    if stat.S_ISREG(status.st_mode):
                        found.add((status.st_dev, status.st_ino))
    return found


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are enough
    except OSError:
        return []
