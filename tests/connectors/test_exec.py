"""The source `exec` runs real programs."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from reactor.connectors.exec import exec_
from reactor.errors import SourceFailed
from tests.connectors.ears import Context, Ears, running


@pytest.fixture
def context(tmp_path):
    """A daemon's end, in an empty folder."""
    return Context(Ears(), tmp_path)


async def failure(config, context):
    """Why a source ends."""
    with pytest.raises(SourceFailed) as raised:
        async with running(exec_, config, context) as ears:
            await ears.until(lambda: ears.ended, "its end")
    return raised.value


def python(code):
    """A program of a line."""
    return {"args": [sys.executable, "-uc", code]}


async def test_each_line_is_an_event(context):
    """JSON lines come as values, numbered; blank ones are none; then its end is told."""
    error = await failure(python('print("{\\"a\\": 1}\\n\\n[2]")'), context)

    assert context.ears.data == [{"a": 1}, [2]]
    assert [one.fields["number"] for one in context.ears.heard] == [1, 3]
    assert f"{Path(sys.executable).name} ended with exit code 0" in str(error)
    assert not error.fatal


async def test_lines_are_text(context):
    """With `format: lines` nothing is decoded; the last line needs no newline."""
    await failure({**python('print("{a}\\r\\ngrün", end="")'), "format": "lines"}, context)

    assert context.ears.data == ["{a}", "grün"]


async def test_what_is_no_json_is_kept(context):
    """A line that does not decode comes with the reason, for the dead letters."""
    await failure(python('print("oops")'), context)

    (heard,) = context.ears.heard
    assert heard.data == b"oops"
    assert "no JSON" in heard.undecodable


async def test_its_last_complaint_is_shown(context):
    """How it failed is part of the source's error."""
    error = await failure(
        python("import sys; print('first', file=sys.stderr); sys.exit('no such thing')"), context
    )

    assert str(error).endswith("ended with exit code 1: no such thing")


async def test_a_missing_program_is_named(context):
    """What cannot start says so; it is tried again."""
    error = await failure({"args": ["no-such-program"]}, context)

    assert str(error) == "'no-such-program' cannot be run: No such file or directory"


async def test_a_missing_folder_is_named(context):
    """The folder is what is missing, not the program."""
    error = await failure({"args": ["true"], "cwd": "nowhere"}, context)

    assert str(error) == f"cwd: no folder {context.files.base}/nowhere"


async def test_it_sees_a_clean_environment(context, monkeypatch):
    """Nothing of the daemon's own variables but the few that every program has."""
    monkeypatch.setenv("SECRET_TOKEN", "x")
    code = "import os, json; print(json.dumps(dict(os.environ)))"

    await failure({**python(code), "env": {"MINE": True, "NOT": None}}, context)

    (seen,) = context.ears.data
    assert seen["MINE"] == "true"
    assert set(seen) - {"LC_CTYPE"} == {"PATH", "HOME", "LANG", "TMPDIR", "MINE"}


async def test_a_long_line_comes_in_pieces(context):
    """A line over a mebibyte does not fill the memory."""
    await failure({**python("print('x' * 2500000)"), "format": "lines"}, context)

    assert [len(each) for each in context.ears.data] == [1 << 20, 1 << 20, 2500000 - (2 << 20)]


async def test_many_lines_are_few_commits(context):
    """Lines that are there at once are one batch, and all of them come in order."""
    await failure(python("for i in range(20000): print(i)"), context)

    assert context.ears.data == list(range(20000))
    assert len(context.ears.batches) < 2000


async def test_its_whole_group_ends_with_the_flow(context, tmp_path):
    """When the source is stopped the program ends, with what it started."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    # Whoever of them lives holds the fifo open.
    script = f"exec 3> {alive}; sleep 600 & echo '[1]'; trap '' TERM; wait"
    opening = asyncio.get_running_loop().run_in_executor(None, open, alive, "rb")
    async with running(exec_, {"args": ["sh", "-c", script]}, context) as ears:
        await ears.until(lambda: ears.heard, "a line")

    with await opening as end:
        assert await asyncio.to_thread(end.read) == b""


async def test_a_fast_program_waits(context):
    """While the disk does not follow, the program's output is not gathered in memory."""
    gate = asyncio.Event()
    emit = context.ears.many

    async def slowly(received):
        await gate.wait()
        return await emit(received)

    context.ears.many = slowly
    code = "import sys\nfor i in range(300): print(i, 'x' * 100000); print(i, file=sys.stderr)"
    config = {**python(code), "format": "lines"}
    asyncio.get_running_loop().call_later(0.2, gate.set)

    await failure(config, context)

    assert len(context.ears.data) == 300
