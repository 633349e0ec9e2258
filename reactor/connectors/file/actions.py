"""Files on this machine: read, write, move, list."""

import asyncio
import errno
import os
import shutil
import stat
from datetime import datetime
from typing import Annotated, Any, TypedDict

import msgspec

from reactor.clock import instant
from reactor.errors import ActionFailed
from reactor.plugin import files
from reactor.plugin.context import ActionContext
from reactor.plugin.files import Wanted, open_folder, open_target
from reactor.plugin.spec import Config, action, doc

_MOST_ENTRIES = 100_000


class At(Config, frozen=True):
    """One file or folder."""

    path: Annotated[
        str,
        doc(
            "Where it is; relative paths start at the flows' base.",
            "inbox/${{ event.data.name }}",
            strict=True,
            authored=True,
        ),
    ]


class Content(At, frozen=True):
    """One file and what goes into it."""

    text: Annotated[
        Any, doc("What to write: text or bytes; lists and maps are written as JSON.", "done\n")
    ]


class FromTo(Config, frozen=True, rename={"from_": "from"}):
    """Two places."""

    from_: Annotated[str, doc("The file as it is now.", "inbox/a.csv", strict=True, authored=True)]
    to: Annotated[
        str,
        doc(
            "Its new path; a file that is there is replaced.",
            "done/a.csv",
            strict=True,
            authored=True,
        ),
    ]


class Read(TypedDict):
    """What a file holds."""

    text: Annotated[str | None, doc("The content; null if it is not UTF-8.")]
    bytes: Annotated[bytes | None, doc("The content where it is not UTF-8, else null.")]
    size: Annotated[int, doc("Its length in bytes.")]
    mtime: Annotated[datetime, doc("When it was last changed.")]


class Written(TypedDict):
    """What was written."""

    path: Annotated[str, doc("The path as it was given.")]
    size: Annotated[int, doc("The file's length in bytes.")]


class Moved(TypedDict):
    """Where a file came to."""

    path: Annotated[str, doc("The new path.")]


class Deleted(TypedDict):
    """What was deleted."""

    deleted: Annotated[bool, doc("False if nothing was there.")]


class Listed(TypedDict):
    """One file of a folder."""

    path: Annotated[str, doc("The folder's path as it was given, and the name.")]
    name: Annotated[str, doc("The file's name.")]
    size: Annotated[int, doc("Its length in bytes.")]
    mtime: Annotated[datetime, doc("When it was last changed.")]


@action("file.read", examples=["file.read: {path: inbox/order.json}"])
async def file_read(config: At, context: ActionContext) -> Read:
    """Read a file of at most 64 MiB."""

    def read() -> Read:
        with open_target(_wanted("path", config.path, context), context.files) as target:
            content, found = files.read(target)
        try:
            text, rest = content.decode(), None
        except UnicodeDecodeError:
            text, rest = None, content
        return Read(text=text, bytes=rest, size=len(content), mtime=_mtime(found))

    return await asyncio.to_thread(read)


@action("file.write", examples=["file.write: {path: out/report.txt, text: '${{ vars.report }}'}"])
async def file_write(config: Content, context: ActionContext) -> Written:
    """Write a file in one step: readers see the old content or the new one, whole.

    It is on disk when the step ends. Missing folders are made.
    """
    content = _bytes(config.text)

    def write() -> Written:
        wanted = _wanted("path", config.path, context)
        with open_target(wanted, context.files, create=True) as target:
            files.write(target, content)
        return Written(path=config.path, size=len(content))

    return await asyncio.to_thread(write)


@action("file.append", examples=['file.append: {path: log.txt, text: "${{ event.body }}\\n"}'])
async def file_append(config: Content, context: ActionContext) -> Written:
    """Add to the end of a file; it is on disk when the step ends.

    A step that a crash interrupted runs again and may add twice; `once: true` prevents that.
    """
    content = _bytes(config.text)

    def append() -> Written:
        wanted = _wanted("path", config.path, context)
        with open_target(wanted, context.files, create=True) as target:
            return Written(path=config.path, size=files.append(target, content))

    return await asyncio.to_thread(append)


