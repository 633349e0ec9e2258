"""The source of files against a daemon's end that a test can look into, stop and start again."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from reactor.connectors.file.source import file
from tests.connectors.ears import Context, Ears, running

NOBODY = 65534


class Folder:
    """A base folder with `inbox` in it, and the source that watches it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.inbox = base / "inbox"
        self.inbox.mkdir()
        self.ears = Ears()
        self.context = Context(self.ears, base)

    def watched(
        self, path: str = "inbox/*.csv", **config: Any
    ) -> AbstractAsyncContextManager[Ears]:
        """The source at work, from its first look on."""
        return running(file, {"path": path, "settled": "50ms", **config}, self.context)

    def drop(self, name: str, text: str = "x\n") -> Path:
        """Put a whole file into the inbox."""
        path = self.inbox / name
        path.write_text(text)
        return path

    async def detail(self, fact: Callable[[str], Any]) -> None:
        """Return when the source says something."""
        await self.ears.until(lambda: fact(self.context.detail), "the detail")


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    """An empty inbox."""
    return Folder(tmp_path)


@pytest.fixture
async def plain_user(folder: Folder) -> AsyncIterator[None]:
    """Rights count for this test, also where root runs it."""
    if os.geteuid() != 0:
        yield
        return
    async with folder.watched("inbox/warm") as ears:  # what is imported late is now
        folder.drop("warm")
        await ears.until(lambda: ears.heard, "the source at work")
    with TemporaryDirectory() as open_to_all:  # the folders above the test's own are root's alone
        folder.base = Path(open_to_all)
        folder.inbox = folder.base / "inbox"
        folder.inbox.mkdir()
        for path in (folder.base, folder.inbox):
            os.chown(path, NOBODY, NOBODY)
        folder.ears = Ears()
        folder.context = Context(folder.ears, folder.base)
        os.seteuid(NOBODY)
        yield
        os.seteuid(0)
