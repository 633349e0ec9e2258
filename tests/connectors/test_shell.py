"""The `shell` action with real programs."""

import asyncio
import os
from pathlib import Path

import pytest

from reactor.connectors.shell import shell
from reactor.errors import ActionFailed


async def test_a_program_gets_its_arguments(attempt):
    """Arguments reach the program as they are, whatever a shell would make of them."""
    nasty = "; rm -rf ~ $(id) `id` \n 'x' \"y\" *"

    output = await attempt.do(shell, {"args": ["printf", "%s|%s|%s", nasty, 5, True]})

    assert output == {
        "exit": 0,
        "stdout": f"{nasty}|5|true",
        "stderr": "",
        "json": None,
        "truncated": False,
    }


async def test_json_on_stdout_is_read(attempt):
    """What a command prints as JSON is a value."""
    output = await attempt.do(shell, {"run": "echo '{\"a\": [1, 2]}'"})

    assert output["json"] == {"a": [1, 2]}


@pytest.mark.parametrize("script", ["false; true", "false | true", 'echo "$UNSET"'])
async def test_a_script_stops_at_its_first_failure(attempt, script):
    """Scripts run with -euo pipefail."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(shell, {"run": script})

    assert raised.value.output["exit"] != 0


async def test_a_script_runs_without_bash(attempt, tmp_path, monkeypatch):
    """Where there is no bash, sh -eu runs the script."""
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))

    output = await attempt.do(shell, {"run": 'echo "${BASH_VERSION:-none}"'})

    assert output["stdout"] == "none\n"


async def test_a_failing_command_shows_its_end(attempt):
    """The error has the exit code, the output and the last line of stderr; it may be retried."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(shell, {"run": "echo out; echo first >&2; echo no disk >&2; exit 3"})

    error = raised.value
    assert str(error) == "the script ended with exit code 3: no disk"
    assert (error.kind, error.transient) == ("exit", True)
    assert error.output == {
        "exit": 3,
        "stdout": "out\n",
        "stderr": "first\nno disk\n",
        "truncated": False,
    }


async def test_a_signal_is_an_exit_code(attempt):
    """A command that a signal ended has 128 + its number."""
    with pytest.raises(ActionFailed) as raised:
        await attempt.do(shell, {"run": "kill -KILL $$"})

    assert raised.value.output["exit"] == 137


@pytest.mark.parametrize(
    ("written", "code", "message"),
    [
        ({"args": ["no-such-program"]}, 127, "'no-such-program' cannot be run"),
        ({"args": ["/etc/passwd"]}, 126, "'/etc/passwd' cannot be run: Permission denied"),
        ({"args": ["true"], "cwd": "nowhere"}, 127, "cwd: no folder"),
        ({"args": ["echo", "a\0b"]}, 126, "'echo' cannot be run"),
    ],
)
async def test_what_cannot_start_says_why(attempt, written, code, message):
    """A missing program, folder or right is named."""
    with pytest.raises(ActionFailed, match=message) as raised:
        await attempt.do(shell, written)

    assert raised.value.output["exit"] == code


async def test_the_environment_is_made_from_scratch(attempt, monkeypatch):
    """Nothing of the daemon's environment reaches a command but four names and `env`."""
    monkeypatch.setenv("SHOP_TOKEN", "secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/frozen")
    monkeypatch.setenv("_PYI_ARCHIVE_FILE", "/frozen/reactor")

    output = await attempt.do(
        shell, {"args": ["env"], "env": {"WHO": "ann", "COUNT": 3, "NOT": None}}
    )

    names = {line.partition("=")[0] for line in output["stdout"].splitlines()}
    assert names == {"PATH", "HOME", "LANG", "TMPDIR", "REACTOR_EVENT_FILE", "WHO", "COUNT"}


async def test_the_event_is_a_private_file(attempt):
    """The event is JSON in a file that only this user can read, and that is gone afterwards."""
    output = await attempt.do(
        shell,
        {"run": 'cat "$REACTOR_EVENT_FILE"; stat -c "%a %n" "$REACTOR_EVENT_FILE" >&2'},
    )

    mode, _, path = output["stderr"].strip().partition(" ")
    assert output["json"] == attempt.event
    assert mode == "600"
    assert not await asyncio.to_thread(os.path.exists, path)


