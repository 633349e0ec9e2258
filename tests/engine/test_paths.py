"""The path of a file that a trigger found, in the paths of file actions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reactor.model.event import Received
from reactor.store import Query
from reactor.testing import World

FLOW = """
flow: inbox
when: {{file: {{path: {path}}}}}
do:
  - id: read
    file.read: {{path: "{read}"}}
"""


@pytest.fixture
def inbox(tmp_path, monkeypatch) -> Path:
    """A folder with a file, a file beside it, and a link to that one; relative paths start here."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "inbox"
    made.mkdir()
    (made / "a.txt").write_text("inside")
    (tmp_path / "secret.txt").write_text("outside")
    (made / "link.txt").symlink_to(tmp_path / "secret.txt")
    return Path(made)


async def read(trigger: str, written: str, data: Any, **fields: Any) -> Mapping[str, Any]:
    """How reading a path ends when a trigger's source brings this event."""
    async with World(FLOW.format(path=trigger, read=written)) as world:
        (instance,) = world.engine.intake.router.instances()
        await world.offer(instance, Received(data=data, fields=fields))
        (execution,) = await world.store.history.executions(Query())
        opened = await world.store.history.execution(execution.id)
    assert opened is not None
    (done,) = [entry.value for entry in opened.journal if entry.kind == "done"]
    return dict(done)


@pytest.mark.parametrize("written", ["${{ event.data.path }}", "${{  event.data.path  }}"])
async def test_a_found_file_may_be_read(inbox, written):
    """Its path lies below what the trigger's author wrote."""
    done = await read("inbox/*", written, {"path": "inbox/a.txt"}, below="inbox/")

    assert done["output"]["text"] == "inside"


async def test_a_file_beside_the_flows_may_be_read(inbox):
    """A pattern without a folder finds files of the base folder."""
    done = await read("'*.txt'", "${{ event.data.path }}", {"path": "secret.txt"}, below="./")

    assert done["output"]["text"] == "outside"


async def test_the_one_file_of_a_trigger_may_be_read(inbox):
    """A path without wildcards is the author's as a whole."""
    done = await read(
        "inbox/link.txt",
        "${{ event.data.path }}",
        {"path": "inbox/link.txt"},
        below="inbox/link.txt",
    )

    assert done["output"]["text"] == "outside"


@pytest.mark.parametrize(
    "path",
    [
        "secret.txt",
        "inbox/../secret.txt",
        "/etc/hostname",
        "inbox/link.txt",
        "inboxes/a.txt",
        "",
        None,
        {"a": 1},
    ],
)
async def test_nothing_outside_may_be_read(inbox, path):
    """Wherever the path came from: a replayed, made up or changed event is held to the same."""
    done = await read("inbox/*", "${{ event.data.path }}", {"path": path}, below="inbox/")

    assert done["status"] == "failed"


async def test_other_data_chooses_no_place(inbox):
    """Only the path that the source brings is trusted so far, and only if the source says so."""
    of_data = await read(
        "inbox/*", "${{ event.data.name }}", {"name": "inbox/a.txt"}, below="inbox/"
    )
    by_hand = await read("inbox/*", "${{ event.data.path }}", {"path": "inbox/a.txt"})

    assert of_data["error"]["kind"] == "denied"
    assert by_hand["error"]["kind"] == "denied"
