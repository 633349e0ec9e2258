"""What must be true of every history, whatever the seed was: a list of what is not."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from reactor.ids import id_text
from reactor.model.execution import Execution, State
from tests.proof.judge import Kept, read
from tests.proof.outside import Call, Message
from tests.proof.simulation import Seeded

TAKEN_BY = {"plain": {"plain", "tally"}, "asker": {"asker", "told"}, "word": set()}
# How many start is for their own rules.
GATHERED = ("box", "burst", "third", "pair", "silent", "span", "sour", "edge", "torn-child")
MAY_END = {
    "lone": {State.OK, State.SKIPPED},
    "newest": {State.OK, State.SKIPPED},
    "again": {State.OK, State.SKIPPED, State.CANCELLED},
    "picky": {State.FAILED},
    "back": {State.FAILED},
    "sour": {State.OK, State.FAILED},
    "torn": {State.OK, State.CANCELLED},
    "torn-child": {State.OK, State.CANCELLED},
}
MOST = {"plain": 4, "sleepy": 2, "spread": 2, "tally": 8}
ONE_AT_A_TIME = ("line", "lone", "newest", "again")
NAP_MS = 25_000
HEARS_MS = 60_000
THROTTLE = (2, 10_000)
SLOW_MS = 3_000  # a start is due at its time, and begins when a commit that takes its time is over


def broken(seeded: Seeded) -> list[str]:
    """Every rule that a history breaks, in words."""
    history = _History(seeded, read(seeded.folder))
    rules = (
        _events, _ends, _effects, _results, _inputs, _order, _slots, _counts, _children, _naps,
        _gathers, _pairs, _silence, _pace, _words, _answers, _undone, _called, _edges, _sour,
        _torn,
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

    def published(self, kind: str) -> list[Message]:
        return [message for message in self.seeded.outside.messages if message.kind == kind]

    def given(self, flow: str, step: str = "one") -> list[tuple[Execution, Any]]:
        """What each execution of a flow gave to its step, where it came so far."""
        first = [
            (row, next((call for _, call in self.made(row) if call.step == step), None))
            for row in self.of(flow)
        ]
        return [(row, call.given) for row, call in first if call is not None]

    @property
    def clock_was_set(self) -> bool:
        return any("clock set" in line for line in self.seeded.trace)


def _events(history: _History) -> Iterator[str]:
    """Every message started exactly the executions it should, however often it was delivered."""
    outside, rows = history.seeded.outside, history.rows
    wanted: Counter[str] = Counter()
    for message in outside.messages:
        wanted.update(TAKEN_BY.get(message.kind, {message.kind}))
    wanted["child"] = wanted["parent"]
    found = Counter(row.flow for row in rows)
    for flow in sorted(wanted.keys() | found.keys()):
        if wanted[flow] != found[flow] and flow not in GATHERED:
            yield f"{flow}: {found[flow]} executions for {wanted[flow]} events"
    if history.seeded.repaired:
        yield f"{history.seeded.repaired} executions had no owner"


def _ends(history: _History) -> Iterator[str]:
    """Everything ended, in a way that its flow allows; what failed is a dead letter, once."""
    for row in history.rows:
        if row.state not in MAY_END.get(row.flow, {State.OK}):
            yield f"{row.flow} {id_text('exe', row.id)} is {row.state.word}: {row.error}"
    dead = Counter(letter.execution for letter in history.kept.dead if letter.kind != "undo")
    halved = {row.id for row, numbers in history.given("sour") if len(numbers) > 1}
    failed = Counter(
        row.id for row in history.rows if row.state is State.FAILED and row.id not in halved
    )
    if dead != failed:
        yield f"dead letters {dead} for failed executions {failed}"


def _effects(history: _History) -> Iterator[str]:
    """Each step of an execution that is ok took effect, no more often than crashes allow."""
    wanted = dict.fromkeys((*GATHERED, "slow", "hears", "asks", "asker", "told", "torn"), 1)
    wanted |= {"plain": 3, "line": 2, "lone": 1, "newest": 1, "sleepy": 2, "tally": 1, "parent": 2}
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
    for flow in ("plain", "line", "sleepy", "parent", "picky", "back"):
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
    if history.clock_was_set:
        return
    for row in history.of("sleepy"):
        begun: dict[str, list[int]] = defaultdict(list)
        for _, call in history.made(row):
            begun[call.step].append(call.began_ms)
        if begun["two"] and min(begun["two"]) - max(begun["one"]) < NAP_MS:
            yield f"{id_text('exe', row.id)} woke too early"


def _gathers(history: _History) -> Iterator[str]:
    """A batch or a burst has each event once and leaves none out; of a count, each third fires."""
    for flow in ("box", "burst", "third", "span"):
        keys = {message.id: message.key for message in history.published(flow)}
        found = [number for _, numbers in history.given(flow) for number in numbers]
        twice = [number for number, count in Counter(found).items() if count > 1]
        if twice:
            yield f"{flow}: {twice} are in two executions"
        if flow != "third" and (missed := keys.keys() - set(found)):
            yield f"{flow}: {sorted(missed)} are in no execution"
        for row, numbers in history.given(flow):
            if {keys[number] for number in numbers} != {row.key}:
                yield f"{flow}: {numbers} are not all of key {row.key}"
            if len(numbers) > 3 and flow in ("box", "third"):
                yield f"{flow}: {len(numbers)} events are in one execution"
    keys_of_thirds = Counter(message.key for message in history.published("third"))
    fired = Counter(row.key for row in history.of("third"))
    if fired != +Counter({key: count // 3 for key, count in keys_of_thirds.items()}):
        yield f"third fired {dict(fired)} for {dict(keys_of_thirds)} events"


def _pairs(history: _History) -> Iterator[str]:
    """A join met as many pairs of each key as there are, each event once."""
    facts = {one.id: (one.key, one.size % 2) for one in history.published("pair")}
    sides = Counter(facts.values())
    met = Counter(row.key for row in history.of("pair"))
    if met != +Counter({key: min(sides[key, 0], sides[key, 1]) for key, _ in sides}):
        yield f"pair met {dict(met)} of {dict(sides)}"
    found = [number for _, both in history.given("pair") for number in both]
    if len(found) != len(set(found)):
        yield f"pair: an event met two others: {found}"
    for row, (even, odd) in history.given("pair"):
        if (facts[even], facts[odd]) != ((row.key, 0), (row.key, 1)):
            yield f"pair {row.key}: {even} met {odd}"


def _silence(history: _History) -> Iterator[str]:
    """Each key fell silent at last; each silence is told once."""
    keys = {message.key for message in history.published("silent")}
    if keys != (told := {row.key for row in history.of("silent")}):
        yield f"the silence of {keys ^ told} was not told, or is none"
    numbers = [number for _, number in history.given("silent")]
    if len(numbers) != len(set(numbers)):
        yield f"a silence was told twice: {numbers}"


def _pace(history: _History) -> Iterator[str]:
    """Never more starts of a key in any span than `throttle` allows."""
    most, span_ms = THROTTLE
    keys = {message.id: message.key for message in history.published("slow")}
    starts: dict[str, list[int]] = defaultdict(list)
    for row, number in history.given("slow"):
        starts[keys[number]].append(row.started_ms or 0)
    for key, times in starts.items():
        times.sort()
        near = [
            at
            for at, later in zip(times, times[most:], strict=False)
            if later - at < span_ms - SLOW_MS
        ]
        if near and not history.clock_was_set:
            yield f"slow {key}: more than {most} starts within {span_ms} ms, at {near}"


def _words(history: _History) -> Iterator[str]:
    """Who waited for a word took one of its key, and nobody missed one that came in time."""
    outside = history.seeded.outside
    words = {message.id: message for message in history.published("word")}
    for row, word in history.given("hears"):
        if word is not None and words[word].key != row.key:
            yield f"hears {row.key} took the word {word} of {words[word].key}"
        missed = [
            one.id
            for one in words.values()
            if one.key == row.key
            and one.published_ms > row.created_ms
            and outside.acknowledged[one.id] < row.created_ms + HEARS_MS
        ]
        if word is None and missed and not history.clock_was_set:
            yield f"hears {row.key} of {row.created_ms} missed the words {missed}"


def _answers(history: _History) -> Iterator[str]:
    """A question is answered once, and what was answered is what its flow got."""
    answers = history.seeded.outside.answers
    twice = [
        number for number, count in Counter(number for number, _ in answers).items() if count > 1
    ]
    if twice:
        yield f"{twice} got two answers"
    said = dict(answers)
    for row, by in history.given("asks"):
        if row.id in said and said[row.id] != by:
            yield f"{id_text('exe', row.id)} got {by}, {said[row.id]} was answered"


def _undone(history: _History) -> Iterator[str]:
    """What a failed flow began is taken back, the last one first."""
    gave_up = {letter.execution for letter in history.kept.dead if letter.kind == "undo"}
    for row in history.of("back"):
        good = [call.step for _, call in history.made(row) if call.ended == "ok"]
        order = list(dict.fromkeys(good))
        if order != ["one", "no_two", "no_one"] and row.id not in gave_up:
            yield f"{id_text('exe', row.id)} took back {order}"


def _called(history: _History) -> Iterator[str]:
    """A called flow runs once for its caller, which gets what it came to."""
    numbers = Counter(number for _, number in history.given("told"))
    twice = [number for number, count in numbers.items() if count > 1]
    if twice:
        yield f"{twice} were called for twice"
    answered = {number - 1000 for _, number in history.given("asker")}
    if answered != numbers.keys():
        yield f"{sorted(numbers)} were told, {sorted(answered)} came back"


def _edges(history: _History) -> Iterator[str]:
    """Rise and recovery of each key take turns, and a rise comes first."""
    edges: dict[str | None, list[str]] = defaultdict(list)
    for row, edge in history.given("edge"):
        edges[row.key].append(edge)
    for key, told in edges.items():
        wanted = [("rise", "recovered")[place % 2] for place in range(len(told))]
        if told != wanted:
            yield f"edge {key}: {told}"


def _sour(history: _History) -> Iterator[str]:
    """Of batches that are halved each sour event ends alone, each sweet one well; all once."""
    sour = {message.id for message in history.published("sour") if message.size == 0}
    ends: dict[State, list[int]] = {State.OK: [], State.FAILED: []}
    for row, numbers in history.given("sour"):
        if row.state is State.OK or len(numbers) == 1:
            ends[row.state] += numbers
    sweet = {message.id for message in history.published("sour")} - sour
    if sorted(ends[State.OK]) != sorted(sweet) or sorted(ends[State.FAILED]) != sorted(sour):
        yield f"sour: {ends} of {sorted(sweet)} and sour {sorted(sour)}"


def _torn(history: _History) -> Iterator[str]:
    """Who is cancelled takes back what began and ends in order; what it called ends with it."""
    gave_up = {letter.execution for letter in history.kept.dead if letter.kind == "undo"}
    for row in history.of("torn"):
        good = [call.step for _, call in history.made(row) if call.ended == "ok"]
        began = {call.step for _, call in history.made(row)}
        name = id_text("exe", row.id)
        if row.state is State.CANCELLED and row.id not in history.seeded.outside.cancelled:
            yield f"{name} was cancelled by nobody"
        if row.started_ms is not None and good[-1:] != ["last"]:
            yield f"{name} ended with {good}"
        if row.state is State.OK and not {"one", "left", "two"} <= set(good):
            yield f"{name} is ok with {good}"
        for step, undo in (("one", "no_one"), ("left", "no_left")):
            if row.state is State.CANCELLED and step in began and undo not in good:
                if row.id not in gave_up:
                    yield f"{name} did not take back {step}"
            elif row.state is State.OK and undo in began:
                yield f"{name} took back {step}"
