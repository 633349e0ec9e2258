"""Starting, options, errors, exit codes."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from reactor import __version__
from reactor.cli import main
from reactor.cli.entry import COMMANDS, root
from tests.cli.conftest import run

ROOT = Path(__file__).parent.parent.parent


def members(command, path):
    """A command and the commands below it, with their paths."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from members(inner, (*path, name))


def every_command():
    """Every command with its path."""
    context = root.make_context("reactor", [], resilient_parsing=True)
    for name in COMMANDS:
        yield from members(root.get_command(context, name), (name,))


EVERY = list(every_command())


@pytest.mark.parametrize("path", [path for path, _ in EVERY], ids=" ".join)
def test_every_command_has_help_with_an_example(path):
    """--help says what it does, lists its options, and shows how it is typed."""
    ran = run(*path, "--help")

    assert ran.code == 0
    assert "\nExamples:\n  reactor " in ran.out
    assert "--json" in ran.out


@pytest.mark.parametrize(("path", "command"), EVERY, ids=str)
def test_examples_are_of_their_command(path, command):
    """Each example begins with the command that it is an example of."""
    own = f"reactor {' '.join(path)}"

    assert all(
        example.startswith(own) or (len(path) == 1 and example.startswith(f"reactor {path[0]}"))
        for example in command.examples
    )


def test_help_lists_every_command():
    """`reactor --help` has a line for each."""
    ran = run("--help")

    assert ran.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in ran.out
    assert "..." not in ran.out.partition("Commands:")[2]


def test_no_command_shows_the_help():
    """`reactor` alone lists what there is, and is a usage error for scripts."""
    ran = run()

    assert ran.code == 2
    assert "Commands:" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["flow"], "no command 'flow'; did you mean flows?"),
        (["xyzzy"], "no command 'xyzzy'; `reactor help` lists what there is"),
        (["flows", "--colour"], "No such option"),
        (["show"], "Missing argument 'EXECUTION'"),
        (["run", "--admin", "127.0.0.1:1"], "--admin: not built yet"),
    ],
)
def test_a_wrong_command_line_is_exit_2(arguments, words):
    """What makes no sense is said in one line, with where to look."""
    ran = run(*arguments)

    assert ran.code == 2
    assert words in ran.err
    assert "try: reactor" in ran.err


def test_options_stand_before_or_after_the_verb(served):
    """Common options mean the same in both places; the later one wins."""
    state = str(served.state)

    before = run("--state", state, "--json", "flows")
    after = run("--state", "/nowhere", "flows", "--state", state, "--json")

    assert before.out == after.out
    assert before.code == after.code == 0


def test_the_environment_names_the_state_folder(served, monkeypatch):
    """REACTOR_STATE stands for --state."""
    monkeypatch.setenv("REACTOR_STATE", str(served.state))

    assert run("flows").code == 0


def test_without_a_daemon_the_remedy_is_named(tmp_path):
    """Exit 6 names the socket and how to start one."""
    ran = run("flows", "--state", str(tmp_path))

    assert ran.code == 6
    assert ran.err == (
        f"reactor: no daemon answers at {tmp_path}/api.sock: start one with `reactor run`,"
        " or name its state folder with --state\n"
    )


def test_version_is_for_people_and_programs():
    """The version, as a word or as JSON."""
    assert run("version").out == f"reactor {__version__}\n"
    assert json.loads(run("version", "--json").out) == {"version": __version__}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell):
    """Each shell gets a script that asks `reactor` for words."""
    ran = run("completion", shell)

    assert ran.code == 0
    assert "_REACTOR_COMPLETE" in ran.out


def reactor(*arguments, **environ):
    """Run the program as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "reactor", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **environ},
    )  # fmt: skip


@pytest.mark.slow
def test_completion_knows_the_verbs():
    """What the script asks for is answered."""
    ran = reactor(_REACTOR_COMPLETE="bash_complete", COMP_WORDS="reactor sou", COMP_CWORD="1")

    assert "sources" in ran.stdout


class Torn(io.StringIO):
    """A screen that breaks."""

    def write(self, text):
        raise RuntimeError("torn")


def test_a_bug_shows_its_place_only_when_asked(monkeypatch):
    """A traceback is for those who look for it."""
    err = io.StringIO()
    with redirect_stdout(Torn()), redirect_stderr(err):
        code = main(["version"])
    quiet = err.getvalue()

    monkeypatch.setenv("REACTOR_DEBUG", "1")
    with redirect_stdout(Torn()), redirect_stderr(err):
        main(["version"])

    assert code == 1
    assert "an error that nobody expected: RuntimeError('torn')" in quiet
    assert "Traceback" not in quiet
    assert "Traceback" in err.getvalue()


@pytest.mark.slow
def test_starting_loads_little():
    """`reactor version` loads neither the web nor the language."""
    script = (
        "import sys; from reactor.cli import main; main(['version']);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    heavy = {"aiohttp", "asyncio", "msgspec", "ruamel", "sqlite3", "http", "ssl"}
    assert not heavy & set(ran.stdout.split())


@pytest.mark.slow
def test_a_poor_terminal_is_no_obstacle():
    """A letter that the terminal's encoding lacks is shown by its number."""
    ran = reactor("help", "truncate", PYTHONIOENCODING="latin-1")

    assert ran.returncode == 0
    assert "\\u2026" in ran.stdout


@pytest.mark.slow
def test_a_reader_may_go_away():
    """`reactor help commands | head -1` ends quietly."""
    script = f"{sys.executable} -m reactor help commands | head -1"

    ran = subprocess.run(script, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (ran.stdout, ran.stderr) == ("# Commands\n", "")


@pytest.mark.slow
def test_bad_settings_end_the_start(tmp_path):
    """A daemon with bad settings does not start (78); a check calls them a bad file (3)."""
    config = tmp_path / "reactor.yaml"
    config.write_text("servr: {}\n")

    started = reactor("run", "--config", str(config))
    checked = reactor("check", "--config", str(config))

    assert (started.returncode, checked.returncode) == (78, 3)
    assert f"{config}:1:1" in started.stderr
    assert f"{config}:1:1" in checked.stderr


@pytest.mark.system
def test_a_real_daemon_answers(tmp_path):
    """The daemon and the verbs agree: a flow is listed, started, shown, and the end is clean."""
    state = str(tmp_path / "state")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "reactor", "run", "--flows", "flows", "--state", state,
         "--listen", "127.0.0.1:0", "--config", "packaging/reactor.yaml"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with daemon:
        assert daemon.stderr is not None
        while "ready" not in (daemon.stderr.readline() or "ready"):
            pass

        flows = run("flows", "--state", state)
        started = run("start", "hello", "--data", '{"name": "Ada"}', "--state", state)
        listed = run("runs", "--json", "--state", state)
        daemon.terminate()

        assert daemon.wait(30) == 0
    assert any(line.startswith("hello\ton\t") for line in flows.lines)
    assert started.code == 0
    assert "hello" in [json.loads(line)["flow"] for line in listed.out.splitlines()]
