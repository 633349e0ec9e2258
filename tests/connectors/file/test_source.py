"""Files that come, change and go: each once, whole, whatever happens to the source."""

import os
import shutil
from collections import Counter
from datetime import UTC, datetime

import pytest

from reactor.connectors.file.source import file
from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.catalog import Catalog
from tests.connectors.ears import Crashed


async def test_a_file_that_comes_is_an_event(folder):
    """Its data says which file, how large, and what happened to it."""
    async with folder.watched() as ears:
        folder.drop("a.csv", "1,2\n")
        await ears.until(lambda: ears.heard, "the file")

    (data,) = ears.data
    assert data | {"mtime": None} == {
        "path": "inbox/a.csv",
        "name": "a.csv",
        "folder": "inbox",
        "size": 4,
        "change": "created",
        "mtime": None,
    }
    assert isinstance(data["mtime"], datetime)
    assert data["mtime"].tzinfo == UTC
    assert ears.heard[0].fields == {"below": "inbox/"}


async def test_what_happens_to_a_file_has_three_names(folder):
    """A file is created, modified and deleted, in this order."""
    async with folder.watched() as ears:
        path = folder.drop("a.csv")
        await ears.until(lambda: len(ears.heard) == 1, "created")
        path.write_text("longer than before\n")
        await ears.until(lambda: len(ears.heard) == 2, "modified")
        path.unlink()
        await ears.until(lambda: len(ears.heard) == 3, "deleted")

    assert [change for change, _ in ears.names] == ["created", "modified", "deleted"]
    assert ears.data[2]["size"] == 19
    assert ears.places == {}


async def test_other_changes_than_asked_for_are_only_known(folder):
    """With `events: [deleted]` coming is no event, and going is."""
    async with folder.watched(events=["deleted"]) as ears:
        path = folder.drop("a.csv")
        await ears.until(lambda: "a.csv" in ears.places, "the file is known")
        path.unlink()
        await ears.until(lambda: ears.heard, "deleted")

    assert ears.names == [("deleted", "inbox/a.csv")]


async def test_three_thousand_files_at_once_are_three_thousand_events(folder):
    """None is lost or doubled, and they are stored in batches."""
    async with folder.watched() as ears:
        for number in range(3000):
            folder.drop(f"{number}.csv")
        await ears.until(lambda: len(ears.heard) >= 3000, "all files")

    assert set(Counter(path for _, path in ears.names).values()) == {1}
    assert len(ears.heard) == 3000
    assert len(ears.batches) < 100


async def test_a_file_written_in_pieces_is_one_event(folder):
    """While somebody has it open for writing, however long they pause, it is not whole."""
    async with folder.watched() as ears:
        with (folder.inbox / "slow.csv").open("w") as writer:
            for number in range(3):
                writer.write("piece\n")
                writer.flush()
                # A file that came later and is told sooner: time enough has passed for this one.
                folder.drop(f"{number}.csv")
                await ears.until(lambda n=number: len(ears.heard) == n + 1, "the other file")
        await ears.until(lambda: len(ears.heard) == 4, "the slow file")

    assert ears.names[3] == ("created", "inbox/slow.csv")
    assert ears.data[3]["size"] == 18


async def test_a_file_renamed_into_place_is_one_event(folder):
    """What is written under another name or a hidden one is told under its last name."""
    async with folder.watched("inbox/*") as ears:
        hidden = folder.drop(".a.csv.tmp", "all of it\n")
        hidden.rename(folder.inbox / "a.csv")
        await ears.until(lambda: ears.heard, "the file")
        replaced = folder.drop(".new", "another\n")
        replaced.rename(folder.inbox / "a.csv")
        await ears.until(lambda: len(ears.heard) == 2, "its replacement")

    assert ears.names == [("created", "inbox/a.csv"), ("modified", "inbox/a.csv")]


