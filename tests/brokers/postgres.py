"""A PostgreSQL with logical replication switched on."""

import socket

from tests.brokers.server import Server, program

NAME, PASSWORD = "reactor", "made up"


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
        super().kill()
        # What the postmaster started notices by itself; it must be gone before the next start.
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
