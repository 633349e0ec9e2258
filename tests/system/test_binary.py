"""The frozen binary, in both forms, does what the installed package does."""

import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reactor import __version__

ROOT = Path(__file__).parents[2]
FORMS = {"file": ROOT / "dist" / "reactor", "folder": ROOT / "dist" / "reactor-dir" / "reactor"}
LIMIT_SECS = 30
LACKING = 69

FLOW = """\
flow: surroundings
when:
  http: {path: /surroundings, verify: none, respond: {when: done}}
do:
  - id: child
    shell: {args: [env]}
  - id: worker
    python: {call: sums.total, with: {items: [1, 2]}}
  - id: greet
    greeting: {name: Ada}
output:
  child: ${{ steps.child.output.stdout }}
  worker: ${{ steps.worker.output }}
  greeting: ${{ steps.greet.output }}
  zone: ${{ format_date(now, "%Z", "Asia/Tokyo") }}
"""
FUNCTION = """\
import os
import statistics  # a module of Python that Reactor itself does not import

def total(items):
    return {"mean": statistics.mean(items), "names": sorted(os.environ), "pid": os.getpid()}
"""
PLUGIN = '''\
"""Greetings."""
import colorsys  # a module of Python that Reactor itself does not import

from reactor.plugin.context import ActionContext
from reactor.plugin.spec import Config, action


class Greeting(Config, frozen=True):
    """Who is greeted."""

    name: str


@action("greeting", examples=["greeting: {name: Ada}"])
async def greeting(config: Greeting, context: ActionContext) -> str:
    """Greet somebody."""
    return f"hello {config.name}"
'''

pytestmark = [pytest.mark.slow, pytest.mark.system]


@pytest.fixture(scope="session")
def built():
    """Both forms, built again if they are older than their sources."""
    build("build_binary.sh")
    return FORMS


@pytest.fixture(params=FORMS)
def binary(request, built):
    """One of the forms."""
    return built[request.param]


@pytest.fixture
def home(tmp_path):
    """A folder with a flow, a function beside it, and a plugin."""
    for name, text in {
        "flows/surroundings.yaml": FLOW,
        "flows/sums.py": FUNCTION,
        "plugins/greeting.py": PLUGIN,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_flow_runs(binary, home):
    """A webhook runs a command, a function in a worker, and a plugin from the folder."""
    with serving(binary, home) as (_, address):
        answer = post(address, "/surroundings")

    assert answer["greeting"] == "hello Ada"
    assert answer["worker"]["mean"] == 1.5


def test_time_zones_are_inside(binary, home):
    """A machine without time zones of its own still knows Tokyo."""
    with serving(binary, home) as (_, address):
        answer = post(address, "/surroundings")

    assert answer["zone"] == "JST"


def test_children_get_a_clean_environment(binary, home):
    """Nothing of a frozen build reaches a command or a function; a command sees five names."""
    with serving(binary, home) as (_, address):
        answer = post(address, "/surroundings")

    child = {line.partition("=")[0] for line in answer["child"].splitlines()}
    frozen = [name for name in answer["worker"]["names"] if name.startswith(("LD_", "_PYI"))]
    assert child == {"PATH", "HOME", "LANG", "TMPDIR", "REACTOR_EVENT_FILE"}
    assert frozen == []


def test_the_folder_form_is_one_process(built, home):
    """Killed with -9 the one-folder form leaves nothing behind, its idle worker included."""
    with serving(built["folder"], home) as (daemon, address):
        worker = os.pidfd_open(post(address, "/surroundings")["worker"]["pid"])
        daemon.kill()
        daemon.wait(LIMIT_SECS)

        ended = select.select([worker], [], [], LIMIT_SECS)[0]
        os.close(worker)

    assert ended == [worker]
    with pytest.raises(ProcessLookupError):
        os.killpg(daemon.pid, 0)


def test_sigterm_drains(binary, home):
    """A polite end is a clean one, also through the two processes of the one-file form."""
    with serving(binary, home) as (daemon, _):
        daemon.terminate()

        assert daemon.wait(LIMIT_SECS) == 0


def test_the_version_is_told(binary):
    """The binary knows its version."""
    assert run(binary, "version") == f"reactor {__version__}\n"


def test_flows_are_checked(binary, home):
    """`check` finds nothing wrong with the flow, whose words a plugin brings too."""
    done = run(binary, "check", cwd=home)

    assert "error" not in done


def test_the_manual_is_inside(binary):
    """`help` lists the same pages as the package, for the binary carries all of them."""
    module = [sys.executable, "-m", "reactor", "help"]
    package = subprocess.run(module, cwd=ROOT, capture_output=True, text=True, check=True)

    assert run(binary, "help") == package.stdout


def test_words_are_described(binary):
    """`describe` reads the declaration of a connector."""
    assert "verify" in run(binary, "describe", "http")


def test_every_built_in_word_is_inside(binary, tmp_path):
    """The schema of all words imports each connector."""
    assert json.loads(run(binary, "schema", cwd=tmp_path))


def test_a_second_build_does_nothing(built):
    """What is up to date is not built again."""
    again = subprocess.run(
        [ROOT / "packaging" / "build_binary.sh"], capture_output=True, text=True, check=True
    )

    assert "up to date" in again.stdout


@contextmanager
def serving(binary: Path, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The daemon of a folder and the address of its webhooks."""
    command = [str(binary), "run", "--listen", "127.0.0.1:0"]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": "/nowhere",  # as a user might have it
        "PYTHONTZPATH": "",  # no time zones of the machine
        "REACTOR_LOGS_FORMAT": "json",
    }
    with subprocess.Popen(
        command, cwd=home, env=environment, stderr=subprocess.PIPE, start_new_session=True
    ) as daemon:
        try:
            yield daemon, ready(daemon)
        finally:
            if daemon.poll() is None:
                os.killpg(daemon.pid, signal.SIGKILL)


def ready(daemon: subprocess.Popen[bytes]) -> str:
    """Where the daemon listens, once it says so."""
    assert daemon.stderr is not None
    said = []
    for line in daemon.stderr:
        said.append(line)
        fields = json.loads(line)
        if fields["event"] == "ready":
            return str(fields["listen"])
    raise AssertionError(b"".join(said).decode())


def test_the_debian_package_holds_a_service(built, tmp_path):
    """Program, command, unit and settings are in their places; what a person edits is kept."""
    build("build_deb.sh")
    (package,) = (ROOT / "dist").glob(f"reactor_{__version__}_*.deb")

    subprocess.run(["dpkg-deb", "--raw-extract", package, tmp_path], check=True)

    unit = (tmp_path / "usr/lib/systemd/system/reactor.service").read_text()
    program = unit.partition("ExecStart=")[2].partition(" ")[0]
    assert run(tmp_path / program.lstrip("/"), "version").strip().endswith(__version__)
    assert (tmp_path / "usr/bin/reactor").readlink() == Path(program)
    kept = (tmp_path / "DEBIAN/conffiles").read_text().split()
    assert kept == ["/etc/reactor/reactor.yaml"]
    assert all((tmp_path / name.lstrip("/")).is_file() for name in kept)
    assert (tmp_path / "etc/reactor/flows").is_dir()


def build(script: str) -> None:
    """Run a build; what this machine lacks for it is said aloud."""
    done = subprocess.run(
        [ROOT / "packaging" / script], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode == LACKING:
        missing = pytest.fail if "REACTOR_REQUIRE_BROKERS" in os.environ else pytest.skip
        missing(done.stderr.strip())
    assert done.returncode == 0, done.stderr


def post(address: str, path: str) -> dict[str, Any]:
    """What a webhook answers."""
    request = urllib.request.Request(f"http://{address}{path}", method="POST")
    with urllib.request.urlopen(request, timeout=LIMIT_SECS) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def run(binary: Path, *arguments: str, cwd: Path = ROOT) -> str:
    """What a command prints."""
    done = subprocess.run(
        [binary, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
