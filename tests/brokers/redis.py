"""A real Redis for tests."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tests.brokers.certificates import Certificates
from tests.brokers.server import Server, ask


class Redis(Server):
    """Redis; with `strict` it answers a write only after its fsync, so a kill loses nothing.

    `settings` are lines of redis.conf; with `requirepass` among them it counts as ready too. With
    `certificates` it speaks TLS only.
    """

    name: ClassVar[str] = "redis-server"
    package: ClassVar[str] = "redis-server"

    def __init__(
        self,
        *,
        strict: bool = True,
        settings: Mapping[str, str] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        super().__init__()
        self.strict = strict
        self.settings = dict(settings or {})
        self.certificates = certificates

    @property
    def url(self) -> str:
        """Its address for clients."""
        return f"redis://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Write redis.conf."""
        lines = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "save": '""',
            "appendonly": "yes" if self.strict else "no",
            "appendfsync": "always",
            # Or it forks a writer in the middle of a test.
            "auto-aof-rewrite-percentage": "0",
            **self.settings,
        }
        if self.certificates is not None:
            lines |= {
                "port": "0",
                "tls-port": str(self.port),
                "tls-cert-file": str(self.certificates.cert),
                "tls-key-file": str(self.certificates.key),
                "tls-ca-cert-file": str(self.certificates.authority),
                "tls-auth-clients": "no",
            }
        text = "".join(f"{name} {value}\n" for name, value in lines.items())
        (self.folder / "redis.conf").write_text(text)

    def command(self) -> Sequence[str]:
        """The server with its configuration."""
        return [self.program, str(self.folder / "redis.conf")]

    def answers(self) -> bool:
        """Whether it answers PING; a demand for a password is an answer, `LOADING` is none."""
        return ask(self.port, b"PING\r\n", tls=self.certificates).startswith((b"+PONG", b"-NOAUTH"))
