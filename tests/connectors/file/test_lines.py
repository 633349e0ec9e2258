"""Logs that grow and are rotated: each whole line once, in order."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.connectors.file.conftest import Crashed


class Log:
    """A log that a program writes and rotates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.numbers = count(1)
        self.written: list[str] = []
        self.rotations = 0

    def write(self, lines: int = 1) -> None:
        """Add whole lines."""
        new = [f"line {next(self.numbers)}" for _ in range(lines)]
        self.written += new
        with self.path.open("a") as file:
            file.write("".join(f"{line}\n" for line in new))

    def rename(self) -> None:
        """Rotate as logrotate does by default: every generation one further, a new file."""
        for number in range(self.rotations, 0, -1):
            Path(f"{self.path}.{number}").rename(f"{self.path}.{number + 1}")
        self.path.rename(f"{self.path}.1")
        self.rotations += 1
        self.path.touch()

    def copy(self) -> None:
        """Rotate as logrotate does with `copytruncate`."""
        shutil.copyfile(self.path, f"{self.path}.1")
        os.truncate(self.path, 0)


@pytest.fixture
def log(folder) -> Log:
    """A log of the inbox that is not there yet."""
    return Log(folder.inbox / "app.log")


def watched(folder, **config):
    """Every log of the inbox, followed."""
    return folder.watched(**{"path": "inbox/*.log", "lines": True, **config})


async def test_each_new_line_is_an_event(folder, log):
    """With its file and its number, without its end."""
    async with watched(folder) as ears:
        log.path.write_bytes(b"one\ntwo\r\n")
        await ears.until(lambda: len(ears.heard) == 2, "two lines")

    assert ears.data == ["one", "two"]
    assert [one.fields for one in ears.heard] == [
        {"path": "inbox/app.log", "number": 1, "below": "inbox/"},
        {"path": "inbox/app.log", "number": 2, "below": "inbox/"},
    ]


async def test_half_a_line_waits_for_its_end(folder, log):
    """What has no newline yet is not told."""
    async with watched(folder) as ears:
        log.path.write_text("whole\nhal")
        await ears.until(lambda: ears.heard, "the whole line")
        (folder.inbox / "other.log").write_text("other\n")
        await ears.until(lambda: len(ears.heard) == 2, "a line of another log")
        with log.path.open("a") as file:
            file.write("f\n")
        await ears.until(lambda: len(ears.heard) == 3, "the other half")

    assert ears.data == ["whole", "other", "half"]


async def test_many_lines_come_in_batches(folder, log):
    """Thousands of lines are a few commits."""
    log.write(20_000)

    async with watched(folder) as ears:
        await ears.until(lambda: len(ears.heard) == 20_000, "all lines")

    assert ears.data == log.written
    assert len(ears.batches) == 20


@pytest.mark.parametrize("pattern", ["inbox/*.log", "inbox/*", "inbox/app.log"])
@pytest.mark.parametrize("rotate", [Log.rename, Log.copy])
async def test_rotation_loses_and_doubles_no_line(folder, log, rotate, pattern):
    """Lines written right before and after a rotation come once, in order, whatever is watched."""
    async with watched(folder, path=pattern) as ears:
        log.write(50)
        await ears.until(lambda: len(ears.heard) >= 50, "the first lines")
        log.write(30)
        rotate(log)
        log.write(30)
        await ears.until(lambda: len(ears.heard) >= 110, "the lines around the rotation")
        log.write(5)
        rotate(log)
        log.write(5)
        await ears.until(lambda: len(ears.heard) >= 120, "the lines around the next one")

    assert ears.data == log.written
    assert set(ears.places) == {"app.log"}


async def test_a_writer_that_goes_on_in_the_old_file_is_heard(folder, log):
    """As long as somebody has the renamed file open its lines are read before the new file's."""
    log.write()
    async with watched(folder) as ears:
        await ears.until(lambda: len(ears.heard) == 1, "the first line")
        with log.path.open("a", buffering=1) as slow:
            log.rename()
            log.path.write_text("new\n")
            slow.write("late\n")
            await ears.until(lambda: len(ears.heard) == 2, "the late line")
            slow.write("later\n")
            await ears.until(lambda: len(ears.heard) == 3, "the next late line")
        await ears.until(lambda: len(ears.heard) == 4, "the new file's line")

    assert ears.data == ["line 1", "late", "later", "new"]


@pytest.mark.parametrize("rotate", [Log.rename, Log.copy])
async def test_a_rotation_while_nobody_looks_loses_no_line(folder, log, rotate):
    """The rest of the old file is found by what it is, not by its name."""
    log.write(10)
    async with watched(folder) as ears:
        await ears.until(lambda: len(ears.heard) == 10, "the first lines")
    log.write(10)
    rotate(log)
    log.write(25)

    async with watched(folder):
        await ears.until(lambda: len(ears.heard) >= 45, "all lines")

    assert ears.data == log.written


async def test_two_rotations_while_nobody_looks_lose_no_line(folder, log):
    """A generation that was never seen is read too."""
    log.write(10)
    async with watched(folder) as ears:
        await ears.until(lambda: len(ears.heard) == 10, "the first lines")
    for seconds in (30, 20):
        log.write(10)
        moment = log.path.stat().st_mtime - seconds
        os.utime(log.path, (moment, moment))
        log.rename()
    log.write(10)

    async with watched(folder):
        await ears.until(lambda: len(ears.heard) >= 40, "all lines")

    assert ears.data == log.written