@action("file.move", examples=["file.move: {from: inbox/a.csv, to: done/a.csv}"])
async def file_move(config: FromTo, context: ActionContext) -> Moved:
    """Move or rename a file; one that is there is replaced, missing folders are made.

    A file that is no more where it was but at its new place counts as moved: a step that a crash
    interrupted runs again.
    """

    def move() -> Moved:
        with (
            open_target(_wanted("from", config.from_, context), context.files) as source,
            open_target(_wanted("to", config.to, context), context.files, create=True) as target,
        ):
            there = files.regular(target)
            if files.regular(source) is not None:
                _move(source, target)
            elif there is None:
                raise ActionFailed(f"{config.from_}: no such file", kind="file")
        return Moved(path=config.to)

    return await asyncio.to_thread(move)


@action("file.copy", examples=["file.copy: {from: inbox/a.csv, to: backup/a.csv}"])
async def file_copy(config: FromTo, context: ActionContext) -> Written:
    """Copy a file in one step; one that is there is replaced, missing folders are made."""

    def copy() -> Written:
        with (
            open_target(_wanted("from", config.from_, context), context.files) as source,
            open_target(_wanted("to", config.to, context), context.files, create=True) as target,
        ):
            return Written(path=config.to, size=_copy(source, target))

    return await asyncio.to_thread(copy)


@action("file.delete", examples=["file.delete: {path: inbox/a.csv}"])
async def file_delete(config: At, context: ActionContext) -> Deleted:
    """Delete a file; that it is gone already is fine."""

    def delete() -> Deleted:
        with open_target(_wanted("path", config.path, context), context.files) as target:
            if files.regular(target) is None:
                return Deleted(deleted=False)
            try:
                os.unlink(target.name, dir_fd=target.folder)
                os.fsync(target.folder)
            except OSError as error:
                raise target.failed(error) from error
        return Deleted(deleted=True)

    return await asyncio.to_thread(delete)


@action("file.list", examples=["file.list: {path: inbox}"])
async def file_list(config: At, context: ActionContext) -> list[Listed]:
    """The regular files of a folder, sorted by name; folders and links are left out."""

    def listed() -> list[Listed]:
        with (
            open_folder(_wanted("path", config.path, context), context.files) as folder,
            os.scandir(folder) as entries,
        ):
            found = [
                (entry.name, entry.stat(follow_symlinks=False))
                for entry in entries
                if entry.is_file(follow_symlinks=False)
            ]
        if len(found) > _MOST_ENTRIES:
            raise ActionFailed(
                f"{config.path}: has {len(found)} files, more than {_MOST_ENTRIES}",
                kind="too_large",
            )
        return [
            Listed(
                path=f"{config.path.rstrip('/')}/{name}",
                name=name,
                size=each.st_size,
                mtime=_mtime(each),
            )
            for name, each in sorted(found)
        ]

    return await asyncio.to_thread(listed)


def _wanted(field: str, path: str, context: ActionContext) -> Wanted:
    return Wanted(path, context.authored.get(field, ""))


def _move(source: files.Target, target: files.Target) -> None:
    try:
        try:
            os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(source, target)
            os.unlink(source.name, dir_fd=source.folder)
        os.fsync(target.folder)
        os.fsync(source.folder)
    except OSError as error:
        raise source.failed(error) from error


def _copy(source: files.Target, target: files.Target) -> int:
    with files.open_file(source) as old, files.replacing(target) as new:
        os.fchmod(new, stat.S_IMODE(os.fstat(old).st_mode))
        with (
            os.fdopen(old, "rb", closefd=False) as reader,
            os.fdopen(new, "wb", closefd=False) as writer,
        ):
            shutil.copyfileobj(reader, writer)
            return writer.tell()


def _bytes(value: Any) -> bytes:
    if value is None or isinstance(value, bytes):
        return value or b""
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def _mtime(found: os.stat_result) -> datetime:
    return instant(found.st_mtime_ns // 1_000_000)
