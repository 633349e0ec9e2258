"""Every file in tests/scenarios: flows, what happens to them, and what must be true then."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins
from ruamel.yaml import YAML

from reactor.engine import again
from reactor.engine.approvals import Approvals
from reactor.errors import ReactorError
from reactor.model.event import Receipt, Received
from reactor.model.execution import Failure
from reactor.store import Query
from reactor.testing import BEGIN_MS
from reactor.units import parse_duration
from tests.engine.lives import Lives
from tests.engine.probe import Probe

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
OPTIONS = ("secrets", "env", "rates")


def read(path: Path) -> list[dict[str, Any]]:
    """The scenarios of a file."""
    found: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(path.read_text())
    return found


def every() -> Iterator[Any]:
    """Every scenario as a test, called by its file and its fact."""
    for path in FILES:
        for scenario in read(path):
            yield pytest.param(scenario, id=f"{path.stem}: {scenario['fact']}")


@pytest.mark.parametrize("scenario", list(every()))
async def test_a_scenario_comes_out_as_it_says(scenario, tmp_path, caplog):
    """What is expected after each of its steps is true then."""
    caplog.set_level(logging.DEBUG, "reactor.flow")
    options = {name: scenario[name] for name in OPTIONS if name in scenario}
    probe = Probe(scenario.get("probe"))

    async with Lives(tmp_path, scenario["flows"], probe=probe, **options) as lives:
        stage = Stage(lives, caplog.records, scenario.get("secrets", {}).values())
        for number, step in enumerate(scenario["steps"], 1):
            (word, given), *rest = step.items()
            assert rest == [], f"step {number} has more than one word"
            await getattr(stage, word)(given)


class Stage:
    """What the steps of a scenario do."""

    def __init__(
        self, lives: Lives, records: list[logging.LogRecord], secrets: Iterable[str]
    ) -> None:
        self.lives = lives
        self.records = records
        self.secrets = list(secrets)
        self.answer: Any = None

    async def emit(self, given: Any) -> None:
        """An event: its type, or a map of type, data, key, identity and depth."""
        facts = {"type": given} if isinstance(given, str) else dict(given)
        times: Any = facts.pop("times", 1)
        batch = [Received(**{"data": None, **facts})] * times
        self.answer = (await self.lives.world.offer("event", *batch))[-1]

    async def cut(self, given: Any) -> None:
        """An event is offered and the process dies before the disk has it."""
        refused: list[Any] = []
        received = Received(data=None, type=given)
        self.lives.engine.emitter("event").nowait(received, refused.append)
        await self.lives.crash()
        assert refused == [] or isinstance(refused[0], Receipt)

    async def startup(self, given: Any) -> None:
        """The daemon says that it serves."""
        self.lives.engine.emit_startup()
        await self.lives.world.settle()

    async def start(self, given: dict[str, Any]) -> None:
        """Start a flow by hand."""
        facts = {"trigger": None, "data": None, "inputs": {}, **given}
        await self._asked(again.start(self.lives.engine, facts.pop("flow"), **facts))

    async def retry(self, given: dict[str, Any]) -> None:
        """Run an execution again: its number, `from`, `version`."""
        number = await self._id(given["execution"])
        options: Any = {"start": given.get("from", "start")}
        if "version" in given:
            options["version"] = given["version"]
        await self._asked(again.retry(self.lives.engine, number, **options))

    async def cancel(self, given: int) -> None:
        """Cancel an execution by its number, as an operator does."""
        error = Failure(step=None, kind="cancelled", message="cancelled by hand")
        await self._asked(self.lives.engine.desk.cancel(await self._id(given), error))

    async def approve(self, given: dict[str, Any]) -> None:
        """Answer a step that waits for a person: execution, step, by, form."""
        await self._answered(given, approved=True)

    async def deny(self, given: dict[str, Any]) -> None:
        """Say no: execution, step, by, message."""
        await self._answered(given, approved=False)

    async def _answered(self, given: dict[str, Any], *, approved: bool) -> None:
        facts: dict[str, Any] = {"step": None, "by": "ann", "form": {}, "message": None, **given}
        number = await self._id(facts.pop("execution"))
        approvals = Approvals(self.lives.engine)
        await self._asked(approvals.answer(number, facts.pop("step"), approved=approved, **facts))

    async def drop(self, given: int) -> None:
        """Hide the dead letter of an execution."""
        number = await self._id(given)
        await self._asked(again.drop(self.lives.engine, number, number))

    async def advance(self, given: str) -> None:
        """Let time pass."""
        await self.lives.world.advance(given)

    async def jump(self, given: str) -> None:
        """Set the wall clock forward or, with a minus, back."""
        sign = -1 if given.startswith("-") else 1
        self.lives.clock.jump(sign * round(parse_duration(given.removeprefix("-")) * 1000))
        await self.lives.world.settle()

    async def release(self, given: Any) -> None:
        """Let a hanging probe end: its step, or a map of step and answer."""
        step, answer = (given, "ok") if isinstance(given, str) else next(iter(given.items()))
        self.lives.probe.release(step, answer)
        await self.lives.world.settle()

    async def crash(self, given: int) -> None:
        """The process dies, so often."""
        for _ in range(given):
            await self.lives.crash()

    async def away(self, given: str) -> None:
        """The process dies, and it takes a while until the next one begins."""
        await self.lives.crash(away_ms=round(parse_duration(given) * 1000))

    async def restart(self, given: Any) -> None:
        """Stop in good order and start again."""
        await self.lives.restart()

    async def reload(self, given: str) -> None:
        """Other flow files."""
        self.lives.flows = (given,)
        await self.lives.world.reload(given)

    async def expect(self, given: dict[str, Any]) -> None:
        """Every expectation holds."""
        for word, wanted in given.items():
            found = await getattr(self, f"_{word}")()
            assert list(differences(wanted, found, word)) == []

    # ---- what can be expected

    async def _executions(self) -> list[Any]:
        found = []
        for opened in await self.lives.story():
            row = opened.execution
            facts = to_builtins(row)
            facts |= {
                "state": row.state.word,
                "steps": await self.lives.steps(opened),
                "replies": [entry.value for entry in opened.journal if entry.kind == "reply"],
                "output": next(
                    (entry.value for entry in opened.journal if entry.kind == "output"), None
                ),
                "journal": repr(opened.journal),
                "due": None if row.due_ms is None else (row.due_ms - BEGIN_MS) / 1000,
            }
            found.append(facts)
        return found

    async def _states(self) -> list[str]:
        return await self.lives.world.states()

    async def _calls(self) -> list[Any]:
        return [to_builtins(call) for call in self.lives.probe.calls]

    async def _order(self) -> list[Any]:
        return [call.given for call in self.lives.probe.calls]

    async def _keys(self) -> int:
        return len({call.key for call in self.lives.probe.calls})

    async def _log(self) -> list[str]:
        return [record.getMessage() for record in self.records if record.name == "reactor.flow"]

    async def _events(self) -> list[str | None]:
        found = await self.lives.world.store.history.events(Query(limit=1000))
        return [event.type for event in reversed(found)]

    async def _state(self) -> Mapping[str, Any]:
        return self.lives.engine.shared.committed

    async def _dead(self) -> list[Any]:
        found = await self.lives.world.store.history.dead(Query(limit=1000))
        return [to_builtins(letter) for letter in reversed(found)]

    async def _unwanted(self) -> list[Any]:
        return [to_builtins(row.stopped) for row in self.lives.engine.unwanted]

    async def _meter(self) -> Mapping[str, Any]:
        return vars(self.lives.engine.meter)

    async def _leaks(self) -> int:
        """How often a secret stands in what is on disk, or in what was logged."""
        kept = (
            self.lives.stored() + "".join(record.getMessage() for record in self.records).encode()
        )
        return sum(kept.count(secret.encode()) for secret in self.secrets)

    async def _answer(self) -> Any:
        if isinstance(self.answer, ReactorError):
            return {"error": type(self.answer).__name__, "message": str(self.answer)}
        if isinstance(self.answer, Receipt):
            return {
                "flows": [one.flow for one in self.answer.executions],
                "duplicate": self.answer.duplicate,
                "stored": self.answer.event is not None,
                "held": list(self.answer.held),
            }
        return self.answer

    async def _asked(self, work: Any) -> None:
        try:
            self.answer = await work
        except ReactorError as error:
            self.answer = error
        await self.lives.world.settle()

    async def _id(self, number: int) -> int:
        return (await self.lives.story())[number - 1].execution.id


def differences(wanted: Any, found: Any, place: str) -> Iterator[str]:
    """Where what was found is not what was wanted: maps in part, lists whole."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for name, value in wanted.items():
            yield from differences(value, found.get(name), f"{place}.{name}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, (one, other) in enumerate(zip(wanted, found, strict=True), 1):
            yield from differences(one, other, f"{place}[{number}]")
    elif isinstance(wanted, str) and isinstance(found, Mapping):
        yield from differences(wanted, found.get("state"), f"{place}.state")
    elif wanted != (found.isoformat() if isinstance(found, datetime) else found):
        yield f"{place}: expected {wanted!r}, found {found!r}"


def test_there_are_many_facts():
    """At least sixty facts about the engine are told as scenarios."""
    assert sum(len(read(path)) for path in FILES) >= 60
