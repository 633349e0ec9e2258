"""kill -9 at random moments under load: nothing accepted is lost, nothing unexpected runs."""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from typing import Any

CYCLES = 30
CLIENTS = 6
AT_ONCE = 16

FLOWS = f"""
flow: keep
when: {{http: {{path: /keep, verify: none}}}}
only_if: event.body.n >= 0
run: {{max: {AT_ONCE}}}
do:
  - map: {{over: "[event.body.id]", to: "${{{{ item }}}}"}}
  - set: {{last: event.body.id}}
  - log: done
---
flow: relay
when: {{http: {{path: /relay, verify: none}}}}
run: {{max: {AT_ONCE}}}
do:
  - http: {{post: "SINK/relay", json: {{id: "${{{{ event.body.id }}}}"}}}}
    retry: {{max: 20, delay: 50ms, factor: 1, jitter: none}}
"""


class History:
    """What the clients offered, and what they know of it."""

    def __init__(self) -> None:
        self.offered: dict[str, str] = {}
        self.accepted: dict[str, str] = {}
        self.odd: Counter[int] = Counter()

    @property
    def unknown(self) -> list[str]:
        """Offered, and nobody knows whether it was taken."""
        return [id_ for id_ in self.offered if id_ not in self.accepted]

    def hear(self, id_: str, status: int, body: bytes) -> None:
        """Note an answer; a second one for the same id must name the same execution."""
        if status not in (200, 202):
            self.odd[status] += 1
            return
        execution = json.loads(body)["execution"]
        assert self.accepted.setdefault(id_, execution) == execution


async def offer(address: str, history: History, ids: Any) -> None:
    """Send ids on one connection until it breaks."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with suppress(OSError, asyncio.IncompleteReadError):
        for id_ in ids:
            path = history.offered.setdefault(id_, "/relay" if int(id_) % 4 == 0 else "/keep")
            body = b'{"id": "%b", "n": 1}' % id_.encode()
            head = (
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Idempotency-Key: {id_}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in answer[1:] if line)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            history.hear(id_, int(answer[0].split()[1]), body)
    writer.close()


async def load(daemon: Any, history: History, numbers: Any, chance: random.Random) -> None:
    """Offer from several clients, what is unknown first; kill the daemon at a random moment."""
    unknown = iter(history.unknown)
    fresh = (str(next(numbers)) for _ in iter(int, 1))

    def ids() -> Any:
        yield from unknown
        yield from fresh

    tasks = [asyncio.create_task(offer(daemon.address, history, ids())) for _ in range(CLIENTS)]
    await asyncio.sleep(chance.uniform(0.05, 0.5))
    daemon.kill()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_nothing_is_lost_by_thirty_kills(daemon: Any, sink: Any) -> None:
    """Every accepted event has run to its end, each effect is there, repeats are bounded."""
    daemon.flow("load", FLOWS.replace("SINK", sink.url))
    history, chance, numbers = History(), random.Random(7), iter(range(1_000_000))
    for _ in range(CYCLES):
        daemon.start()
        asyncio.run(load(daemon, history, numbers, chance))

    daemon.start()
    daemon.at_rest()

    runs = {run["execution"]: run for run in daemon.executions()}
    lost = [id_ for id_, execution in history.accepted.items() if execution not in runs]
    unexpected = len(runs.keys() - set(history.accepted.values()))
    sent = Counter(json.loads(body)["id"] for _, _, body in sink.heard)
    relayed = {id_ for id_ in history.accepted if history.offered[id_] == "/relay"}
    assert len(history.accepted) > 30 * CYCLES
    assert lost == []
    assert unexpected <= len(history.unknown)
    assert {run["state"] for run in runs.values()} == {"ok"}
    assert relayed <= set(sent)
    assert set(sent) <= set(history.offered)
    assert sum(sent.values()) - len(sent) <= CYCLES * AT_ONCE
    assert daemon.api.get("dead")["items"] == []
    assert not history.odd
    assert not daemon.said("had no owner")
