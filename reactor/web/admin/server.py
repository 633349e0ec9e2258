"""Serves the API on a Unix socket in the state folder, for the daemon's own user and root."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reactor.clock import Clock
from reactor.store import History
from reactor.web.admin.address import short_path, socket_path
from reactor.web.admin.control import Control

# A slow or silent client must not hold a connection for long.
_KEEPALIVE_SECS = 15.0
_BACKLOG = 64


@contextmanager
def api_socket(state: Path) -> Iterator[socket.socket]:
    """The socket of the API, which clients may connect to from now on; gone at the end.

    A socket that an earlier daemon left behind is replaced: whoever calls this holds the lock of
    the state folder.
    """
    path = socket_path(state)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        with short_path(path) as name:
            listening.bind(name)
        # Nobody can connect before `listen`, so there is no moment with wider rights.
        path.chmod(0o600)
        listening.setblocking(False)
        listening.listen(_BACKLOG)
        try:
            yield listening
        finally:
            path.unlink(missing_ok=True)


async def serve_api(
    listening: socket.socket,
    control: Control,
    history: History,
    clock: Clock,
    *,
    version: str,
    allowed: frozenset[int] | None = None,
) -> None:
    """Answer what comes over the socket, until cancelled.

    Without `allowed` the daemon's own user and root may call. The server library comes now, in a
    thread: a third of the time to READY, for a socket on which clients can wait.
    """
    users = frozenset({os.geteuid(), 0}) if allowed is None else allowed
    web, application, access = await asyncio.to_thread(_library)
    runner = web.AppRunner(
        application(access(control, history, clock), version=version, allowed=users),
        access_log=None,
        handle_signals=False,
        keepalive_timeout=_KEEPALIVE_SECS,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening, backlog=_BACKLOG).start()
        await asyncio.get_running_loop().create_future()
    finally:
        await runner.cleanup()


def _library() -> tuple[Any, Any, Any]:
    from aiohttp import web

    from reactor.web.admin.application import application
    from reactor.web.admin.asked import Access

    return web, application, Access
