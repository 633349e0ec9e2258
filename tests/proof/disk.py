"""The disk as a power cut leaves it: what a process did to its files, replayed up to a moment."""

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec import Struct, field

SOURCE = Path(__file__).with_name("disk.c")
SECTOR = 512  # what a disk writes whole
_HEAD = struct.Struct("<ciQI")


def compiled(folder: Path) -> Path:
    """The preload library, made by the system's compiler; without one the test skips aloud."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if os.environ.get("REACTOR_REQUIRE_BROKERS") == "1":
            pytest.fail("no C compiler: apt install gcc libc6-dev")
        pytest.skip("no C compiler, power cuts are not tried: apt install gcc libc6-dev")
    library = folder / "disk.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-lpthread"]
    subprocess.run(command, check=True)
    return library


class Change(Struct, frozen=True):
    """One thing that a process did to a file, by descriptor or by name."""

    operation: str
    number: int
    offset: int
    data: bytes


def changes(log: Path) -> list[Change]:
    """What the library wrote down; a record that was cut off is left out."""
    raw, place, found = log.read_bytes(), 0, []
    while place + _HEAD.size <= len(raw):
        operation, number, offset, length = _HEAD.unpack_from(raw, place)
        place += _HEAD.size
        data = b""
        if operation in b"OWRU":
            data = raw[place : place + length]
            place += length
        found.append(Change(operation.decode(), number, offset, data))
    return found


class Content(Struct, eq=False):
    """A file's bytes that are surely on the disk, and what may or may not be there."""

    kept: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut to a length
    begun: int = 0  # how many of them the sync under way covers

    def sync(self) -> None:
        """What was written before the sync began is on the disk."""
        for change in self.pending[: self.begun]:
            _put(self.kept, change)
        del self.pending[: self.begun]
        self.begun = 0


class Disk:
    """A folder's files, fed with changes in order; `image` is what a power cut may leave now.

    A name is durable after a sync of its folder, bytes after a sync of their file. What is not
    durable is there or not, each write by itself: as a disk that reorders its cache.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._names: dict[str, Content] = {}
        self._kept_names: dict[str, Content] = {}
        self._pending_names: list[tuple[str, Content | None]] = []
        self._opened: dict[int, Content | str] = {}
        self._begun_names = 0
        self.acknowledged = bytearray()

    def take(self, change: Change) -> None:
        """One more change."""
        match change.operation:
            case "O":
                self._open(change.number, self._name(change.data), cut=change.offset == 1)
            case "C":
                self._opened.pop(change.number, None)
            case "R":
                old, new = map(self._name, change.data.split(b"\0"))
                content = self._names.pop(old)
                self._names[new] = content
                self._pending_names += [(new, content), (old, None)]
            case "U":
                name = self._name(change.data)
                self._names.pop(name, None)
                self._pending_names.append((name, None))
            case _:
                self._change(change)

    def _change(self, change: Change) -> None:
        content = self._opened.get(change.number)
        if isinstance(content, str):  # a folder
            if change.operation == "B":
                self._begun_names = len(self._pending_names)
            elif change.operation == "S":
                self._sync_names(content)
        elif content is not None:
            match change.operation:
                case "W" if content is self._names.get("acknowledged"):
                    self.acknowledged += change.data
                case "W":
                    content.pending.append((change.offset, change.data))
                case "T":
                    content.pending.append((change.offset, None))
                case "B":
                    content.begun = len(content.pending)
                case "S":
                    content.sync()

    def _open(self, number: int, name: str, *, cut: bool) -> None:
        if name in ("", "blobs", "backups"):
            self._opened[number] = name
            return
        content = self._names.get(name)
        if content is None:
            content = self._names[name] = Content()
            self._pending_names.append((name, content))
        elif cut:
            content.pending.append((0, None))
        self._opened[number] = content

    def _sync_names(self, folder: str) -> None:
        done: list[tuple[str, Content | None]] = []
        later: list[tuple[str, Content | None]] = []
        for place, one in enumerate(self._pending_names):
            inside = one[0].rpartition("/")[0] == folder
            (done if inside and place < self._begun_names else later).append(one)
        _rename(self._kept_names, done)
        self._pending_names = later

    def _name(self, path: bytes) -> str:
        return path.decode().removeprefix(self._folder).lstrip("/")

    def image(self, chance: random.Random) -> Iterator[tuple[str, bytes]]:
        """One of the many states of the files that a power cut may leave."""
        mode = chance.choice(("drop", "all", "reorder", "reorder", "torn", "torn"))
        names = dict(self._kept_names)
        # A journaling file system keeps the order of names: some first ones of them are there.
        _rename(names, self._pending_names[: chance.randint(0, len(self._pending_names))])
        for name, content in names.items():
            if name.endswith((".db-shm", "lock", "ballast")):
                continue
            data = bytearray(content.kept)
            for change in content.pending:
                for part in _survives(change, mode, chance):
                    _put(data, part)
            yield name, bytes(data)


def lay_out(files: Iterator[tuple[str, bytes]], folder: Path) -> None:
    """Write an image into a new folder."""
    (folder / "blobs").mkdir(parents=True)
    for name, data in files:
        (folder / name).write_bytes(data)


def environment(library: Path, folder: Path, **more: str) -> Mapping[str, str]:
    """What a process needs to have its files below a folder watched."""
    return {"LD_PRELOAD": str(library), "PROOF_FOLDER": str(folder), **more}


def _survives(
    change: tuple[int, bytes | None], mode: str, chance: random.Random
) -> Iterator[tuple[int, bytes | None]]:
    if mode == "drop" or (mode in ("reorder", "torn") and chance.random() < 0.5):
        return
    offset, data = change
    if mode != "torn" or data is None or len(data) <= SECTOR:
        yield change
        return
    for start in range(0, len(data), SECTOR):
        if chance.random() < 0.5:
            yield offset + start, data[start : start + SECTOR]


def _put(data: bytearray, change: tuple[int, bytes | None]) -> None:
    offset, written = change
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    if written is None:
        del data[offset:]
    else:
        data[offset : offset + len(written)] = written


def _rename(names: dict[str, Content], pending: list[tuple[str, Content | None]]) -> None:
    for name, content in pending:
        if content is None:
            names.pop(name, None)
        else:
            names[name] = content
