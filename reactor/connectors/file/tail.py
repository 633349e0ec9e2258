"""One log that grows and is rotated: its next whole lines. All of it blocks."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reactor.connectors.file.pattern import Signature, signature
from reactor.connectors.file.writers import written_now

LINES_AT_ONCE = 1000
LONGEST_LINE = 1 << 20
# A rotated log is left when it was quiet and closed for this long, or at last after so long.
QUIET_SECS = 1.0
LONGEST_REST_SECS = 60.0

_HEAD = 256
_GENERATION = re.compile(r"[.\-_](?=\d)")
_PACKED = re.compile(r"\.(gz|bz2|xz|zst|lz4|Z|zip)$")
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Place(Struct, frozen=True, array_like=True, gc=False):
    """How far a log is read: which file it was, and how that began.

    The digest of its first `head_size` bytes tells a file from another one that got its inode, and
    from what was written after it was cut to nothing; and it finds the copy made before the cut.
    """

    device: int
    inode: int
    offset: int = 0
    number: int = 0
    head_size: int = 0
    head: bytes = b""

    def is_of(self, found: Signature | None) -> bool:
        """Whether this is a place in that file."""
        return found is not None and (self.device, self.inode) == (found.device, found.inode)


class Line(Struct, frozen=True, gc=False):
    """A line without its end, and the place behind it; bytes where it is not UTF-8."""

    text: str | bytes
    number: int
    place: Place


class Read(Struct, frozen=True, kw_only=True):
    """What a look at a log gave.

    `more`: look again at once. `again_secs`: look again then, whatever happens. `moved`: it goes on
    in another file. `lost`: the rest of the last file is nowhere. `gone`: so is the log itself.
    """

    lines: tuple[Line, ...] = ()
    more: bool = False
    again_secs: float | None = None
    moved: bool = False
    lost: bool = False
    gone: bool = False


def start_of(found: Signature) -> Place:
    """The place before a file's first line."""
    return Place(found.device, found.inode)


def bases(path: str) -> Iterator[str]:
    """The logs of which this may be an older generation: `app.log` for `app.log.1`."""
    return (path[: mark.start()] for mark in _GENERATION.finditer(path))


