"""Which files a trigger's `path` means, and what is there of them now."""

import os
import re
import stat
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path

from msgspec import Struct

WILD = re.compile(r"[*?\[]")
_EVERY_DEPTH = "**"


class Signature(Struct, frozen=True, array_like=True, gc=False):
    """What tells one state of a file from another, without reading it."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Found(Struct):
    """What a look found: files by path, and folders and files that could not be looked at."""

    files: dict[str, Signature]
    problems: dict[str, str]

    def unsure(self, path: str) -> bool:
        """Whether a file that was not found may be there all the same."""
        return any(
            path == place or ((not place or place.endswith("/")) and path.startswith(place))
            for place in self.problems
        )


def complaint(text: str) -> str | None:
    """What is wrong with a path as a pattern."""
    parts = text.split("/")
    if not parts[-1]:
        return f"a path ends with a file's name: {text}* means every file in the folder"
    if parts[-1] == "..":
        return "a path ends with a file's name, not with .."
    wild = next((at for at, part in enumerate(parts) if WILD.search(part)), len(parts))
    if ".." in parts[wild:]:
        return "after the first wildcard there may be no .."
    return None


class Pattern:
    """A path with wildcards, split into what is fixed and what is looked for.

    `below` is the part before the first wildcard: every path found lies below it. The author's
    links are followed there; in the part that is looked for links and hidden files are left out,
    for anybody who may write into the folder could have made them.
    """

    def __init__(self, text: str, base: str, *, recursive: bool = False) -> None:
        parts = text.split("/")
        wild = next((at for at, part in enumerate(parts) if WILD.search(part)), len(parts))
        self.literal = wild == len(parts) and not recursive
        fixed = min(wild, len(parts) - 1)
        self.shown = "".join(f"{part}/" for part in parts[:fixed])
        self.below = text if self.literal else self.shown or "./"
        self.folder = Path(base, self.shown)
        looked_for = [part for part in parts[fixed:] if part]
        if recursive and _EVERY_DEPTH not in looked_for:
            looked_for.insert(-1, _EVERY_DEPTH)
        self._parts = [_Part(part) for part in looked_for]
        self.deep = len(looked_for) > 1

    def place(self, path: str) -> Path:
        """Where the file is whose path below the folder this is."""
        return self.folder / path

    def watched(self) -> Path:
        """The folder whose changes are of interest."""
        if self.literal:
            return Path(os.path.realpath(self.place(self._parts[0].text))).parent
        return self.folder

    def look(self) -> Found:
        """Every regular file that the pattern means; blocks while it reads folders."""
        found = Found({}, {})
        if self.literal:
            self._look_at_one(found)
            return found
        folders = [("", _reach(self._parts, {0}))]
        while folders:
            inside, states = folders.pop()
            try:
                for entry in _entries(self.folder / inside):
                    self._take(entry, inside, states, found, folders)
            except (FileNotFoundError, NotADirectoryError):
                pass  # not there yet, or gone: so are its files
            except OSError as error:
                found.problems[inside] = error.strerror or str(error)
        return found

    def _take(
        self,
        entry: "os.DirEntry[str]",
        inside: str,
        states: set[int],
        found: Found,
        folders: list[tuple[str, set[int]]],
    ) -> None:
        parts, name = self._parts, entry.name
        matched = {at for at in states if parts[at].matches(name)}
        path = inside + name
        if entry.is_dir(follow_symlinks=False):
            last = len(parts) - 1
            inner = {at if parts[at].every_depth else at + 1 for at in matched if at < last}
            if inner:
                folders.append((f"{path}/", _reach(parts, inner)))
        elif len(parts) - 1 in matched and entry.is_file(follow_symlinks=False):
            try:
                path.encode()
                found.files[path] = signature(entry.stat(follow_symlinks=False))
            except UnicodeEncodeError:
                found.problems[path] = "the name is not UTF-8"
            except FileNotFoundError:
                pass

    def _look_at_one(self, found: Found) -> None:
        path = self._parts[0].text
        try:
            status = self.place(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            found.problems[path] = error.strerror or str(error)
            return
        if stat.S_ISREG(status.st_mode):
            found.files[path] = signature(status)
        elif stat.S_ISDIR(status.st_mode):
            found.problems[path] = f"is a folder: write {self.below}/* for the files in it"
        else:
            found.problems[path] = "is no regular file"


class _Part:
    """What stands between two slashes of a pattern."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.every_depth = text == _EVERY_DEPTH
        self._hidden = text.startswith(".")
        self._matches = re.compile(translate(text)).match

    def matches(self, name: str) -> bool:
        """Whether a name is meant; hidden ones only where the pattern begins with a dot."""
        return (self._hidden or not name.startswith(".")) and self._matches(name) is not None


def signature(status: os.stat_result) -> Signature:
    """The signature of a file."""
    return Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        yield from entries


def _reach(parts: list[_Part], states: set[int]) -> set[int]:
    """The places in a pattern at which a name may stand: `**` may also be nothing."""
    reached = set(states)
    for at in range(len(parts) - 1):
        if at in reached and parts[at].every_depth:
            reached.add(at + 1)
    return reached
