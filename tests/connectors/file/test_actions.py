"""The `file.…` actions on real files."""

import os
import stat

import pytest

from reactor.clock import to_ms
from reactor.connectors.file.actions import (
    file_append,
    file_copy,
    file_delete,
    file_list,
    file_move,
    file_read,
    file_write,
)
from reactor.errors import ActionFailed
from reactor.plugin import files
from reactor.plugin.context import Files


async def test_a_file_is_read(attempt, tmp_path):
    """Text comes as text, with size and time."""
    (tmp_path / "a.txt").write_text("grün")
    os.utime(tmp_path / "a.txt", ns=(0, 1_500_000_000))

    output = await attempt.do(file_read, {"path": "a.txt"})

    assert (output["text"], output["bytes"], output["size"]) == ("grün", None, 5)
    assert to_ms(output["mtime"]) == 1500


async def test_bytes_are_read(attempt, tmp_path):
    """What is not UTF-8 comes as bytes."""
    (tmp_path / "a.bin").write_bytes(b"\xff\x00")

    output = await attempt.do(file_read, {"path": str(tmp_path / "a.bin")})

    assert (output["text"], output["bytes"]) == (None, b"\xff\x00")


@pytest.mark.parametrize(
    ("value", "content"),
    [("grün", "grün".encode()), (b"\xff", b"\xff"), ({"a": [1]}, b'{"a":[1]}'), (None, b"")],
)
async def test_a_file_is_written(attempt, tmp_path, value, content):
    """Text, bytes and values are written, and missing folders made."""
    output = await attempt.do(file_write, {"path": "out/deep/a.txt", "text": value})

    assert (tmp_path / "out/deep/a.txt").read_bytes() == content
    assert output == {"path": "out/deep/a.txt", "size": len(content)}
    assert [each.name for each in (tmp_path / "out/deep").iterdir()] == ["a.txt"]


async def test_a_written_file_keeps_its_rights(attempt, tmp_path):
    """Replacing a file does not change who may read it."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)

    await attempt.do(file_write, {"path": "a", "text": "new"})

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert (tmp_path / "a").read_text() == "new"


async def test_a_reader_keeps_the_old_file(attempt, tmp_path):
    """A file is replaced, never changed under a reader."""
    (tmp_path / "a").write_text("old and long")
    with (tmp_path / "a").open() as reader:
        await attempt.do(file_write, {"path": "a", "text": "new"})

        assert reader.read() == "old and long"


async def test_text_is_appended(attempt, tmp_path):
    """Appending makes the file, then adds to its end."""
    await attempt.do(file_append, {"path": "logs/a.txt", "text": "one\n"})
    output = await attempt.do(file_append, {"path": "logs/a.txt", "text": "two\n"})

    assert (tmp_path / "logs/a.txt").read_text() == "one\ntwo\n"
    assert output["size"] == 8


async def test_a_file_is_moved_once(attempt, tmp_path):
    """Moving again after a crash finds the file moved; a file that is nowhere is an error."""
    (tmp_path / "a").write_text("x")

    first = await attempt.do(file_move, {"from": "a", "to": "done/a"})
    second = await attempt.do(file_move, {"from": "a", "to": "done/a"})
    with pytest.raises(ActionFailed, match="no such file"):
        await attempt.do(file_move, {"from": "b", "to": "done/b"})

    assert first == second == {"path": "done/a"}
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "done/a").read_text() == "x"


async def test_a_file_is_copied(attempt, tmp_path):
    """A copy has the content and the rights; the original stays."""
    (tmp_path / "a").write_text("x" * 100_000)
    (tmp_path / "a").chmod(0o750)

    output = await attempt.do(file_copy, {"from": "a", "to": "b/c"})

    assert output == {"path": "b/c", "size": 100_000}
    assert (tmp_path / "b/c").read_text() == (tmp_path / "a").read_text()
    assert stat.S_IMODE((tmp_path / "b/c").stat().st_mode) == 0o750


async def test_a_file_is_deleted_once(attempt, tmp_path):
    """Deleting what is gone is fine."""
    (tmp_path / "a").write_text("x")

    first = await attempt.do(file_delete, {"path": "a"})
    second = await attempt.do(file_delete, {"path": "a"})

    assert (first, second) == ({"deleted": True}, {"deleted": False})


async def test_a_folder_is_listed(attempt, tmp_path):
    """Regular files by name; folders and links are left out."""
    (tmp_path / "in/folder").mkdir(parents=True)
    (tmp_path / "in/b").write_text("bb")
    (tmp_path / "in/a").write_text("a")
    (tmp_path / "in/link").symlink_to("a")

    output = await attempt.do(file_list, {"path": "in/"})

    assert [(each["path"], each["name"], each["size"]) for each in output] == [
        ("in/a", "a", 1),
        ("in/b", "b", 2),
    ]


@pytest.mark.parametrize("action", [file_read, file_delete, file_list])
@pytest.mark.parametrize(
    ("path", "authored"),
    [
        ("inbox/../secret", "inbox/"),
        ("inbox/sub/../../secret", "inbox/"),
        ("inbox/re-../../secret", "inbox/re-"),
        ("/etc/passwd", ""),
        ("secret", ""),
        ("inbox/x", "inb"),
        ("inbox/link", "inbox/"),
        ("inbox/out/secret", "inbox/"),
        ("inbox/../inbox/a", "inbox/"),
    ],
)
async def test_data_does_not_climb_out(attempt, tmp_path, action, path, authored):
    """Data fills only what stands behind the author's folder, and passes no link."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox/a").write_text("a")
    (tmp_path / "secret").write_text("s")
    (tmp_path / "inbox/link").symlink_to(tmp_path / "secret")
    (tmp_path / "inbox/out").symlink_to(tmp_path)

    with pytest.raises(ActionFailed) as raised:
        await attempt.do(action, {"path": path}, data={"path": authored})

    assert raised.value.kind in ("denied", "file")
    assert not raised.value.transient
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize("action", [file_write, file_append])
@pytest.mark.parametrize("path", ["inbox/link", "inbox/out/new", "inbox/../new", "inbox/fifo"])
async def test_data_does_not_write_elsewhere(attempt, tmp_path, action, path):
    """Links, `..` and fifos do not lead a written file out of its folder."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "inbox/link").symlink_to(tmp_path / "secret")
    (tmp_path / "inbox/out").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "inbox/fifo")

    with pytest.raises(ActionFailed):
        await attempt.do(action, {"path": path, "text": "x"}, data={"path": "inbox/"})

    assert (tmp_path / "secret").read_text() == "s"
    assert not (tmp_path / "new").exists()


async def test_data_fills_the_rest(attempt, tmp_path):
    """Behind the author's folder data may name files and folders."""
    await attempt.do(
        file_write, {"path": "inbox/eu/7.json", "text": {"id": 7}}, data={"path": "inbox/"}
    )
    output = await attempt.do(file_read, {"path": "inbox/eu/7.json"}, data={"path": "inbox/eu"})

    assert output["text"] == '{"id":7}'