@pytest.mark.parametrize(
    ("stdin", "read"), [("grün", "grün"), (b"\x00a", "\x00a"), ({"a": 1}, '{"a":1}'), (None, "")]
)
async def test_stdin_is_fed(attempt, stdin, read):
    """Text and bytes are fed as they are, other values as JSON."""
    output = await attempt.do(shell, {"args": ["cat"], "stdin": stdin})

    assert output["stdout"] == read


async def test_a_command_that_reads_nothing_is_fine(attempt):
    """A command may end without reading what it is fed."""
    output = await attempt.do(shell, {"args": ["true"], "stdin": "x" * 1_000_000})

    assert output["exit"] == 0


async def test_the_folder_is_the_flows(attempt, tmp_path):
    """Without `cwd` a command runs where the flows' files are; `cwd` starts there."""
    (tmp_path / "sub").mkdir()

    here = await attempt.do(shell, {"args": ["pwd"]})
    below = await attempt.do(shell, {"args": ["pwd"], "cwd": "sub"})

    assert [Path(each["stdout"].strip()) for each in (here, below)] == [tmp_path, tmp_path / "sub"]


async def test_endless_output_is_cut(attempt):
    """Output beyond `max_output` is read and dropped, and the result says so."""
    output = await attempt.do(
        shell, {"run": "head -c 20000000 /dev/zero; echo done >&2", "max_output": "64KiB"}
    )

    assert (len(output["stdout"]), output["stderr"]) == (65536, "done\n")
    assert output["truncated"]
    assert output["json"] is None


@pytest.mark.parametrize("option", ["-rf", "--help", "-"])
async def test_data_cannot_be_an_option(attempt, option):
    """An argument that data wrote and that begins with a dash is refused."""
    with pytest.raises(ActionFailed, match=r"args\.1.*literal part before it") as raised:
        await attempt.do(shell, {"args": ["echo", option]}, data={"args.1": ""})

    assert (raised.value.kind, raised.value.transient) == ("denied", False)


async def test_a_literal_part_before_data_makes_an_option_fine(attempt):
    """`--by=${{ … }}`, the author's own options and numbers pass."""
    output = await attempt.do(
        shell, {"args": ["printf", "%s ", "-n", "--by=-x", -5]}, data={"args.3": "--by="}
    )

    assert output["stdout"] == "-n --by=-x -5 "


async def test_children_end_with_their_parent(attempt, tmp_path):
    """A child left in the background is killed when the command ends, and holds up nothing."""
    output = await attempt.do(shell, {"run": "sleep 600 & echo $!"})

    assert await gone(int(output["stdout"]))


async def test_a_child_that_leaves_the_group_holds_up_nothing(attempt):
    """A child in a session of its own keeps the pipe open; the step ends all the same."""
    script = "mkfifo up; setsid sh -c 'echo > up; sleep 5' & read -r _ < up; echo here"

    output = await attempt.do(shell, {"run": script})

    assert output["stdout"] == "here\n"


async def test_cancelling_ends_the_whole_group(attempt, tmp_path):
    """Cancelling ends the command and its children, also those that ignore SIGTERM."""
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    script = "trap '' TERM; sleep 600 & echo $! $$ > ready; while :; do sleep 600 || true; done"
    running = asyncio.create_task(attempt.do(shell, {"run": script}))
    pids = [int(pid) for pid in (await asyncio.to_thread(ready.read_text)).split()]

    running.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([running])

    assert running.cancelled()
    assert len(pids) == 2
    for pid in pids:
        assert await gone(pid)


async def test_core_dumps_are_off(attempt):
    """A command cannot fill the disk with its memory."""
    output = await attempt.do(shell, {"run": "read -r go; ulimit -c; ulimit -Sn", "stdin": "go\n"})

    assert output["stdout"] == "0\n1024\n"


def test_mistakes_are_told_at_load():
    """A command without a program is told with its remedy."""
    assert shell.check is not None
    complaints = list(shell.check({"args": []}))

    assert complaints == [(("args",), "args names at least a program: args: [df, -h]")]


async def gone(pid: int) -> bool:
    """Whether a process ends within a second; a zombie whose parent is slow has ended."""
    for _ in range(100):
        if not lives(pid):
            return True
        await asyncio.sleep(0.01)
    return False


def lives(pid: int) -> bool:
    """Whether a process runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
