"""Opens files for actions: who wrote a path decides what it may reach."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from msgspec import Struct

from reactor.errors import ActionFailed
from reactor.plugin.context import Files
from reactor.units import format_size, parse_size

LONGEST_FILE = parse_size("64MiB")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Never wait for the other end of a fifo, never take a terminal, never follow a link.
_CAREFUL = os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC


class Wanted(Struct, frozen=True):
    """A path, and the beginning of its text that no event data wrote."""

    path: str
    authored: str


class Target(Struct, frozen=True):
    """A place in an open folder: no link on the way to it can be swapped any more."""

    folder: int
    name: str
    path: str

    def failed(self, error: OSError) -> ActionFailed:
        """The failure for people."""
        return _failed(self.path, error)


@contextmanager
def open_target(wanted: Wanted, files: Files, *, create: bool = False) -> Iterator[Target]:
    """The folder of a path, opened; with `create` missing folders are made.

    A path of the flow's author is taken as it is. Where data wrote a part, that part stays below
    the folder that the author wrote before it, or below one of `files.roots`, and passes no link.
    Raises `ActionFailed` of kind `denied`, `file` or `type`.
    """
    start, parts = _split(wanted, files)
    if not parts:
        raise ActionFailed(f"{wanted.path}: is a folder", kind="file")
    with _opened(start, parts[:-1], wanted.path, create=create) as folder:
        yield Target(folder, parts[-1], wanted.path)


@contextmanager
def open_folder(wanted: Wanted, files: Files) -> Iterator[int]:
    """A folder to list, under the same rules."""
    start, parts = _split(wanted, files)
    with _opened(start, parts, wanted.path, create=False) as folder:
        yield folder


@contextmanager
def open_file(target: Target, flags: int = os.O_RDONLY) -> Iterator[int]:
    """An existing or new regular file; devices, fifos, sockets, folders and links are refused."""
    try:
        handle = os.open(target.name, flags | _CAREFUL, 0o666, dir_fd=target.folder)
    except OSError as error:
        raise target.failed(error) from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ActionFailed(f"{target.path}: is no regular file", kind="denied")
        yield handle
    finally:
        os.close(handle)


def read(target: Target) -> tuple[bytes, os.stat_result]:
    """All of a regular file of at most `LONGEST_FILE` bytes."""
    with open_file(target) as handle, os.fdopen(handle, "rb", closefd=False) as file:
        content = file.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise ActionFailed(
                f"{target.path}: is longer than {format_size(LONGEST_FILE)}; "
                "read it with a program of its own: shell: {args: […]}",
                kind="too_large",
            )
        return content, os.fstat(handle)


def write(target: Target, content: bytes) -> None:
    """Replace a file in one step: whoever reads sees the old one or the new one, whole."""
    with replacing(target) as handle:
        _write_all(handle, content)


def append(target: Target, content: bytes) -> int:
    """Add to a file's end and wait until it is on disk; the new size."""
    try:
        with open_file(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as handle:
            _write_all(handle, content)
            os.fsync(handle)
            return os.fstat(handle).st_size
    except OSError as error:
        raise target.failed(error) from error


@contextmanager
def replacing(target: Target) -> Iterator[int]:
    """A new file that takes the target's place, and its rights, when the block ends well."""
    temporary = f".reactor-{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CAREFUL
    try:
        mode = _mode_of(target)
        handle = os.open(temporary, flags, 0o666, dir_fd=target.folder)
        try:
            try:
                if mode is not None:
                    os.fchmod(handle, mode)
                yield handle
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, target.name, src_dir_fd=target.folder, dst_dir_fd=target.folder)
            os.fsync(target.folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=target.folder)
            raise
    except OSError as error:
        raise target.failed(error) from error


def regular(target: Target) -> os.stat_result | None:
    """What stands at the target, None if nothing does; refused if it is no regular file."""
    try:
        found = os.stat(target.name, dir_fd=target.folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise target.failed(error) from error
    if not stat.S_ISREG(found.st_mode):
        raise ActionFailed(f"{target.path}: is no regular file", kind="denied")
    return found


def _split(wanted: Wanted, files: Files) -> tuple[str, tuple[str, ...]]:
    """A trusted folder, and the parts below it that are entered with care."""
    path, base = wanted.path, PurePosixPath(files.base)
    if not path or "\0" in path:
        raise ActionFailed(f"{path!r} is no path", kind="type")
    if wanted.authored == path:
        # The author's links are followed: a path through one means what it leads to.
        real = PurePosixPath(os.path.realpath(base / path))
        return str(real.parent), (real.name,) if real.name else ()
    folder, slash, _ = wanted.authored.rpartition("/")
    starts = [PurePosixPath(root) for root in files.roots]
    if slash:
        starts.insert(0, base / (folder or slash))
    for start in starts:
        with suppress(ValueError):
            parts = (base / path).relative_to(start).parts
            if ".." not in parts:
                return str(start), parts
    raise ActionFailed(
        f"{path}: data may not choose this place: write a fixed folder before it, such as "
        "inbox/${{ … }}, or list the folder under files.roots in reactor.yaml",
        kind="denied",
    )


@contextmanager
def _opened(start: str, parts: tuple[str, ...], path: str, *, create: bool) -> Iterator[int]:
    """A folder, entered part by part without following links."""
    try:
        if create:
            Path(start).mkdir(parents=True, exist_ok=True)
        folder = os.open(start, _FOLDER)
        try:
            for part in parts:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folder)
                inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)
    except OSError as error:
        raise _failed(path, error) from error


def _write_all(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def _mode_of(target: Target) -> int | None:
    found = regular(target)
    return None if found is None else stat.S_IMODE(found.st_mode)


def _failed(path: str, error: OSError) -> ActionFailed:
    # What O_NOFOLLOW says of a link at the end.
    if error.errno == errno.ELOOP:
        return ActionFailed(f"{path}: data may not go through a link", kind="denied")
    return ActionFailed(f"{path}: {error.strerror or error}", kind="file")
