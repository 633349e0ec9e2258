"""The daemon as its own process, a client for it, and a sink that counts what steps send."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

import pytest

from reactor.cli.client import Client

_PATIENCE_SECS = 30.0
_LOOK_SECS = 0.02
_SAID_SECS = 3.0


class Answer(NamedTuple):
    """What the daemon answered over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def eventually(found: Callable[[], Any], what: str, secs: float = _PATIENCE_SECS) -> Any:
    """The first true answer; fails with `what` when the deadline has passed."""
    deadline = time.monotonic() + secs
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what}: not within {secs} s"
        time.sleep(_LOOK_SECS)
    return answer


class Daemon:
    """One folder with flows and state, and the process that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flows = folder / "flows"
        self.state = folder / "state"
        self.secrets = folder / "secrets"
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environ: dict[str, str] = {}
        self.address = ""
        self.patience_secs = _PATIENCE_SECS
        self.api = Client(self.state)
        self.flows.mkdir()
        self.secrets.mkdir(mode=0o700)

    def flow(self, name: str, text: str) -> Path:
        """Write a flow file at once, as an editor does."""
        file = self.flows / f"{name}.yaml"
        fresh = self.flows / f".{name}.new"
        fresh.write_text(text)
        fresh.replace(file)
        return file

    def secret(self, name: str, value: str) -> None:
        """Write a secret file at once."""
        fresh = self.secrets / f".{name}.new"
        fresh.touch(mode=0o600)
        fresh.write_text(value)
        fresh.replace(self.secrets / name)

    def spawn(self, *options: str, **settings: Any) -> subprocess.Popen[bytes]:
        """Start the process without waiting for it."""
        environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environ |= {"PYTHONPATH": str(Path(__file__).parents[2]), **self.environ}
        command = [sys.executable, "-m", "reactor", "run", "--flows", "flows", "--state", "state"]
        with self.log.open("ab") as log:
            given: dict[str, Any] = {"stdout": log, "stderr": log, **settings}
            self.process = subprocess.Popen(
                [*command, *options], cwd=self.folder, env=environ, **given
            )
        return self.process

    def start(self, *options: str, listen: str | None = "127.0.0.1:0", **settings: Any) -> None:
        """Start the process and wait until it is ready."""
        (self.state / "listen").unlink(missing_ok=True)
        if listen is not None:
            options = ("--listen", listen, *options)
        process = self.spawn(*options, **settings)

        def serves() -> bool:
            assert process.poll() is None, f"the daemon ended: {self.log.read_text()}"
            return (self.state / "listen").exists()

        eventually(serves, "the daemon is ready")
        self.address = (self.state / "listen").read_text().strip()

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        connection = HTTPConnection(self.address, timeout=self.patience_secs)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """GET a path."""
        return self.request("GET", path)

    def post(self, path: str, data: Any = None, **headers: str) -> Answer:
        """POST data as JSON."""
        headers = {"Content_Type": "application/json"} | headers
        return self.request("POST", path, json.dumps(data).encode(), **headers)

    def executions(self, **query: Any) -> list[Any]:
        """All executions, newest first."""
        return list(self.api.pages("executions", limit=None, **query))

    def flow_states(self) -> dict[str, str]:
        """Each flow's state by name; of a broken file by path."""
        return {flow["flow"]: flow["state"] for flow in self.api.get("flows")["items"]}

    def until(self, name: str, state: str | None) -> None:
        """Wait until a flow has a state (None: is gone)."""
        eventually(lambda: self.flow_states().get(name) == state, f"flow {name} is {state}")

    def ended(self, execution: str) -> Any:
        """Wait until an execution has ended; how it did."""

        def look() -> Any:
            found = self.api.get("executions", execution)
            return found if found["finished"] is not None else None

        return eventually(look, f"{execution} ends")

    def at_rest(self, secs: float = 60) -> None:
        """Wait until nothing is open."""
        words = ("queued", "running", "waiting")

        def rests() -> bool:
            flows = self.api.get("flows")["items"]
            return not any(flow["executions"].get(word) for flow in flows for word in words)

        eventually(rests, "everything ends", secs)

    def lines(self, event: str | None = None) -> list[Any]:
        """Log lines of all lives, or those with this message."""
        whole = self.log.read_text().splitlines()
        found = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in found if event is None or line["event"] == event]

    def said(self, text: str) -> bool:
        """Whether a text stands in the log; lines gather a moment before they are written."""
        deadline = time.monotonic() + _SAID_SECS
        while text not in self.log.read_text():
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECS)
        return True

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End the process as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(_PATIENCE_SECS)

    def stop(self) -> int:
        """Ask the process to end; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """The exit code of a process that ends by itself."""
        assert self.process is not None
        return self.process.wait(_PATIENCE_SECS + 10)

    def end(self) -> None:
        """Leave no process behind."""
        if self.process is not None and self.process.poll() is None:
            self.kill()


class Sink:
    """An HTTP server that keeps what it was sent, and answers what it is told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Mapping[str, str], bytes]] = []
        self.answers: list[int] = []
        self.held: str | None = None
        self._gate = Event()
        self._lock = Lock()
        sink = self

        class Listening(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = sink.hear(self.path, headers, body)
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:  # a killed client is no news
                pass

        self._server = Server(("127.0.0.1", 0), Listening)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def hear(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Keep a request, and its answer back where it is held."""
        with self._lock:
            self.heard.append((path, headers, body))
            status = self.answers.pop(0) if self.answers else 200
        if path == self.held:
            self._gate.wait(_PATIENCE_SECS)
        return status

    def release(self) -> None:
        """Answer what is held, and hold nothing more."""
        self.held = None
        self._gate.set()

    def until(self, path: str, least: int = 1) -> None:
        """Wait until a path was called so often."""
        eventually(lambda: self.count(path) >= least, f"{path} is called {least} times")

    def count(self, path: str) -> int:
        """How many requests came to a path."""
        return sum(heard[0] == path for heard in self.heard)

    def close(self) -> None:
        """Let everybody go."""
        self.release()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet, in a folder of its own."""
    made = Daemon(tmp_path)
    yield made
    made.end()


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server for what steps send."""
    made = Sink()
    yield made
    made.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder runs real processes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


__all__ = ["Answer", "Daemon", "HTTPException", "Sink", "eventually"]
