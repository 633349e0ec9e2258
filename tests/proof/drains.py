"""A drain under load whose peers are dead; it takes half a minute, so `make proof` only."""

import asyncio
import signal
import socket
import time
from pathlib import Path

from tests.proof.judge import expect, read, verdict
from tests.proof.offers import Client, History
from tests.proof.report import Figures
from tests.system.conftest import Daemon

CLIENTS = 8
DEAD = """
flow: dead
when: {{http: {{path: /dead, verify: none}}}}
do:
  - http: {{post: "http://127.0.0.1:{port}/", json: {{}}}}
    timeout: 5m
"""
DRAIN_SECS = 40.0  # 30 for steps, 5 for connections, and some for a busy machine


def drain(folder: Path) -> Figures:
    """Exit 0 in time, with steps under way that wait for a peer that never answers."""
    began = time.monotonic()
    daemon, history = Daemon(folder), History()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        daemon.flow("dead", DEAD.format(port=silent.getsockname()[1]))
        daemon.start()
        try:
            secs = asyncio.run(_drain(daemon, history))
        finally:
            daemon.end()
    kept = read(daemon.state)
    numbers = {
        "accepted": len(history.accepted),
        "refused with 503": history.refused[503],
        "ended after s": secs,
        **verdict(history, kept),
    }
    expect(numbers, lost=0, unexpected=0, contradictions=0, dead_letters=0)
    assert secs < DRAIN_SECS
    assert numbers["open"] == len(kept.executions), "what was cut runs next time"
    return Figures("drain with dead peers", numbers, time.monotonic() - began)


async def _drain(daemon: Daemon, history: History) -> float:
    clients = [Client(number, history, {"/dead": 1}, 0) for number in range(CLIENTS)]
    await asyncio.gather(*(client.send(daemon.address, most=10) for client in clients))
    sending = [asyncio.create_task(client.send(daemon.address)) for client in clients]
    began = time.monotonic()
    daemon.signal(signal.SIGTERM)
    code = await asyncio.to_thread(daemon.wait)
    assert code == 0, f"exit {code}"
    await asyncio.gather(*sending, return_exceptions=True)
    return time.monotonic() - began
