"""An outside action that does what a test scripted, and remembers how it was called."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Struct

from reactor.errors import ActionFailed
from reactor.plugin.context import ActionContext
from reactor.plugin.spec import Config, Spec, action, doc


class Given(Config, frozen=True):
    """What a probe is given."""

    given: Annotated[Any, doc("Anything; it is what the probe gives back.", 1)] = None


class Call(Struct, frozen=True):
    """One attempt at a probe."""

    step: str
    attempt: int
    key: str
    given: Any


class Probe:
    """A script for each step: an answer a call, the last one for all further calls.

    `ok` gives back what was given, `fail` fails and may be tried again, `hang` waits for `release`,
    `{gives: value}` gives a value, `{fails: {…}}` fails as ActionFailed's arguments say.
    """

    def __init__(self, script: Mapping[str, list[Any]] | None = None) -> None:
        self.calls: list[Call] = []
        self.script = dict(script or {})
        self.spec: Spec = action(
            "probe", examples=["probe: 1"], shorthand="given", transient=(OSError,)
        )(self.run)
        self._hanging: dict[str, list[asyncio.Future[Any]]] = {}

    @property
    def held(self) -> int:
        """How many attempts hang."""
        return sum(len(found) for found in self._hanging.values())

    async def run(self, config: Given, context: ActionContext) -> Any:
        """Do what the script says."""
        answers = self.script.get(context.step, ["ok"])
        before = sum(call.step == context.step for call in self.calls)
        answer = answers[min(before, len(answers) - 1)]
        self.calls.append(Call(context.step, context.attempt, context.key, config.given))
        if answer == "hang":
            return await self._hang(context.step)
        return self._answer(answer, config.given)

    def release(self, step: str, answer: Any = "ok") -> None:
        """Let the attempts at a step that hang end like this."""
        for future in self._hanging.pop(step, []):
            future.set_result(answer)

    def forget(self) -> None:
        """A crash: nothing hangs any more."""
        self._hanging.clear()

    async def _hang(self, step: str) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._hanging.setdefault(step, []).append(future)
        try:
            return self._answer(await future, None)
        finally:
            if future in self._hanging.get(step, ()):
                self._hanging[step].remove(future)

    def _answer(self, answer: Any, given: Any) -> Any:
        if answer == "ok":
            return given
        if answer == "fail":
            raise ActionFailed("it failed", transient=True)
        if "gives" in answer:
            return answer["gives"]
        facts = {"message": "it failed", "transient": True, **answer["fails"]}
        raise ActionFailed(facts.pop("message"), **facts)
