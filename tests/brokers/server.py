"""Real servers for tests, each in its own process and folder, on a free port of loopback.

A new kind of server is a class that says its program, how it is started and how to ask it whether
it answers: see `redis.py`. All methods block; an async test calls them by `asyncio.to_thread`.
"""

import os
import pwd
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import pytest

from tests.brokers.certificates import Certificates

_PATIENCE_SECS = 60.0
_LOOK_SECS = 0.02
_TERM_SECS = 5.0
_ANSWER_SECS = 2.0
_SHOWN_CHARS = 4000
# Below the ports that the kernel gives to clients: nobody takes the port between kill and restart.
_PORTS = range(20_000, 32_000)
_TRIES = 5
# Where Debian keeps programs that are not on everybody's PATH; the newest PostgreSQL first.
_MORE_FOLDERS = [
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)),
]


def program(name: str, package: str) -> str:
    """Where a program is; without it the test is skipped, or fails where brokers are required."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_MORE_FOLDERS]))
    if found is not None:
        return found
    missing = f"no program {name} here: apt-get install {package}"
    if os.environ.get("REACTOR_REQUIRE_BROKERS") == "1":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


def ask(port: int, request: bytes, size: int = 4096, *, tls: Certificates | None = None) -> bytes:
    """The first bytes that a server answers, over TLS with `tls`; OSError if it does not."""
    with socket.create_connection(("127.0.0.1", port), _ANSWER_SECS) as plain, ExitStack() as stack:
        connection = plain
        if tls is not None:
            context = ssl.create_default_context(cafile=str(tls.authority))
            context.load_cert_chain(tls.cert, tls.key)
            connection = stack.enter_context(
                context.wrap_socket(plain, server_hostname="127.0.0.1")
            )
        connection.sendall(request)
        return connection.recv(size)


class Server:
    """One server: `with Redis() as server:` starts it, waits until it answers, and ends it.

    `port` and `folder` stay the same over `kill` and `restart`. What it prints is kept in `log`,
    and shown by pytest when the test fails.
    """

    # The program, Debian's package of it, and the user it runs as when we are root.
    name: ClassVar[str]
    package: ClassVar[str]
    user: ClassVar[str | None] = None

    def __init__(self) -> None:
        self.program = program(self.name, self.package)
        self.folder = Path(tempfile.mkdtemp(prefix=f"reactor-{self.name}-"))
        self.log = self.folder / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make the folder ready before the first start: configuration, an empty database."""

    def command(self) -> Sequence[str]:
        """The command line that serves `folder` on `port`."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it serves now; an OSError means that it does not."""
        raise NotImplementedError

    def run(self, *command: str, secs: float = _PATIENCE_SECS) -> str:
        """What a command prints, run as the server's user; it fails with its output shown."""
        ran = subprocess.run(
            [*self._as_user(), *command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=secs,
            check=False,
        )
        assert ran.returncode == 0, f"{command[0]} failed: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def begin(self) -> None:
        """Prepare and start for the first time, on another port should this one be taken."""
        self._own()
        for left in reversed(range(_TRIES)):
            self.prepare()
            try:
                self.start()
            except AssertionError:
                if not left or "address already in use" not in self.output().lower():
                    raise
                self.log.unlink()
                self.port = free_port()
            else:
                return

    def start(self) -> None:
        """Start it and return when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._as_user(), *self.command()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE_SECS
        while not self._serves():
            ended = self.process.poll()
            assert ended is None, f"{self.name} ended with {ended}: {self.output()}"
            assert time.monotonic() < deadline, f"{self.name} does not answer: {self.output()}"
            time.sleep(_LOOK_SECS)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.signal(signal.SIGKILL)
        self._wait(_PATIENCE_SECS)

    def stop(self) -> None:
        """Ask it to end, and wait for that."""
        self.signal(signal.SIGTERM)
        self._wait(_PATIENCE_SECS)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it if it runs, and start it again on the same port and folder."""
        self.kill()
        self.start()

    def end(self) -> None:
        """Leave neither process nor folder behind."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._wait(_TERM_SECS)
        self.kill()
        print(f"{self.name} said: {self.output()}")  # noqa: T201 -- pytest shows it on failure
        shutil.rmtree(self.folder, ignore_errors=True)

    def signal(self, number: int) -> None:
        """Send it, and all that it started, a signal."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def output(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-_SHOWN_CHARS:] if self.log.exists() else ""

    def __enter__(self) -> Self:
        try:
            self.begin()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def _serves(self) -> bool:
        try:
            return self.answers()
        except OSError:
            return False

    def _wait(self, secs: float) -> None:
        if self.process is not None:
            self.process.wait(secs)

    def _own(self) -> None:
        """Give the folder to the user that the server runs as."""
        if self.user is not None and self._as_user():
            shutil.chown(self.folder, self.user, self.user)

    def _as_user(self) -> list[str]:
        if self.user is None or os.geteuid() != 0:
            return []
        found = pwd.getpwnam(self.user)
        given = [f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--init-groups"]
        return ["setpriv", *given]
