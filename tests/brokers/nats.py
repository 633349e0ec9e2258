"""A real NATS server with JetStream for tests."""

from collections.abc import Sequence
from typing import ClassVar

from tests.brokers.server import Server, ask


class Nats(Server):
    """NATS. A publish that JetStream answered is in its file, so that a kill loses nothing.

    Debian's 2.9 cannot be told to fsync each one, which only a power cut would show. `settings` is
    more text of its configuration file: users, TLS, limits.
    """

    name: ClassVar[str] = "nats-server"
    package: ClassVar[str] = "nats-server"

    def __init__(self, *, settings: str = "") -> None:
        super().__init__()
        self.settings = settings

    @property
    def url(self) -> str:
        """Its address for clients."""
        return f"nats://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Write the configuration."""
        text = f"""\
listen: "127.0.0.1:{self.port}"
jetstream {{ store_dir: "{self.folder}/jetstream" }}
{self.settings}
"""
        (self.folder / "nats.conf").write_text(text)

    def command(self) -> Sequence[str]:
        """The server with its configuration."""
        return [self.program, "-c", str(self.folder / "nats.conf")]

    def answers(self) -> bool:
        """Whether it greets clients."""
        return ask(self.port, b"").startswith(b"INFO ")
