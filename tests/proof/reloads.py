"""Flows that change under load: nothing is lost, and every event runs on one version."""

import asyncio
import time
from collections import Counter
from pathlib import Path

from reactor.cli.client import Client as Api
from reactor.ids import id_text
from tests.proof.judge import effects, expect, read, verdict
from tests.proof.offers import Client, History
from tests.proof.report import Figures
from tests.proof.sinks import Sink
from tests.system.conftest import Daemon

FLOWS = 10
CLIENTS = 4
FLOW = """
flow: flow-{number}
when: {{http: {{path: /{number}, verify: none}}}}
run: {{max: 16}}
vars: {{version: {version}}}
do:
  - map: {{over: "[1]", to: {version}}}
  - http:
      post: "{sink}/told"
      json: {{id: "${{{{ event.body.id }}}}", client: "${{{{ event.body.client }}}}",
             number: "${{{{ event.body.number }}}}", before: "${{{{ steps.map.output[0] }}}}",
             after: "${{{{ vars.version }}}}", written: {version}}}
    retry: {{max: 20, delay: 50ms, jitter: none}}
"""


def reloads(folder: Path, *, times: int) -> Figures:
    """Rewrite ten flows so often while clients call them."""
    began = time.monotonic()
    daemon, history = Daemon(folder), History()
    with Sink() as sink:
        _write(daemon, sink, 0)
        daemon.start()
        try:
            asyncio.run(_load(daemon, sink, history, times))
            daemon.at_rest(120)
            versions = max(int(data["written"]) for _, data in sink.heard)
            assert daemon.stop() == 0
        finally:
            daemon.end()
        kept, heard = read(daemon.state), list(sink.heard)
    told: dict[str, set[int]] = {}
    for key, data in heard:
        seen = told.setdefault(key.partition(":")[0], set())
        seen |= {data["before"], data["after"], data["written"]}
    by_event = Counter(row.event for row in kept.executions.values())
    numbers = {
        "reloads": times,
        "newest version that ran": versions,
        "accepted": len(history.accepted),
        "refused": sum(history.refused.values()),
        "on two versions": sum(len(found) > 1 for found in told.values()),
        "started twice": sum(count > 1 for count in by_event.values()),
        "ran without effect": sum(id_text("exe", number) not in told for number in kept.executions),
        **verdict(history, kept),
        **effects(history, heard, "", kept),
    }
    expect(
        numbers, lost=0, unexpected=0, contradictions=0, open=0, not_ok=0, dead_letters=0,
        refused=0, on_two_versions=0, started_twice=0, ran_without_effect=0,
        effects_unexpected=0,
    )  # fmt: skip
    for name in ("effects missing", "effects out of order", "effects under two keys"):
        del numbers[name]  # these flows promise no order
    return Figures("reload of ten flows under load", numbers, time.monotonic() - began)


def _write(daemon: Daemon, sink: Sink, version: int) -> None:
    for number in range(FLOWS):
        text = FLOW.format(number=number, version=version, sink=sink.url)
        daemon.flow(f"flow-{number}", text)


async def _load(daemon: Daemon, sink: Sink, history: History, times: int) -> None:
    paths = {f"/{number}": 1 for number in range(FLOWS)}
    clients = [Client(number, history, paths, 0) for number in range(CLIENTS)]
    sending = [asyncio.create_task(client.send(daemon.address)) for client in clients]
    api = Api(daemon.state)
    for version in range(1, times + 1):
        await asyncio.to_thread(_write, daemon, sink, version)
        await asyncio.to_thread(api.post, "reload")
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)
    await asyncio.gather(*(client.send(daemon.address, most=3) for client in clients))
