"""A MariaDB with a row-based binary log."""

import shutil

from tests.brokers.server import Server, ask, program


class Mariadb(Server):
    """A data folder of its own; `dsn` is its root's way in, over TCP, to the database `shop`."""

    name = "mariadbd"
    package = "mariadb-server"
    user = "mysql"

    @property
    def dsn(self) -> str:
        """The URL of the database `shop`."""
        return self.dsn_at(self.port)

    def dsn_at(self, port: int, user: str = "root", database: str = "shop") -> str:
        """The same through another port, for another user."""
        return f"mysql://{user}@127.0.0.1:{port}/{database}"

    def prepare(self) -> None:
        """Make an empty data folder, once, whose root needs no password."""
        if (self.folder / "data").exists():
            return
        tool = program("mariadb-install-db", self.package)
        self.run(
            tool,
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=8M",
        )
        (self.folder / "data" / "shop").mkdir()
        shutil.chown(self.folder / "data" / "shop", *self._owner())

    def command(self) -> list[str]:
        """Small, and killed, it loses nothing without fsync, as the machine stays up."""
        return [
            self.program,
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            "--server-id=1",
            "--log-bin=binlog",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
            "--binlog-row-metadata=FULL",
            "--sync-binlog=0",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
            "--performance-schema=OFF",
            "--character-set-server=utf8mb4",
        ]

    def end(self) -> None:
        """Leave nothing behind, and save nothing first."""
        self.kill()
        super().end()

    def answers(self) -> bool:
        """Whether it greets: the first packet holds the protocol's version 10."""
        return ask(self.port, b"")[4:5] == b"\x0a"

    def _owner(self) -> tuple[int, int]:
        found = (self.folder / "data").stat()
        return found.st_uid, found.st_gid