async def test_an_authors_dots_are_fine(attempt, tmp_path):
    """The author may write .. before the data."""
    (tmp_path / "base").mkdir()
    (tmp_path / "a").write_text("x")
    attempt.files = Files(base=str(tmp_path / "base"))

    output = await attempt.do(file_read, {"path": "../a"}, data={"path": "../"})

    assert output["text"] == "x"


async def test_roots_are_for_data_too(attempt, tmp_path):
    """`files.roots` opens a folder to paths from data, without links and dots."""
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop/a").write_text("x")
    attempt.files = Files(base="/", roots=(str(tmp_path / "drop"),))

    output = await attempt.do(file_read, {"path": str(tmp_path / "drop/a")}, data={"path": ""})
    with pytest.raises(ActionFailed, match="data may not choose") as raised:
        await attempt.do(file_read, {"path": f"{tmp_path}/drop/../b"}, data={"path": ""})

    assert output["text"] == "x"
    assert raised.value.kind == "denied"


async def test_an_authors_link_is_followed(attempt, tmp_path):
    """A link in the author's path means what it leads to, and stays."""
    (tmp_path / "v2").mkdir()
    (tmp_path / "current").symlink_to("v2")

    await attempt.do(file_write, {"path": "current/a", "text": "x"})

    assert (tmp_path / "v2/a").read_text() == "x"
    assert (tmp_path / "current").is_symlink()


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "pipe", "."])
async def test_only_regular_files_are_read(attempt, tmp_path, path):
    """Devices, fifos and folders are refused, and nothing waits for them."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ActionFailed, match="is no regular file"):
        await attempt.do(file_read, {"path": path})


async def test_a_long_file_is_refused(attempt, tmp_path):
    """A file over the limit is not taken into memory."""
    with (tmp_path / "big").open("wb") as file:
        file.truncate(files.LONGEST_FILE + 1)

    with pytest.raises(ActionFailed, match="longer than 64MiB"):
        await attempt.do(file_read, {"path": "big"})


@pytest.mark.parametrize(
    ("path", "message"), [("none", "No such file"), ("", "is no path"), ("a\0b", "is no path")]
)
async def test_what_cannot_be_read_says_why(attempt, path, message):
    """The error names the path and the reason."""
    with pytest.raises(ActionFailed, match=message) as raised:
        await attempt.do(file_read, {"path": path})

    assert not raised.value.transient


async def test_nothing_half_written_stays(attempt, tmp_path):
    """A write that fails leaves no temporary file."""
    (tmp_path / "folder").mkdir()

    with pytest.raises(ActionFailed):
        await attempt.do(file_write, {"path": "folder", "text": "x"})

    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
