"""Values too large for a row: files of their own, on disk before the commit that names them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from reactor.failpoints import reach

LARGEST_IN_ROW = 1 << 20
_UNFINISHED = ".new"


class Blobs:
    """The files of one folder.

    `keep`, `settle` and `ended` belong to the writer's thread, the rest to any. `settle` comes
    before the commit: each file is written, synchronised and renamed, then the folder is
    synchronised. So a row never names a file that is not there, while a crash may leave a file
    that no row names.
    """

    def __init__(self, folder: Path | None) -> None:
        self.bytes = 0  # how much room the files take
        self._folder = folder
        if folder is not None:
            self.bytes = sum(path.stat().st_size for path in folder.iterdir())
        self._unsettled: dict[str, bytes] = {}
        self._of_open: dict[int, list[str]] = {}
        self._lock = Lock()
        self._holders = 0
        self._waiting: list[str] = []

    def keep(self, name: str, data: bytes, execution: int | None = None) -> bytes | str:
        """What the row holds: the name of the file that `settle` writes, or, in memory, the data.

        A file that belongs to an open execution is remembered until `ended` takes it.
        """
        if self._folder is None:
            return data
        self._unsettled[name] = data
        if execution is not None:
            self._of_open.setdefault(execution, []).append(name)
        return name

    @property
    def unsettled(self) -> bool:
        """Whether files wait for `settle`."""
        return bool(self._unsettled)

    def settle(self) -> None:
        """Put what was kept since the last time on disk; may be called again after an OSError."""
        if not self._unsettled or self._folder is None:
            return
        for name, data in self._unsettled.items():
            temporary = self._folder / f"{name}{_UNFINISHED}"
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            reach("before a file gets its name")
            temporary.rename(self._folder / name)
            self.bytes += len(data)
        sync_folder(self._folder)
        self._unsettled = {}

    def read(self, value: bytes | str) -> bytes:
        """The data of a row's value; FileNotFoundError if its row went meanwhile."""
        if isinstance(value, bytes):
            return value
        if self._folder is None:
            raise FileNotFoundError(value)
        return (self._folder / value).read_bytes()

    def ended(self, execution: int) -> list[str]:
        """The files of an execution's records, which nothing names once it has ended."""
        return self._of_open.pop(execution, []) if self._of_open else []

    def remove(self, names: Iterable[str]) -> None:
        """Delete files that no committed row names any more."""
        if self._folder is None:
            return
        with self._lock:
            if self._holders:
                self._waiting.extend(names)
                return
        for name in names:
            self._delete(self._folder / name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every file while the context is open, for a copy that is being made."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                waiting, self._waiting = self._waiting, []
            self.remove(waiting)

    def names(self) -> list[str]:
        """All finished files; unfinished ones of a crash are deleted."""
        if self._folder is None:
            return []
        for unfinished in self._folder.glob(f"*{_UNFINISHED}"):
            self._delete(unfinished)
        return sorted(path.name for path in self._folder.iterdir())

    def remember(self, execution: int, name: str) -> None:
        """Note after a restart that a file belongs to an open execution."""
        self._of_open.setdefault(execution, []).append(name)

    def copy_to(self, target: Path) -> None:
        """Bring the files that the target folder lacks."""
        if self._folder is None:
            return
        for path in sorted(self._folder.iterdir()):
            copy = target / path.name
            if path.suffix == _UNFINISHED or copy.exists():
                continue
            copy.write_bytes(path.read_bytes())
            with copy.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(target)

    def _delete(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            self.bytes -= size


def sync_folder(folder: Path) -> None:
    """Make new and renamed files of a folder survive a power cut."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
