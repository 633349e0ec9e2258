"""Where the API listens: a socket in the state folder, however long its path is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The kernel holds 107 bytes of a socket's path; a folder's own descriptor is always short.
_LONGEST = 100


def socket_path(state: Path) -> Path:
    """The socket of the daemon that works in a state folder."""
    return state / "api.sock"


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A path to bind or connect to that the kernel takes; good while the context is open."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
