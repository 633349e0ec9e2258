"""A control step being read: what its reader may ask of the flow around it."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, inspect

from reactor.expr.template import Template
from reactor.loading.configs import Meta, Walk
from reactor.loading.context import Context
from reactor.loading.names import Names
from reactor.loading.step_ids import StepIds
from reactor.loading.values import MapValue, Value
from reactor.model.flow import AnyStep

ReadSteps = Callable[[Value | None, str, Names], tuple[tuple[AnyStep, ...], Names]]


class Part(Struct, frozen=True):
    """A control step being read: where it is, what it may name, its engine keys as read."""

    context: Context
    ids: StepIds
    read_steps: ReadSteps
    value: Value
    step: MapValue
    path: str
    names: Names
    engine: dict[str, Any]

    def steps(
        self, value: Value | None, name: str | int, names: Names | None = None
    ) -> tuple[AnyStep, ...]:
        """The steps of a list inside."""
        return self.read_steps(value, f"{self.path}.{name}", names or self.names)[0]

    def inside(self, name: str | int | None = None) -> list[str]:
        """The ids of all steps inside, or of those of one list."""
        return self.ids.inside(self.path if name is None else f"{self.path}.{name}")

    def data(self, value: Value, name: str) -> Template:
        """Plain values with templates in them."""
        walk = Walk(self.context.report, self.names.input())
        return walk.template(walk.walk(value, inspect.AnyType(), Meta(name)))
