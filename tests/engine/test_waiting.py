"""Waits, calls and approvals in any order of events, crashes and passing time."""

import asyncio
import tempfile
from pathlib import Path
from textwrap import dedent
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.engine.approvals import Approvals
from reactor.engine.ears import ear_of
from reactor.model.flow import WaitStep
from reactor.testing import World
from tests.engine.lives import Lives
from tests.engine.probe import Probe

WAITING = dedent("""
    flow: one
    when: {event: {type: go}}
    do:
      - {id: work, timeout: 9h, probe: 1}
      - parallel:
          one:
            - id: paid
              wait: {when: {event: {type: paid}, only_if: incoming.data == 2}, timeout: 1h}
          two: [{id: sub, call: two, with: {n: "${{ event.data }}"}}]
    output: "[steps.paid.output.data, steps.sub.output]"
    ---
    flow: two
    when: {call: {inputs: {n: {}}}}
    do: [{wait: 5m}, {id: sent, wait: {when: {event: {type: sent}}}}]
    output: steps.sent.output.data + event.data.n
""")
QUEUED = """
    flow: one
    when: {event: {type: go}, key: event.data.key}
    run: {mode: queue, max: 2}
    do:
      - {id: p, probe: "${{ event.data }}", retry: {max: 1, delay: 1m, jitter: none}}
      - wait: 1m
      - log: done
"""
HAPPENINGS = ("paid 1", "paid 2", "sent 5", "release", "crash", "restart", "1m", "6m")


async def happen(lives: Lives, what: str) -> None:
    """One thing of a story."""
    if what == "crash":
        await lives.crash()
    elif what == "restart":
        await lives.restart()
    elif what == "release":
        lives.probe.release("work")
        await lives.world.settle()
    elif what in ("1m", "6m"):
        await lives.world.advance(what)
    else:
        type_, _, number = what.partition(" ")
        await lives.world.emit(type_, int(number), identity=what)


async def told(story: list[str]) -> list[Any]:
    """How all executions end after a story, when all has come that may."""
    probe = Probe({"work": ["hang"]})
    with tempfile.TemporaryDirectory() as folder:
        async with Lives(Path(folder), WAITING, probe=probe) as lives:
            await lives.world.emit("go", 10)
            for what in [*story, "release", "paid 2", "6m", "sent 5"]:
                await happen(lives, what)
            opened = await lives.story()
            return [
                (one.execution.flow, one.execution.state.word, entry.value)
                for one in opened
                for entry in one.journal
                if entry.kind == "output"
            ]


@settings(max_examples=20, deadline=None, database=None)
@given(st.lists(st.sampled_from(HAPPENINGS), max_size=7))
def test_whatever_order_things_come_in_the_end_is_the_same(story):
    """What came before a wait, during a crash or after it counts alike, and counts once."""
    ends = asyncio.run(told(story))

    assert ends == [("one", "ok", [2, 15]), ("two", "ok", 15)]


async def queued(story: list[str], script: list[str]) -> list[Any]:
    """What a queue with keys did, in order."""
    probe = Probe({"p": [*script, "ok"]})
    with tempfile.TemporaryDirectory() as folder:
        async with Lives(Path(folder), QUEUED, probe=probe) as lives:
            for number, what in enumerate(story):
                if what in ("a", "b"):
                    await lives.world.emit("go", {"key": what, "n": number})
                else:
                    await happen(lives, what)
            await lives.world.advance("1h")
            states = set(await lives.world.states())
    calls = [call.given for call in probe.calls]
    return [states, calls]


@settings(max_examples=20, deadline=None, database=None)
@given(
    st.lists(st.sampled_from(["a", "b", "a", "b", "crash", "restart", "1m"]), max_size=10),
    st.lists(st.sampled_from(["ok", "fail"]), max_size=4),
)
def test_a_queue_keeps_the_order_of_each_key(story, script):
    """Crashes, retries and waits put no execution before one of its key that came earlier."""
    states, calls = asyncio.run(queued(story, script))

    for key in ("a", "b"):
        numbers = [each["n"] for each in calls if each["key"] == key]
        assert numbers == sorted(numbers)
    assert states <= {"ok", "failed"}


async def test_an_equality_is_a_lookup_and_not_a_question_to_everyone():
    """Of many that wait only the one whose key it is leaves a trace in the store."""
    flow = """
        flow: one
        when: {event: {type: go}}
        do: [{wait: {when: {event: {type: paid}, only_if: incoming.data.id == event.data}}}]
    """
    async with World(flow) as world:
        for number in range(50):
            await world.emit("go", number)
        parked = world.engine.meter.parked
        await world.emit("paid", {"id": 7})

        states = await world.states()

    assert (states.count("ok"), states[7]) == (1, "ok")
    assert world.engine.meter.parked == parked  # nobody else woke and went to rest again


async def test_the_key_of_equal_numbers_is_one():
    """5 and 5.0 and true and 1 are equal in expressions, so they find each other."""
    flow = """
        flow: one
        when: {event: {type: go}}
        do: [{wait: {when: {event: {type: paid}, only_if: incoming.data == event.data}}}]
    """
    async with World(flow) as world:
        loaded = world.load(flow)[0]
        step = loaded.do[0]
        assert isinstance(step, WaitStep)
        ear = ear_of(loaded, step)

        keys = [ear.own_key({"event": {"data": value}}) for value in (5, 5.0, 1, True, 1.5)]
        event = {"type": "paid", "data": 5.0}

    assert keys == ["[5]", "[5]", "[1]", "[1]", "[1.5]"]
    assert ear.key_of(event) == "[5]"


async def test_questions_to_people_are_listed_until_they_are_answered():
    """The list says what is asked, of which fields, since when and until when."""
    flow = """
        flow: one
        when: {event: {type: go}}
        do:
          - id: ask
            wait: {approval: "Deploy ${{ event.data }}?", form: {note: {type: string}}, timeout: 1h}
    """
    async with World(flow) as world:
        await world.emit("go", "v1")
        await world.emit("go", "v2")
        approvals = Approvals(world.engine)
        first, second = await approvals.open()

        await approvals.answer(
            first.wait.execution, None, approved=True, by="ann", form={"note": "x"}
        )
        left = await approvals.open()

    assert (first.text, first.step, list(first.form)) == ("Deploy v1?", "ask", ["note"])
    assert [question.wait for question in left] == [second.wait]
