"""The state folder: who owns it, what it holds, how much the disk has left."""

import fcntl
import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from reactor.clock import Clock
from reactor.errors import BadConfig, StorageFailed
from reactor.store.blobs import sync_folder

_BALLAST_BYTES = 16 << 20  # what the log holds at most when it is written back
# Taken only when there is plenty, so that it is there for the next time.
_PLENTY = 256 << 20
_LOG = logging.getLogger(__name__)


class Folder:
    """One state folder, locked for this process as long as it is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "reactor.db"
        self.blobs = path / "blobs"
        self.backups = path / "backups"
        try:
            for folder in (path, self.blobs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise BadConfig(
                f"state folder '{path}' cannot be used: {error.strerror}; "
                "name a folder that this user may write with --state"
            ) from error
        self._take_lock()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._lock, 20).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise BadConfig(
                f"state folder '{self.path}' is in use by process {owner}: "
                "stop it, or name another folder with --state"
            ) from error
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._lock)

    def note_failure(self) -> None:
        """The disk fails: let the next run know, if that much works."""
        with suppress(OSError):
            (self.path / "disk-failed").touch()

    def take_failure(self) -> bool:
        """Whether the last run noted that the disk failed; from now on it did not."""
        with suppress(FileNotFoundError):
            (self.path / "disk-failed").unlink()
            return True
        return False

    def backup_hint(self) -> str:
        """The newest copy that was made of this store, in words."""
        copies = sorted(self.backups.glob("*/reactor.db"), key=lambda copy: copy.stat().st_mtime)
        if not copies:
            return "no backup copy is in this folder"
        return f"the newest backup copy here is '{copies[-1].parent}'"


class Space:
    """What the disk has left, looked at once a second at most, and a ballast for its last moment.

    All methods belong to the writer's thread; `free_bytes` may be read from any.
    """

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self.free_bytes: int | None = None
        self._folder = folder
        self._clock = clock
        self._looked_secs = float("-inf")

    @property
    def stale(self) -> bool:
        """Whether the last look was more than a second ago."""
        return self._clock.monotonic_secs() - self._looked_secs >= 1

    def look(self) -> None:
        """Ask the file system."""
        self._looked_secs = self._clock.monotonic_secs()
        if self._folder is None:
            return
        status = os.statvfs(self._folder)
        self.free_bytes = status.f_bavail * status.f_frsize

    def lay_in(self) -> None:
        """Make the ballast again if it is gone and the last look saw plenty of room."""
        if self._folder is None or self.free_bytes is None or self.free_bytes < _PLENTY:
            return
        ballast = self._folder / "ballast"
        if not ballast.exists():
            _lay_in(ballast)

    def release(self) -> bool:
        """Give the ballast to the disk; whether there was one."""
        if self._folder is None:
            return False
        with suppress(FileNotFoundError):
            (self._folder / "ballast").unlink()
            sync_folder(self._folder)
            return True
        return False


def fails(error: BaseException | None) -> bool:
    """Whether an error is the disk's, and not one of what was to be stored."""
    io_error = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
    return isinstance(error, OSError) or io_error


def unreadable(error: Exception) -> StorageFailed:
    """What is told of a read that failed; its cause says whether it was the disk."""
    failure = StorageFailed(f"the store cannot be read: {error}")
    failure.__cause__ = error
    return failure


def _lay_in(path: Path) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(number, 0, _BALLAST_BYTES)
    except OSError as error:
        _LOG.warning("no ballast for a full disk", extra={"file": str(path), "error": str(error)})
        path.unlink()
    finally:
        os.close(number)
