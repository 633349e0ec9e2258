"""Disks and folders that do not do what a daemon needs: full, read-only, damaged, of old."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from reactor.model.execution import State
from reactor.store.migrate import MIGRATIONS
from tests.proof import schemas
from tests.proof.disks import full_disk, small_disk
from tests.proof.judge import read
from tests.system.conftest import Daemon, eventually

HOOK = "flow: hook\nwhen: {http: {path: /hook, verify: none}}\ndo: [{log: hi}]\n"


def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    """503 while it is full, for requests under way too; 202 once there is room; nothing is lost."""
    figures = full_disk(tmp_path, times=2)

    assert figures is None or figures.numbers["answers 503"] > 0  # None: not root, no disk


def test_a_state_folder_that_is_read_only(daemon: Daemon) -> None:
    """Exit 78 with the folder and the remedy."""
    with small_disk(daemon.state) as mounted:
        if not mounted:
            return
        subprocess.run(["mount", "-o", "remount,ro", str(daemon.state)], check=True)

        daemon.spawn("--listen", "127.0.0.1:0")

        assert daemon.wait() == 78
        assert daemon.said("Read-only file system")
        assert daemon.said("name a folder that this user may write with --state")


@pytest.mark.parametrize("where", [0, 4096, -4096])
def test_a_damaged_database_is_a_clear_stop(daemon: Daemon, where: int) -> None:
    """Exit 74, what to do stands there, the newest backup is named, and no byte is changed."""
    daemon.flow("hook", HOOK)
    daemon.start()
    for number in range(30):
        daemon.post("/hook", {"fill": str(number) * 400})
    (daemon.state / "backups").mkdir()
    daemon.api.post("backup", body={"path": str(daemon.state / "backups" / "mine")})
    daemon.at_rest()
    daemon.kill()
    database = daemon.state / "reactor.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log has a good copy of it
    data = bytearray(database.read_bytes())
    place = where if where >= 0 else len(data) + where
    data[place : place + 4096] = b"\xa5" * 4096
    database.write_bytes(data)

    daemon.spawn("--listen", "127.0.0.1:0")

    assert daemon.wait() == 74
    assert daemon.said("nothing was changed")
    assert daemon.said("restore a backup into an empty folder")
    assert daemon.said(str(Path("state") / "backups" / "mine"))
    assert database.read_bytes() == data


def test_the_named_backup_serves(daemon: Daemon) -> None:
    """A backup is a state folder of its own, with all that was there when it was made."""
    daemon.flow("hook", HOOK)
    daemon.start()
    execution = daemon.post("/hook", {}).json["execution"]
    daemon.ended(execution)
    daemon.api.post("backup", body={"path": str(daemon.folder / "copy")})
    daemon.stop()

    daemon.state.rename(daemon.folder / "broken")
    (daemon.folder / "copy").rename(daemon.state)
    daemon.start()

    assert daemon.ended(execution)["state"] == "ok"


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 2))
def test_a_state_folder_of_an_earlier_schema(daemon: Daemon, version: int) -> None:
    """It is copied, brought forward, and what was open in it goes on to its end."""
    schemas.restore(version, daemon.state)

    daemon.start()
    ended = eventually(lambda: daemon.executions(state="ok"), "the open one ends")
    daemon.stop()

    kept = read(daemon.state)
    assert len(ended) == schemas.OPEN
    assert {row.state for row in kept.executions.values()} == {State.OK, State.FAILED}
    assert kept.by_key("seen") == {"a": 2}
    assert [letter.kind for letter in kept.dead] == ["failed"]
    copies = list((daemon.state / "backups").glob("*/reactor.db"))
    assert bool(copies) is (version <= len(MIGRATIONS))
