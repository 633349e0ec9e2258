"""Serves the API on a Unix socket in the state folder, for the daemon's own user and root."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from reactor.clock import Clock
from reactor.store import History
from reactor.web.admin.address import short_path, socket_path
from reactor.web.admin.application import application
from reactor.web.admin.control import Control
from reactor.web.admin.endpoints import Access

# A slow or silent client must not hold a connection for long.
_KEEPALIVE_SECS = 15.0
_BACKLOG = 64


@asynccontextmanager
async def serve_api(
    control: Control,
    history: History,
    clock: Clock,
    state: Path,
    *,
    version: str,
    allowed: frozenset[int] | None = None,
) -> AsyncIterator[Path]:
    """Serve while the context is open; gives the socket's path.

    A socket that an earlier daemon left behind is replaced: whoever calls this holds the lock of
    the state folder. Without `allowed` the daemon's own user and root may call.
    """
    users = frozenset({os.geteuid(), 0}) if allowed is None else allowed
    access = Access(control, history, clock)
    runner = web.AppRunner(
        application(access, version=version, allowed=users),
        access_log=None,
        handle_signals=False,
        keepalive_timeout=_KEEPALIVE_SECS,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    path = socket_path(state)
    listening = _bind(path)
    try:
        await web.SockSite(runner, listening, backlog=_BACKLOG).start()
        yield path
    finally:
        path.unlink(missing_ok=True)
        await runner.cleanup()
        listening.close()


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            listening.bind(name)
        # Nobody can connect before `listen`, so there is no moment with wider rights.
        path.chmod(0o600)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening
