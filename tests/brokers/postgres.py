"""A PostgreSQL with logical replication switched on."""

import os
import select
import signal
import socket
from contextlib import suppress
from pathlib import Path

from tests.brokers.server import Server, program

NAME, PASSWORD = "reactor", "made up"
_GONE_SECS = 10.0


class Postgres(Server):
    """A cluster of its own; `dsn` is its superuser's way in, over TCP."""

    name = "postgres"
    package = "postgresql"
    user = "postgres"
    wal_level = "logical"

    @property
    def dsn(self) -> str:
        """The URL of the database `postgres`."""
        return self.dsn_at(self.port)

    def dsn_at(self, port: int, user: str = "postgres", database: str = "postgres") -> str:
        """The same through another port, for another user."""
        return f"postgresql://{user}@127.0.0.1:{port}/{database}"

    def prepare(self) -> None:
        """Make an empty cluster, once."""
        if (self.folder / "data").exists():
            return
        given = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8")
        self.run(program("initdb", self.package), "-D", "data", "--no-sync", *given)

    def command(self) -> list[str]:
        """Small; killed, it loses nothing without fsync, as the machine stays up."""
        settings = {
            "wal_level": self.wal_level,
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_wal_senders": 10,
            "max_replication_slots": 10,
            "shared_buffers": "16MB",
            "fsync": "off",
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self.program, "-D", str(self.folder / "data"), *given]

    def kill(self) -> None:
        """End it as a power cut would, its children too."""
        self.pause()  # so that it starts no more of them
        children = []
        for child in self._children():
            with suppress(ProcessLookupError):
                children.append(os.pidfd_open(child))
        super().kill()
        for child in children:
            # Each leads a group of its own, and holds the memory that the next start wants.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(child, signal.SIGKILL)
            ended, _, _ = select.select([child], [], [], _GONE_SECS)
            os.close(child)
            assert ended, "a process of PostgreSQL does not end"
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def end(self) -> None:
        """Leave nothing behind, and save nothing first."""
        self.kill()
        super().end()

    def answers(self) -> bool:
        """Whether it takes connections: a start packet is answered by an R, for authentication."""
        packet = b"\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"
        with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            connection.sendall((len(packet) + 4).to_bytes(4, "big") + packet)
            return connection.recv(1) == b"R"

    def _children(self) -> list[int]:
        if self.process is None or self.process.poll() is not None:
            return []
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