async def test_lines_go_on_where_they_were(folder, log):
    """A crash after the commit and before the answer doubles nothing."""
    log.write(1500)
    folder.ears.crash_after = 1
    with pytest.raises(Crashed):
        async with watched(folder) as ears:
            await ears.until(lambda: ears.ended, "the crash")
    heard = len(folder.ears.heard)
    log.write(10)

    async with watched(folder) as ears:
        await ears.until(lambda: len(ears.heard) >= 1510, "all lines")

    assert heard == 1000
    assert ears.data == log.written


async def test_what_was_there_passes_by_once(folder, log):
    """With `existing: false` the first start begins at the end, with whole lines, numbers kept."""
    log.write(3)
    with log.path.open("a") as file:
        file.write("ha")
    async with watched(folder, existing=False) as ears:
        with log.path.open("a") as file:
            file.write("lf\n")
        await ears.until(lambda: ears.heard, "the line that was not whole")
    log.write()
    (folder.inbox / "new.log").write_text("new\n")

    async with watched(folder, existing=False):
        await ears.until(lambda: len(ears.heard) >= 3, "the lines of the time between")

    assert ears.data[0] == "half"
    assert ears.heard[0].fields["number"] == 4
    assert sorted(ears.data[1:]) == ["line 4", "new"]


async def test_lines_that_no_flow_wants_are_not_read_for_ever(folder, log):
    """Their place is stored too, if not at once."""
    folder.ears.wanted = lambda _: False
    async with watched(folder) as ears:
        log.write(3)
        await ears.until(lambda: "app.log" in ears.places, "the place")

    assert ears.places["app.log"][2] == log.path.stat().st_size
    assert ears.heard == []


async def test_a_log_with_another_name_goes_on(folder, log):
    """Its lines are not new because its name is."""
    log.write(3)
    async with watched(folder) as ears:
        await ears.until(lambda: len(ears.heard) == 3, "the first lines")
        log.path = log.path.rename(folder.inbox / "renamed.log")
        log.write()
        await ears.until(lambda: len(ears.heard) >= 4, "the line under the new name")
        await ears.until(lambda: set(ears.places) == {"renamed.log"}, "the new place")

    assert ears.data == log.written


async def test_a_deleted_log_is_read_to_its_end_and_forgotten(folder, log):
    """The last line comes though it has no newline; the next file begins anew."""
    log.write()
    async with watched(folder) as ears:
        await ears.until(lambda: len(ears.heard) == 1, "the first line")
        with log.path.open("a") as file:
            file.write("line 2\nlast words")
        log.path.unlink()
        await ears.until(lambda: len(ears.heard) == 3, "the last words")
        await ears.until(lambda: ears.places == {}, "it is forgotten")
        log.path.write_text("anew\n")
        await ears.until(lambda: len(ears.heard) == 4, "the next file")

    assert ears.data == ["line 1", "line 2", "last words", "anew"]
    assert ears.heard[3].fields["number"] == 1


async def test_a_line_that_is_no_text_goes_to_the_dead_letters(folder, log):
    """As bytes and with the reason; the lines around it are told."""
    async with watched(folder) as ears:
        log.path.write_bytes(b"a\n\xff\xfe\nb\n")
        await ears.until(lambda: len(ears.heard) == 3, "three lines")

    assert ears.data == ["a", b"\xff\xfe", "b"]
    assert [one.undecodable for one in ears.heard] == [None, "the line is not UTF-8", None]


async def test_a_line_over_a_mebibyte_comes_in_pieces(folder, log):
    """No line can fill the memory."""
    async with watched(folder) as ears:
        log.path.write_text("x" * (2 << 20) + "y\nz\n")
        await ears.until(lambda: len(ears.heard) == 4, "three pieces and a line")

    assert [len(line) for line in ears.data] == [1 << 20, 1 << 20, 1, 1]
    assert [one.fields["number"] for one in ears.heard] == [1, 1, 1, 2]


async def test_a_log_that_cannot_be_read_is_shown(folder, plain_user):
    """The others go on; it is read when that is allowed."""
    closed = folder.drop("closed.log", "closed\n")
    closed.chmod(0)
    async with watched(folder) as ears:
        opened = folder.drop("open.log", "open\n")
        await ears.until(lambda: ears.heard, "the other log")
        await folder.detail(lambda detail: "inbox/closed.log: Permission denied" in detail)
        closed.chmod(0o600)
        with opened.open("a") as more:  # writing it whole would cut it to nothing first
            more.write("more\n")
        await ears.until(lambda: len(ears.heard) == 3, "both")

    assert sorted(ears.data) == ["closed", "more", "open"]


@pytest.fixture
def writer(folder) -> Iterator["subprocess.Popen[bytes]"]:
    """A shell that writes 3,000 lines and rotates five times without a pause between."""
    script = """
        until test -e start; do :; done
        n=0
        for round in 1 2 3 4 5 6; do
            for i in $(seq 500); do n=$((n+1)); echo "line $n" >> app.log; done
            test $round = 6 && break
            for g in 4 3 2 1; do test -e app.log.$g && mv app.log.$g app.log.$((g+1)); done
            mv app.log app.log.1
        done
    """
    process = subprocess.Popen(["bash", "-c", script], cwd=folder.inbox)
    yield process
    process.kill()
    process.wait()


async def test_lines_written_while_logs_turn_come_once_and_in_order(folder, writer):
    """A writer in another process that never waits for the reader loses nothing."""
    async with watched(folder) as ears:
        folder.drop("app.log", "line 0\n")
        await ears.until(lambda: ears.heard, "the first line")
        folder.drop("start")
        await ears.until(lambda: len(ears.heard) >= 3001, "all lines")
        assert await asyncio.to_thread(writer.wait, 30) == 0

    assert ears.data == [f"line {number}" for number in range(3001)]
