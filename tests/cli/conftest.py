"""A daemon to ask, and ways to run a command: in a pipe or at a terminal."""

import io
import os
import pty
import struct
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from fcntl import ioctl
from typing import NamedTuple

import pytest

from reactor.cli import main
from tests.web.admin.daemon import serving


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()


def run(*arguments):
    """Run a command whose output goes into a pipe."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Ran(code, out.getvalue(), err.getvalue())


def run_at_terminal(*arguments, columns=100):
    """Run a command at a terminal; what it prints to stderr goes there too."""
    mine, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with ThreadPoolExecutor(1) as eyes:
        seen = eyes.submit(read_all, mine)
        with os.fdopen(its, "w") as screen, redirect_stdout(screen), redirect_stderr(screen):
            code = main(arguments)
        text = seen.result().decode()
    os.close(mine)
    return Ran(code, text.replace("\r\n", "\n"), "")


def read_all(terminal):
    """Everything that is written to a terminal until its other side closes."""
    found = b""
    with suppress(OSError):  # how Linux says that the other side is closed
        while part := os.read(terminal, 1 << 16):
            found += part
    return found


@pytest.fixture
def served(tmp_path):
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def ask(served):
    """Run a verb against the daemon, in a pipe."""
    return lambda *arguments: run(*arguments, "--state", str(served.state))


@pytest.fixture
def look(served):
    """Run a verb against the daemon, at a terminal."""
    return lambda *arguments, **more: run_at_terminal(
        *arguments, "--state", str(served.state), **more
    )


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """The same environment for every test: UTC, a fixed width, nothing of ours."""
    for name in list(os.environ):
        if name.startswith("REACTOR_") or name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
