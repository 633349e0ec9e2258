"""Actions that touch nothing: each answers what a test or a try says it would."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal

from msgspec import inspect
from msgspec.structs import replace

from reactor.engine.failures import retryable
from reactor.errors import ActionFailed
from reactor.loading.flowtests import Mock
from reactor.model.execution import Failure
from reactor.plugin.catalog import Catalog
from reactor.plugin.context import ActionContext
from reactor.plugin.fields import info
from reactor.plugin.spec import Spec

CALL = "call"
NOT_MOCKED = "not_mocked"
_PLAUSIBLE = {"status": 200}
Unknown = Callable[[Spec, str], Any]
# Whose answers they are (a step's, or a step's in one execution), and the answers in order.
Answers = Callable[[ActionContext], tuple[Hashable, Sequence[Mock]]]


class Mocks(Catalog):
    """The words of a catalog; whatever reaches outside gives answers instead.

    `answers` finds those of a step by what it is called with: they are taken one by one, the last
    one again and again. For a step without any `unknown` is asked: its answer is the output, or it
    raises `ActionFailed`.
    """

    def __init__(self, words: Catalog, answers: Answers, unknown: Unknown) -> None:
        super().__init__()
        self._words = words
        self._answers = answers
        self._unknown = unknown
        self._asked: dict[Hashable, int] = {}
        self._made: dict[str, Spec] = {}

    def find(self, kind: Literal["source", "action"], word: str) -> Spec | None:
        """The Spec of a word; an action that reaches outside is a mock of itself."""
        if kind == "action" and word in self._made:
            return self._made[word]
        spec = _CALL if kind == "action" and word == CALL else self._words.find(kind, word)
        if kind == "source" or spec is None or not spec.outside:
            return spec
        self._made[word] = replace(spec, run=self._stand_in(spec))
        return self._made[word]

    def _stand_in(self, spec: Spec) -> Callable[[Any, ActionContext], Any]:
        async def run(config: Any, context: ActionContext) -> Any:
            whose, answers = self._answers(context)
            if not answers:
                return self._unknown(spec, context.step)
            number = self._asked.get(whose, 0)
            self._asked[whose] = number + 1
            mock = answers[min(number, len(answers) - 1)]
            if mock.fails is None:
                return mock.output
            raise _failed(mock)

        return run


def by_step(answers: Mapping[str, Sequence[Mock]]) -> Answers:
    """Answers by step id, in turn whatever execution asks."""
    return lambda context: (context.step, answers.get(context.step, ()))


def example_of(spec: Spec) -> str:
    """An output that a step of this action might give, as one line of YAML."""
    return _yaml(_example(None if spec.output is None else info(spec.output), ""))


def made_up(spec: Spec) -> Any:
    """The same as plain data."""
    return _example(None if spec.output is None else info(spec.output), "")


_CALL = Spec(word=CALL, kind="action", config=Any, summary="Another flow.", run=lambda *_: None)


def _failed(mock: Mock) -> ActionFailed:
    fails = mock.fails
    status = None if fails is None else fails.status
    kind = (fails and fails.kind) or ("failed" if status is None else "http")
    message = (fails and fails.message) or ("mocked" if status is None else f"mocked: {status}")
    output = None if fails is None else fails.output
    failure = Failure(step=None, kind=kind, message=message, status=status, output=output)
    error = retryable(failure)
    if fails is not None and fails.transient is not None:
        error.transient = fails.transient
    return error


def _example(type_: inspect.Type | None, name: str) -> Any:
    if isinstance(type_, inspect.Metadata):
        return _example(type_.type, name)
    if isinstance(type_, inspect.StructType | inspect.TypedDictType):
        return {each.encode_name: _example(each.type, each.encode_name) for each in type_.fields}
    if isinstance(type_, inspect.UnionType):
        return None if any(isinstance(t, inspect.NoneType) for t in type_.types) else ""
    if isinstance(type_, inspect.ListType | inspect.VarTupleType):
        return []
    if isinstance(type_, inspect.DictType):
        return {}
    if isinstance(type_, inspect.StrType):
        return ""
    if isinstance(type_, inspect.BoolType):
        return False
    if isinstance(type_, inspect.IntType | inspect.FloatType):
        return _PLAUSIBLE.get(name, 0)
    return None


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_yaml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value)
