"""A real Mosquitto for tests."""

import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.brokers.certificates import Certificates
from tests.brokers.server import Server, ask, program

_PATIENCE_SECS = 10.0
# CONNECT of MQTT 3.1.1: clean session, no user, keep-alive 10 s, client id "probe".
_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x0a\x00\x05probe"


class Mosquitto(Server):
    """Mosquitto; with `strict` it keeps sessions and messages over a kill, as of the last `save`.

    It acknowledges before it writes, whatever its settings: a kill may take what came since.
    `lines` are added to its configuration. With `users` (names and passwords) it takes nobody
    else, with `certificates` it speaks TLS only, `rules` is the file of its dynamic security.
    """

    name: ClassVar[str] = "mosquitto"
    package: ClassVar[str] = "mosquitto"

    def __init__(
        self,
        *,
        strict: bool = True,
        lines: Sequence[str] = (),
        users: Mapping[str, str] | None = None,
        certificates: Certificates | None = None,
        rules: Path | None = None,
    ) -> None:
        super().__init__()
        self.password_program = program("mosquitto_passwd", "mosquitto")
        self.strict = strict
        self.lines = list(lines)
        self.users = dict(users or {})
        self.certificates = certificates
        self.rules = rules

    @property
    def url(self) -> str:
        """Its address for clients."""
        return f"mqtt://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Write mosquitto.conf."""
        lines = [
            f"listener {self.port} 127.0.0.1",
            "max_queued_messages 0",
            "sys_interval 0",
            # It drops its rights when it is root; the folder is ours.
            "user root",
            *self.lines,
        ]
        if self.users:
            users = self.folder / "users"
            users.touch(mode=0o600)
            for name, password in self.users.items():
                self.run(self.password_program, "-b", str(users), name, password)
            lines += ["allow_anonymous false", f"password_file {users}"]
        else:
            lines.append("allow_anonymous true")
        if self.certificates is not None:
            cert, key = self.certificates.cert, self.certificates.key
            lines += [f"certfile {cert}", f"keyfile {key}"]
        if self.rules is not None:
            plugin = _plugin("mosquitto_dynamic_security.so")
            lines += [f"plugin {plugin}", f"plugin_opt_config_file {self.rules}"]
        if self.strict:
            lines += [
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_interval 0",
            ]
        (self.folder / "mosquitto.conf").write_text("".join(f"{line}\n" for line in lines))

    def command(self) -> Sequence[str]:
        """The server with its configuration."""
        return [self.program, "-c", str(self.folder / "mosquitto.conf")]

    def answers(self) -> bool:
        """Whether it answers CONNECT with CONNACK."""
        tls = None if self.certificates is None else self.certificates.authority
        return ask(self.port, _CONNECT, tls=tls).startswith(b"\x20\x02")

    def save(self) -> None:
        """Write all to disk, and return when it is there."""
        file = self.folder / "mosquitto.db"
        before = file.stat().st_mtime_ns if file.exists() else 0
        self.signal(signal.SIGUSR1)
        deadline = time.monotonic() + _PATIENCE_SECS
        while not file.exists() or file.stat().st_mtime_ns == before:
            assert time.monotonic() < deadline, f"mosquitto does not save: {self.output()}"
            time.sleep(0.01)


def _plugin(name: str) -> Path:
    """Where Debian, on whatever processor, keeps a plugin."""
    (found,) = Path("/usr/lib").glob(f"*-linux-gnu*/{name}")
    return found
