"""What the daemon tells systemd, when it was started by it (sd_notify(3))."""

import logging
import os
import socket
from collections.abc import Mapping

from reactor.clock import Clock

_LOG = logging.getLogger(__name__)


class Systemd:
    """Messages to the service manager; silent where there is none.

    `watchdog_secs` is how often `watchdog()` is due (half of what the unit allows), or None.
    """

    def __init__(self, environ: Mapping[str, str], clock: Clock, *, pid: int | None = None) -> None:
        self._clock = clock
        name = environ.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte of Linux's abstract names.
        self._address = "\0" + name[1:] if name.startswith("@") else name
        mine = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid() if pid is None else pid))
        usec = environ.get("WATCHDOG_USEC", "")
        allowed = int(usec) / 1e6 if mine and self._address and usec.isdecimal() else 0.0
        self.watchdog_secs = allowed / 2 or None

    def ready(self, status: str = "") -> None:
        """The daemon serves (also after a reload)."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        usec = int(self._clock.monotonic_secs() * 1e6)
        self._send("RELOADING=1", f"MONOTONIC_USEC={usec}")

    def stopping(self) -> None:
        """The daemon drains."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def watchdog(self) -> None:
        """The event loop turns."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(" ".join(line.splitlines()) for line in lines).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message, self._address)
        except OSError as error:
            _LOG.debug("systemd does not listen", extra={"error": str(error)})
