"""kill -9 of a real daemon under load, at random moments and at every failpoint."""

import asyncio
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from reactor.cli.client import Client as Api
from reactor.errors import ReactorError
from reactor.failpoints import PLACES
from tests.proof.judge import effects, expect, read, verdict
from tests.proof.offers import Client, History
from tests.proof.report import Figures
from tests.proof.sinks import Sink
from tests.system.conftest import Daemon

CLIENTS = 16
AT_ONCE = 16
# Of so many events so many go to each flow.
PATHS = {"/keep": 84, "/line": 14, "/nap": 2}
LARGE_EVERY = 400

FLOWS = f"""
flow: keep
when: {{http: {{path: /keep, verify: none, max_body: 4MiB}}}}
only_if: event.body.number >= 0
run: {{max: {AT_ONCE}}}
do:
  - map: {{over: "[event.body.id]", to: "${{{{ item }}}}"}}
  - set:
      kept:
        key: event.body.client
        value: (state.kept[event.body.client] | default(0)) + 1
---
flow: line
when: {{http: {{path: /line, verify: none, max_body: 4MiB}}, key: event.body.client}}
run: {{mode: queue}}
do:
  - http:
      post: "SINK/line"
      json: {{id: "${{{{ event.body.id }}}}", client: "${{{{ event.body.client }}}}",
             number: "${{{{ event.body.number }}}}"}}
    retry: {{max: 20, delay: 50ms, factor: 1, jitter: none}}
---
flow: nap
when: {{http: {{path: /nap, verify: none, max_body: 4MiB}}}}
run: {{max: {AT_ONCE}}}
do:
  - wait: 200ms
  - set:
      rested:
        key: event.body.client
        value: (state.rested[event.body.client] | default(0)) + 1
"""
OTHER = "flow: other\nwhen: {{event: {{type: never}}}}\ndo: [log: {number}]\n"

# How often a place is passed in one life, at most; the others are passed with nearly every event.
SELDOM = {
    "the boot is counted": 1,
    "the open ones are taken up": 1,
    "before a file gets its name": 3,
    "a sleeper wakes": 8,
    "flows are read": 1,
    "flows are swapped": 1,
    "the drain begins": 1,
    "nothing runs any more": 1,
    "before the clean mark": 1,
}
DRAINED = ("the drain begins", "nothing runs any more", "before the clean mark")
# Old rows go once a minute only: the test of retention has a process of its own for this place.
ELSEWHERE = "before history goes"
OFTEN = 600


class Kills:
    """A daemon, its clients and its ends; `places` are the failpoints to die at in turn."""

    def __init__(self, daemon: Daemon, sink: Sink, seed: int, span_secs: float) -> None:
        self.history = History()
        self.ends: Counter[str] = Counter()
        self._daemon = daemon
        self._chance = random.Random(seed)
        self._span_secs = span_secs
        self._clients = [
            Client(number, self.history, PATHS, LARGE_EVERY) for number in range(CLIENTS)
        ]
        daemon.flow("load", FLOWS.replace("SINK", sink.url))

    def cycle(self, number: int, place: str | None) -> None:
        """One life of the daemon, which ends at a failpoint or at a random moment."""
        daemon, count = self._daemon, 0
        daemon.environ.pop("REACTOR_FAILPOINTS", None)
        if place is not None:
            count = self._chance.randint(1, SELDOM.get(place, OFTEN))
            daemon.environ["REACTOR_FAILPOINTS"] = f"{place}:{count}"
        if self._begin():
            asyncio.run(self._load(number, place))
        died = daemon.process is not None and daemon.process.poll() is not None
        daemon.kill()
        assert daemon.wait() in (-9, 0)
        self.ends[place if place is not None and died else "a random moment"] += 1

    def _begin(self) -> bool:
        """Start the daemon; False when it dies before it is ready."""
        try:
            self._daemon.start()
        except AssertionError:
            if self._daemon.wait() != -9:
                raise
            return False
        return True

    async def _load(self, number: int, place: str | None) -> None:
        daemon = self._daemon
        sends = [asyncio.create_task(one.send(daemon.address)) for one in self._clients]
        reload = asyncio.create_task(asyncio.to_thread(self._reload, number))
        span_secs = self._chance.uniform(0.1, 2 * self._span_secs - 0.1)
        if place is not None and place not in DRAINED:
            span_secs += 4 * self._span_secs  # until it is reached
        _, alive = await asyncio.wait(sends, timeout=span_secs)
        if alive and place in DRAINED:
            daemon.signal(signal.SIGTERM)
            await asyncio.wait(alive, timeout=10)
        elif alive:
            daemon.kill()
        await asyncio.gather(*sends, reload, return_exceptions=True)

    def _reload(self, number: int) -> None:
        self._daemon.flow("other", OTHER.format(number=number))
        with suppress(ReactorError, OSError):
            Api(self._daemon.state).post("reload")


def kills(folder: Path, *, cycles: int, span_secs: float, seed: int = 7) -> Figures:
    """Kill a daemon so often; everything that was acknowledged has run to its end."""
    began = time.monotonic()
    daemon = Daemon(folder)
    places = [place for place in PLACES if place != ELSEWHERE]
    with Sink() as sink:
        cycling = Kills(daemon, sink, seed, span_secs)
        try:
            for number in range(cycles):
                # Every second life ends at a failpoint, each in its turn.
                place = places[number // 2 % len(places)] if number % 2 else None
                cycling.cycle(number, place)
            daemon.environ.pop("REACTOR_FAILPOINTS", None)
            daemon.start()
            daemon.at_rest(600)
            ownerless = daemon.api.get("doctor")
            assert daemon.stop() == 0
        finally:
            daemon.end()
        history, kept = cycling.history, read(daemon.state)
        numbers = {
            "kills": sum(cycling.ends.values()),
            "at failpoints": sum(cycling.ends.values()) - cycling.ends["a random moment"],
            "places": len(cycling.ends) - 1,
            "offered": len(history.offered),
            "accepted": len(history.accepted),
            "unknown": len(history.unknown),
            **verdict(history, kept),
            **effects(history, list(sink.heard), "/line", kept),
        }
    counted = sum(kept.by_key("kept").values()) + sum(kept.by_key("rested").values())
    ran = sum(row.flow in ("keep", "nap") for row in kept.executions.values())
    numbers["counted wrong"] = abs(counted - ran)
    numbers["had no owner"] = "had no owner" in str(ownerless)
    expect(
        numbers, lost=0, unexpected=0, contradictions=0, open=0, not_ok=0, dead_letters=0,
        effects_missing=0, effects_unexpected=0, effects_under_two_keys=0, effects_out_of_order=0,
        effects_seen_twice=cycles * AT_ONCE, counted_wrong=0, had_no_owner=0,
    )  # fmt: skip
    return Figures("kill -9", numbers, time.monotonic() - began)