class Tail:
    """A log by its path. The file read is the one of `place`, whatever it is called by now."""

    def __init__(self, path: Path, place: Place, *, follow_link: bool) -> None:
        self.place = place
        self._path = path
        self._flags = _FLAGS if follow_link else _FLAGS | os.O_NOFOLLOW
        self._follow_link = follow_link
        self._handle: int | None = None
        self._read_to: Signature | None = None
        self._rotated_secs: float | None = None
        self._quiet: tuple[int, float] | None = None

    def rests(self, here: Signature | None) -> bool:
        """Whether nothing has happened since the last whole look."""
        return here is not None and here == self._read_to and self.place.is_of(here)

    def close(self) -> None:
        """Give the open file back; it is found again by its inode."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def skip(self) -> None:
        """Go behind the last whole line that is there now."""
        handle = self._opened()
        if handle is None:
            return
        size, place = os.fstat(handle).st_size, self.place
        offset = number = at = 0
        while at < size and (data := os.pread(handle, min(LONGEST_LINE, size - at), at)):
            if (last := data.rfind(b"\n")) >= 0:
                offset, number = at + last + 1, number + data.count(b"\n")
            at += len(data)
        first = os.pread(handle, _HEAD, 0)
        self.place = _at(place, offset, number, first)

    def read(self, here: Signature | None, now_secs: float) -> Read:
        """The next whole lines; `here` is what stands at the log's path now."""
        handle = self._opened()
        if handle is None:
            if here is None:
                return Read(gone=True)
            self._go_to(start_of(here))
            return Read(more=True, moved=True, lost=True)
        data = os.pread(handle, LONGEST_LINE, self.place.offset)
        # Looked at after the data: what was read before a cut is not taken for what came after it.
        first = os.pread(handle, _HEAD, 0)
        status = os.fstat(handle)
        if not self._goes_on(first, status.st_size):
            whole = replace(self.place, offset=0, number=0, head_size=0, head=b"")
            self._go_to(self._copy() or whole)
            return Read(more=True, moved=True)
        lines, rest = _cut(data, self.place, first)
        if lines:
            self.place = lines[-1].place
            return Read(lines=lines, more=True)
        if self.place.is_of(here):
            self._read_to, self._rotated_secs = here, None
            return Read()
        return self._leave(here, status, rest, now_secs, first)

    def _leave(
        self,
        here: Signature | None,
        status: os.stat_result,
        rest: bytes,
        now_secs: float,
        first: bytes,
    ) -> Read:
        """The file has lost its name: go on in the next one when no more lines can come."""
        follower = self._next(status, here)
        if follower is None and status.st_nlink:
            return Read()  # renamed, and the new one is not there yet
        if self._rotated_secs is None:
            self._rotated_secs = now_secs
        if self._quiet is None or self._quiet[0] != status.st_size:
            self._quiet = status.st_size, now_secs
        waited_secs = now_secs - self._quiet[1]
        if now_secs - self._rotated_secs < LONGEST_REST_SECS and (
            waited_secs < QUIET_SECS or (status.st_dev, status.st_ino) in written_now()
        ):
            return Read(again_secs=max(QUIET_SECS - waited_secs, QUIET_SECS / 4))
        if rest:  # nobody will end this line
            place = self.place
            after = _at(place, place.offset + len(rest), place.number + 1, first)
            self.place = after
            return Read(lines=(Line(_text(rest), after.number, after),), more=True)
        if follower is None:
            return Read(gone=True)
        self._go_to(start_of(follower))
        return Read(more=True, moved=True)

    def _go_to(self, place: Place) -> None:
        self.close()
        self.place = place
        self._read_to = self._rotated_secs = self._quiet = None

    def _goes_on(self, first: bytes, size: int) -> bool:
        place = self.place
        return size >= place.offset and _digest(first[: place.head_size]) == place.head

    def _opened(self) -> int | None:
        """The file of the place, by the log's name or whichever it has now."""
        if self._handle is None:
            self._handle = self._open(self._file())
        if self._handle is None:
            for other, found in self._others():
                if self.place.is_of(found):
                    self._handle = self._open(other)
        return self._handle

    def _open(self, path: Path) -> int | None:
        try:
            handle = os.open(path, self._flags)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if self.place.is_of(signature(os.fstat(handle))):
            return handle
        os.close(handle)
        return None

    def _copy(self) -> Place | None:
        """The same place in the copy that was made before the log was cut."""
        place = self.place
        if not place.head_size:
            return None
        for other, found in self._generations():
            with suppress(OSError), other.open("rb") as file:
                head = file.read(place.head_size)
                if found.size >= place.offset and _digest(head) == place.head:
                    return replace(place, device=found.device, inode=found.inode)
        return None

    def _next(self, old: os.stat_result, here: Signature | None) -> Signature | None:
        """The generation after an old one: one that was rotated unseen, else what is here now."""
        later = [
            found
            for _, found in self._generations()
            if found.mtime_ns > old.st_mtime_ns and found != here and not self.place.is_of(found)
        ]
        return min(later, key=lambda found: found.mtime_ns, default=here)

    def _generations(self) -> Iterator[tuple[Path, Signature]]:
        name = self._file().name
        for path, found in self._others():
            if name in bases(path.name) and not _PACKED.search(path.name):
                yield path, found

    def _others(self) -> Iterator[tuple[Path, Signature]]:
        try:
            with os.scandir(self._file().parent) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        with suppress(FileNotFoundError):
                            yield Path(entry.path), signature(entry.stat(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return

    def _file(self) -> Path:
        return Path(os.path.realpath(self._path)) if self._follow_link else self._path


def _cut(data: bytes, place: Place, first: bytes) -> tuple[tuple[Line, ...], bytes]:
    """The whole lines in what was read behind a place, and the rest without an end."""
    lines: list[Line] = []
    at = 0
    while len(lines) < LINES_AT_ONCE and (end := data.find(b"\n", at)) >= 0:
        place = _at(place, place.offset + end + 1 - at, place.number + 1, first)
        lines.append(Line(_text(data[at:end]), place.number, place))
        at = end + 1
    if not lines and len(data) == LONGEST_LINE:  # a longer line comes in pieces
        piece = _at(place, place.offset + len(data), place.number, first)
        lines.append(Line(_text(data), place.number + 1, piece))
        at = len(data)
    return tuple(lines), data[at:]


def _at(place: Place, offset: int, number: int, first: bytes) -> Place:
    size = min(offset, len(first))
    head = place.head if size == place.head_size else _digest(first[:size])
    return Place(place.device, place.inode, offset, number, size, head)


def _digest(head: bytes) -> bytes:
    return hashlib.blake2b(head, digest_size=8).digest() if head else b""


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        return raw