async def test_a_restart_tells_nothing_twice(folder):
    """What was told is known to the next life; what happened meanwhile is an event."""
    for name in ("stays.csv", "changes.csv", "goes.csv"):
        folder.drop(name)
    async with folder.watched() as ears:
        await ears.until(lambda: len(ears.heard) == 3, "what is there")
    ears.heard.clear()
    folder.drop("changes.csv", "otherwise\n")
    folder.drop("comes.csv")
    (folder.inbox / "goes.csv").unlink()

    async with folder.watched():
        await ears.until(lambda: len(ears.heard) >= 3, "what happened meanwhile")
        folder.drop("last.csv")
        await ears.until(lambda: len(ears.heard) >= 4, "a last file")

    assert sorted(ears.names) == [
        ("created", "inbox/comes.csv"),
        ("created", "inbox/last.csv"),
        ("deleted", "inbox/goes.csv"),
        ("modified", "inbox/changes.csv"),
    ]


async def test_a_crash_between_commit_and_answer_tells_nothing_twice(folder):
    """The place of a file is in the commit of its event, so the next life knows it."""
    for number in range(700):
        folder.drop(f"{number}.csv")
    folder.ears.crash_after = 1
    with pytest.raises(Crashed):
        async with folder.watched() as ears:
            await ears.until(lambda: ears.ended, "the crash")
    heard = len(folder.ears.heard)

    async with folder.watched() as ears:
        await ears.until(lambda: len(ears.heard) >= 700, "all files")

    assert heard == 500
    assert set(Counter(path for _, path in ears.names).values()) == {1}


async def test_what_no_flow_wants_is_known_too(folder):
    """An event that starts nothing is not offered again after a restart."""
    folder.drop("a.csv")
    offered = []

    def wanted(one: Received) -> bool:
        offered.append(one.data["path"])
        return False

    folder.ears.wanted = wanted
    async with folder.watched() as ears:
        await ears.until(lambda: "a.csv" in ears.places, "the file is known")

    async with folder.watched():
        folder.drop("b.csv")
        await ears.until(lambda: "b.csv" in ears.places, "another one is known")

    assert offered == ["inbox/a.csv", "inbox/b.csv"]


async def test_existing_files_are_noted_at_the_first_start_only(folder):
    """With `existing: false` what was there passes by; what comes while nobody looks does not."""
    folder.drop("old.csv")
    async with folder.watched(existing=False) as ears:
        folder.drop("new.csv")
        await ears.until(lambda: ears.heard, "the new file")
    folder.drop("meanwhile.csv")

    async with folder.watched(existing=False):
        await ears.until(lambda: len(ears.heard) >= 2, "the file of the time between")

    assert ears.names == [("created", "inbox/new.csv"), ("created", "inbox/meanwhile.csv")]


async def test_reset_to_latest_notes_what_is_there(folder):
    """A position moved by hand: `latest` passes over all files, nothing else is understood."""
    folder.drop("old.csv")
    folder.ears.position = "latest"
    folder.ears.places = {"gone.csv": [1, 2, 3, 4]}

    async with folder.watched() as ears:
        folder.drop("new.csv")
        await ears.until(lambda: ears.heard, "the new file")

    assert ears.names == [("created", "inbox/new.csv")]
    ears.position = "17"
    with pytest.raises(SourceFailed, match="earliest or latest"):
        async with folder.watched():
            pass


async def test_reset_to_earliest_tells_all_again(folder):
    """Also where files that exist were only noted at first."""
    folder.drop("old.csv")
    async with folder.watched(existing=False) as ears:
        folder.drop("new.csv")
        await ears.until(lambda: ears.heard, "the new file")
    ears.position = None

    async with folder.watched(existing=False):
        await ears.until(lambda: len(ears.heard) == 3, "all files")

    assert sorted(path for _, path in ears.names[1:]) == ["inbox/new.csv", "inbox/old.csv"]


async def test_the_folder_may_be_missing_go_and_come_back(folder):
    """A folder that is not there is no failure; its files are events when it comes."""
    folder.inbox.rmdir()
    async with folder.watched() as ears:
        assert "is not there" in folder.context.detail
        folder.inbox.mkdir()
        folder.drop("a.csv")
        await ears.until(lambda: len(ears.heard) == 1, "the file of the new folder")
        shutil.rmtree(folder.inbox)
        await ears.until(lambda: len(ears.heard) == 2, "its end")
        folder.inbox.mkdir()
        folder.drop("b.csv")
        await ears.until(lambda: len(ears.heard) == 3, "the file of the third folder")

    assert ears.names == [
        ("created", "inbox/a.csv"),
        ("deleted", "inbox/a.csv"),
        ("created", "inbox/b.csv"),
    ]


