"""Changes of flow files are noticed, whatever happens to their folder."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from reactor.loading.watch import snapshot, watch

FLOW = "flow: a\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with one flow."""
    made = tmp_path / "flows"
    made.mkdir()
    (made / "a.yaml").write_text(FLOW)
    return made


class Watched:
    """A watch under way; `next` waits for the next signal."""

    def __init__(self, folder: Path, *, rescan_secs: float = 30.0) -> None:
        self._signals: asyncio.Queue[dict[str, tuple[int, ...]]] = asyncio.Queue()
        self._folder = folder
        self._rescan_secs = rescan_secs

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(
            watch(
                self._folder,
                lambda: self._signals.put_nowait(dict(snapshot(self._folder))),
                seen=snapshot(self._folder),
                quiet_secs=0.05,
                rescan_secs=self._rescan_secs,
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task], timeout=5)

    async def until(self, holds: Callable[[set[str]], bool]) -> set[str]:
        """The names of the flow files, once a signal came for which this holds."""
        while True:
            found = await asyncio.wait_for(self._signals.get(), 10)
            names = {str(Path(path).relative_to(self._folder)) for path in found}
            if holds(names):
                return names


def test_a_snapshot_has_only_flow_files(folder):
    """Yaml and yml count, at any depth; editors' leftovers and links to nowhere do not."""
    (folder / "sub").mkdir()
    (folder / "sub" / "b.yml").write_text(FLOW)
    for other in ("notes.txt", "a.yaml~", ".a.yaml.swp"):
        (folder / other).write_text("x")
    (folder / "lost.yaml").symlink_to("nowhere")

    assert set(snapshot(folder)) == {str(folder / "a.yaml"), str(folder / "sub" / "b.yml")}


def test_a_snapshot_of_nothing_is_empty(tmp_path):
    """A missing folder has no flow files."""
    assert snapshot(tmp_path / "none") == {}


def test_a_snapshot_tells_a_replaced_file(folder):
    """The same name, size and time with another inode is another file."""
    before = snapshot(folder)
    times = (folder / "a.yaml").stat()
    (folder / "new").write_text(FLOW)
    os.utime(folder / "new", ns=(times.st_atime_ns, times.st_mtime_ns))

    (folder / "new").replace(folder / "a.yaml")

    assert snapshot(folder) != before


async def test_a_changed_file_is_signalled(folder):
    """An edit, a new file and a deleted one each give a signal."""
    async with Watched(folder) as watched:
        (folder / "b.yaml").write_text(FLOW)
        assert await watched.until(lambda names: "b.yaml" in names)

        (folder / "a.yaml").unlink()
        assert await watched.until(lambda names: "a.yaml" not in names) == {"b.yaml"}


async def test_what_changed_before_the_watch_began_is_signalled(folder):
    """A change between loading and watching is not lost."""
    signalled = asyncio.Event()
    seen = snapshot(folder)
    (folder / "a.yaml").write_text(FLOW + "about: changed\n")

    task = asyncio.create_task(watch(folder, signalled.set, seen=seen))

    await asyncio.wait_for(signalled.wait(), 10)
    task.cancel()
    await asyncio.wait([task], timeout=5)


async def test_other_files_give_no_signal(folder):
    """Only the second write, of a flow file, is heard."""
    async with Watched(folder) as watched:
        (folder / "notes.txt").write_text("x")
        (folder / "b.yaml").write_text(FLOW)

        assert await watched.until(lambda _: True) == {"a.yaml", "b.yaml"}


async def test_a_folder_that_appears_later_is_watched(tmp_path):
    """The daemon may start before its flows folder, and the one above, are made."""
    folder = tmp_path / "etc" / "flows"
    async with Watched(folder) as watched:
        folder.mkdir(parents=True)
        (folder / "a.yaml").write_text(FLOW)
        assert await watched.until(lambda names: "a.yaml" in names)

        (folder / "b.yaml").write_text(FLOW)
        assert await watched.until(lambda names: "b.yaml" in names)


@pytest.mark.slow
async def test_a_folder_that_is_replaced_is_watched_anew(folder, tmp_path):
    """After a move away and a new folder of the same name, edits there are heard."""
    async with Watched(folder) as watched:
        new = tmp_path / "new"
        new.mkdir()
        (new / "b.yaml").write_text(FLOW)
        folder.rename(tmp_path / "old")
        new.rename(folder)
        assert await watched.until(lambda names: names == {"b.yaml"})

        (folder / "c.yaml").write_text(FLOW)
        assert await watched.until(lambda names: "c.yaml" in names)


@pytest.mark.slow
async def test_a_link_that_is_turned_is_followed(folder, tmp_path):
    """A flows folder may be a link; when it points elsewhere, that place is watched."""
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(folder)
    other.mkdir()
    (other / "b.yaml").write_text(FLOW)
    async with Watched(link) as watched:
        (folder / "c.yaml").write_text(FLOW)
        assert await watched.until(lambda names: "c.yaml" in names)

        (tmp_path / "turned").symlink_to(other)
        (tmp_path / "turned").rename(link)
        assert await watched.until(lambda names: names == {"b.yaml"})


@pytest.mark.slow
async def test_what_the_kernel_does_not_tell_is_found_by_looking(folder, tmp_path):
    """A file that changes behind a link, where nothing is watched, is noticed by the rescan."""
    (tmp_path / "elsewhere.yaml").write_text(FLOW)
    (folder / "b.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    async with Watched(folder, rescan_secs=1.0) as watched:
        (tmp_path / "elsewhere.yaml").write_text(FLOW + "about: changed\n")

        assert await watched.until(lambda _: True)
