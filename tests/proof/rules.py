"""What must be true of every history, whatever the seed was: a list of what is not."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from reactor.ids import id_text
from reactor.model.execution import Execution, State
from tests.proof.judge import Kept, read
from tests.proof.outside import Call
from tests.proof.simulation import Seeded

TAKEN_BY = {"plain": {"plain", "tally"}}
MAY_END = {
    "lone": {State.OK, State.SKIPPED},
    "newest": {State.OK, State.SKIPPED},
    "again": {State.OK, State.SKIPPED, State.CANCELLED},
    "picky": {State.FAILED},
}
MOST = {"plain": 4, "sleepy": 2, "spread": 2, "tally": 8}
ONE_AT_A_TIME = ("line", "lone", "newest", "again")
NAP_MS = 25_000


def broken(seeded: Seeded) -> list[str]:
    """Every rule that a history breaks, in words."""
    history = _History(seeded, read(seeded.folder))
    rules = (
        _events, _ends, _effects, _results, _inputs, _order, _slots, _counts, _children, _naps,
    )  # fmt: skip
    return [f"seed {seeded.seed}: {fault}" for rule in rules for fault in rule(history)]


class _History:
    def __init__(self, seeded: Seeded, kept: Kept) -> None:
        self.seeded = seeded
        self.kept = kept
        self.rows = sorted(kept.executions.values(), key=lambda row: row.id)
        self.calls: dict[str, list[tuple[int, Call]]] = defaultdict(list)
        for place, call in enumerate(seeded.outside.calls):
            self.calls[call.execution].append((place, call))

    def of(self, flow: str) -> list[Execution]:
        return [row for row in self.rows if row.flow == flow]

    def made(self, row: Execution) -> list[tuple[int, Call]]:
        return self.calls[id_text("exe", row.id)]


def _events(history: _History) -> Iterator[str]:
    """Every message started exactly the executions it should, however often it was delivered."""
    outside, rows = history.seeded.outside, history.rows
    wanted: Counter[str] = Counter()
    for message in outside.messages:
        wanted.update(TAKEN_BY.get(message.kind, {message.kind}))
    wanted["child"] = wanted["parent"]
    found = Counter(row.flow for row in rows)
    for flow in sorted(wanted.keys() | found.keys()):
        if wanted[flow] != found[flow]:
            yield f"{flow}: {found[flow]} executions for {wanted[flow]} events"
    if history.seeded.repaired:
        yield f"{history.seeded.repaired} executions had no owner"


def _ends(history: _History) -> Iterator[str]:
    """Everything ended, in a way that its flow allows; what failed is a dead letter, once."""
    for row in history.rows:
        if row.state not in MAY_END.get(row.flow, {State.OK}):
            yield f"{row.flow} {id_text('exe', row.id)} is {row.state.word}: {row.error}"
    dead = Counter(letter.execution for letter in history.kept.dead)
    failed = Counter(row.id for row in history.rows if row.state is State.FAILED)
    if dead != failed:
        yield f"dead letters {dead} for failed executions {failed}"


def _effects(history: _History) -> Iterator[str]:
    """Each step of an execution that is ok took effect, no more often than crashes allow."""
    wanted = {"plain": 3, "line": 2, "lone": 1, "newest": 1, "sleepy": 2, "tally": 1, "parent": 2}
    for row in history.rows:
        good = Counter(call.key for _, call in history.made(row) if call.ended == "ok")
        if row.state is State.OK and len(good) < wanted.get(row.flow, 0):
            yield f"{row.flow} {id_text('exe', row.id)} is ok with {len(good)} effects"
        often = [key for key, count in good.items() if count > history.seeded.crashes + 1]
        if often:
            yield f"{often} took effect more often than the daemon died"
    for execution in history.calls.keys() - {id_text("exe", row.id) for row in history.rows}:
        yield f"{execution} touched the outside, and is not in the store"


def _results(history: _History) -> Iterator[str]:
    """A step whose successor has begun is never tried again: its result was stored before."""
    for flow in ("plain", "line", "sleepy", "parent", "picky"):
        for row in history.of(flow):
            ended: set[str] = set()
            last = ""
            for _, call in history.made(row):
                if call.key in ended:
                    yield f"{call.key} ran again after its successor had begun"
                if last and call.key != last:
                    ended.add(last)
                last = call.key


def _inputs(history: _History) -> Iterator[str]:
    """All attempts of a step are given the same, in every life."""
    given: dict[str, Any] = {}
    for call in history.seeded.outside.calls:
        if given.setdefault(call.key, call.given) != call.given:
            yield f"{call.key} was given {given[call.key]}, then {call.given}"


def _order(history: _History) -> Iterator[str]:
    """Executions of one key touch the outside one after the other, in order of acceptance."""
    for flow in ONE_AT_A_TIME:
        by_key: dict[str | None, list[list[int]]] = defaultdict(list)
        for row in history.of(flow):
            places = [place for place, _ in history.made(row)]
            if places:
                by_key[row.key].append(places)
        for key, spans in by_key.items():
            for before, after in pairwise(spans):
                if max(before) > min(after):
                    yield f"{flow} key {key}: two executions overlap or changed places"


def _slots(history: _History) -> Iterator[str]:
    """No flow has more executions at work than its `max`."""
    for flow, most in MOST.items():
        if history.seeded.outside.most[flow] > most:
            yield f"{flow}: {history.seeded.outside.most[flow]} at work, {most} allowed"


def _counts(history: _History) -> Iterator[str]:
    """`set` counts each execution once, however often it was taken up."""
    for name, flow in (("before", "tally"), ("after", "tally"), ("quick", "quick")):
        wanted = Counter(row.key for row in history.of(flow))
        if history.kept.by_key(name) != dict(wanted):
            yield f"state.{name} is {history.kept.by_key(name)}, {dict(wanted)} executions ended"


def _children(history: _History) -> Iterator[str]:
    """What a step emits starts one execution, not one for each attempt or crash."""
    given = Counter(call.given for row in history.of("child") for _, call in history.made(row)[:1])
    twice = [number for number, count in given.items() if count > 1]
    if twice:
        yield f"children {twice} were born twice"


def _naps(history: _History) -> Iterator[str]:
    """Nobody wakes before its time; where the clock was never set, that is a fact of the trace."""
    if any("clock set" in line for line in history.seeded.trace):
        return
    for row in history.of("sleepy"):
        begun: dict[str, list[int]] = defaultdict(list)
        for _, call in history.made(row):
            begun[call.step].append(call.began_ms)
        if begun["two"] and min(begun["two"]) - max(begun["one"]) < NAP_MS:
            yield f"{id_text('exe', row.id)} woke too early"