async def test_links_are_left_out(folder, tmp_path):
    """A link that somebody put into the folder leads nowhere; the author's own are followed."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "a.csv").write_text("secret")
    (tmp_path / "way").symlink_to(folder.inbox)
    (folder.inbox / "file.csv").symlink_to(secret / "a.csv")
    (folder.inbox / "folder").symlink_to(secret)

    async with folder.watched("way/*.csv", recursive=True) as ears:
        folder.drop("b.csv")
        await ears.until(lambda: ears.heard, "the true file")

    assert ears.names == [("created", "way/b.csv")]
    assert set(ears.places) == {"b.csv"}


async def test_folders_below_are_searched_when_asked_for(folder):
    """`recursive` finds the pattern at every depth, hidden folders left out."""
    deep = folder.inbox / "2026" / "11"
    deep.mkdir(parents=True)
    (folder.inbox / ".git").mkdir()
    folder.drop(".git/no.csv")
    folder.drop("2026/11/a.csv")

    async with folder.watched(recursive=True) as ears:
        await ears.until(lambda: ears.heard, "the deep file")
        (deep / "later").mkdir()
        folder.drop("2026/11/later/b.csv")
        await ears.until(lambda: len(ears.heard) == 2, "one in a new folder")

    assert [one["folder"] for one in ears.data] == ["inbox/2026/11", "inbox/2026/11/later"]


async def test_a_path_without_wildcards_is_one_file(folder):
    """Its own path is what the author wrote."""
    async with folder.watched("inbox/orders.csv") as ears:
        folder.drop("other.csv")
        folder.drop("orders.csv")
        await ears.until(lambda: ears.heard, "the file")

    assert ears.names == [("created", "inbox/orders.csv")]
    assert ears.heard[0].fields == {"below": "inbox/orders.csv"}


async def test_a_folder_that_cannot_be_read_keeps_its_files(folder, plain_user):
    """What cannot be looked at is not deleted; it is shown, and the others go on."""
    closed = folder.inbox / "closed"
    closed.mkdir()
    folder.drop("closed/a.csv")
    async with folder.watched(recursive=True) as ears:
        await ears.until(lambda: ears.heard, "the file in the folder")
        closed.chmod(0)
        folder.drop("b.csv")
        await ears.until(lambda: len(ears.heard) == 2, "the file beside it")
        await folder.detail(lambda detail: "inbox/closed/: Permission denied" in detail)
        closed.chmod(0o700)
        folder.drop("c.csv")
        await folder.detail(lambda detail: "denied" not in detail)
        await ears.until(lambda: len(ears.heard) == 3, "the last file")

    assert [path for _, path in ears.names] == ["inbox/closed/a.csv", "inbox/b.csv", "inbox/c.csv"]


async def test_a_name_that_is_no_unicode_is_shown(folder):
    """It could not be written into an event; the others go on."""
    folder.drop(os.fsdecode(b"\xff.csv"))

    async with folder.watched() as ears:
        folder.drop("a.csv")
        await ears.until(lambda: ears.heard, "the other file")

    assert ears.names == [("created", "inbox/a.csv")]
    assert "the name is not UTF-8" in folder.context.detail


async def test_a_folder_as_path_says_what_to_write(folder):
    """The state of the source shows the remedy."""
    async with folder.watched("inbox"):
        pass

    assert "inbox: is a folder: write inbox/* for the files in it" in folder.context.detail


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"path": "inbox/"}, "a path ends with a file's name: inbox/* means every file"),
        ({"path": "in*/../x"}, "after the first wildcard there may be no .."),
        ({"path": "a", "events": []}, "events names at least one of created"),
        ({"path": "a", "lines": True, "events": ["created"]}, "drop events"),
    ],
)
def test_what_makes_no_sense_is_refused_at_load(config, says):
    """With the remedy."""
    spec = Catalog().find("source", "file")

    assert spec is file
    assert spec.check is not None
    assert any(says in text for _, text in spec.check(config))
