"""Real processes to measure: the daemon as it is installed, and what it is held against."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from reactor.cli.client import Client

LIMIT_SECS = 60.0
_LOOK_SECS = 0.02


class Served(Struct, frozen=True):
    """A daemon that is ready."""

    process: subprocess.Popen[bytes]
    address: str
    state: Path
    ready_secs: float

    def metrics(self) -> dict[str, float]:
        """Its metrics, by name with labels."""
        text: str = Client(self.state).get("metrics")
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def memory_mb(self) -> tuple[float, float]:
        """Its memory in MB: resident, and with what it shares counted in part."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()[1:]
        kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines}
        return kilobytes["Rss:"] / 1024, kilobytes["Pss:"] / 1024

    def settle(self) -> None:
        """Wait until nothing is open."""
        until(lambda: not any(map(_is_open, self.metrics().items())), "nothing is open")


def until(fact: Callable[[], bool], words: str) -> None:
    """Wait for a fact; TimeoutError says which one never came."""
    deadline = time.monotonic() + LIMIT_SECS
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {LIMIT_SECS:.0f} s: {words}")
        time.sleep(_LOOK_SECS)


def _is_open(metric: tuple[str, float]) -> bool:
    name, count = metric
    return name.startswith("reactor_open_executions") and count > 0


def installed() -> list[str]:
    """The command as it was installed beside this Python."""
    script = Path(sys.executable).with_name("reactor")
    return [str(script)] if script.exists() else [sys.executable, "-m", "reactor"]


@contextmanager
def daemon(
    folder: Path, flows: Mapping[str, str], command: Sequence[str] | None = None
) -> Iterator[Served]:
    """A daemon that serves these flows from a folder; its log is `log` there."""
    for name, text in flows.items():
        path = folder / "flows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    arguments = [*(command or installed()), "run", "--listen", "127.0.0.1:0"]
    # The daemon tells systemd when it is ready: here it tells us, and nobody has to look.
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified,
        (folder / "log").open("wb") as log,
    ):
        name = f"\0reactor-bench-{os.getpid()}-{time.monotonic_ns()}"
        notified.bind(name)
        notified.settimeout(LIMIT_SECS)
        environment = {**os.environ, "NOTIFY_SOCKET": f"@{name[1:]}"}
        # Where it is set every start would compile everything: not what a user has.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        began = time.perf_counter()
        process = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            while not notified.recv(4096).startswith(b"READY=1"):
                pass
            ready_secs = time.perf_counter() - began
            address = (folder / "state" / "listen").read_text().strip()
            yield Served(process, address, folder / "state", ready_secs)
            process.terminate()
            process.wait(LIMIT_SECS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def bare_aiohttp() -> Iterator[str]:
    """The address of the bare aiohttp handler."""
    script = str(Path(__file__).with_name("bare.py"))
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
