"""A real Mosquitto for tests."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.brokers.certificates import Certificates
from tests.brokers.server import Server, ask, program

# CONNECT of MQTT 3.1.1: clean session, no user, keep-alive 10 s, client id "probe".
_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x0a\x00\x05probe"


class Mosquitto(Server):
    """Mosquitto; with `strict` it writes sessions and messages to disk after every change.

    It writes after it has acknowledged: a kill may take what came within the last moments, which
    `saved_since` tells. `lines` are added to its configuration. With `users` (names and passwords)
    it takes nobody else, with `certificates` it speaks TLS only.
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
    ) -> None:
        super().__init__()
        self.password_program = program("mosquitto_passwd", "mosquitto")
        self.strict = strict
        self.lines = list(lines)
        self.users = dict(users or {})
        self.certificates = certificates

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
        if self.strict:
            lines += [
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_on_changes true",
                "autosave_interval 1",
            ]
        (self.folder / "mosquitto.conf").write_text("".join(f"{line}\n" for line in lines))

    def command(self) -> Sequence[str]:
        """The server with its configuration."""
        return [self.program, "-c", str(self.folder / "mosquitto.conf")]

    def answers(self) -> bool:
        """Whether it answers CONNECT with CONNACK."""
        tls = None if self.certificates is None else self.certificates.authority
        return ask(self.port, _CONNECT, tls=tls).startswith(b"\x20\x02")

    def saved_since(self, moment_secs: float) -> bool:
        """Whether it wrote its state to disk after a moment of the wall clock."""
        file = self.folder / "mosquitto.db"
        return file.exists() and file.stat().st_mtime > moment_secs
