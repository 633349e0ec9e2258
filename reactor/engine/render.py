"""What a step is given: its input with real secrets, and the same as it may be stored."""

from collections.abc import Callable
from typing import Any

from reactor.engine.state import detached
from reactor.errors import ActionFailed, ReactorError
from reactor.expr.parse import Expression
from reactor.expr.template import Template
from reactor.model.flow import ActionStep, Flow

MASK = "***"
_PATH = "event.data.path"
# All other names hold what came from outside: events, results, items however they are called.
_OWN = frozenset({"secrets", "env", "flow", "execution", "now", "vars"})


class Rendering:
    """The names of one execution, and templates rendered with them.

    `names` is what expressions see; secrets are put in only while a template that names them is
    rendered.
    """

    def __init__(self, flow: Flow, names: dict[str, Any], secret: Callable[[str], str]) -> None:
        self.names = names
        self._secret = secret
        self._secret_vars = flow.secret_vars
        self._tainted = flow.tainted_vars
        self._shown_vars: dict[str, Any] | None = None

    def start_vars(self, flow: Flow, stored: dict[str, Any] | None) -> dict[str, Any]:
        """Give the flow's `vars` their values, stored or new; returns them without secrets."""
        self.names["vars"] = {}
        shown: dict[str, Any] = {}
        for name, template in flow.vars:
            secret = name in self._secret_vars
            if stored is not None and name in stored and not secret:
                value = masked = stored[name]
            else:
                value, masked = self._both(template, self.names, secret=secret)
            self.names["vars"][name] = value
            shown[name] = masked
        if self._secret_vars:
            self._shown_vars = shown
        return shown

    def config(self, step: ActionStep, names: dict[str, Any]) -> tuple[Any, Any]:
        """What stands under the action's key: the real value, and the one without secrets."""
        template = step.config
        if template.constant:
            value = template.render(names)
            return value, value
        strict = step.strict
        secret = self.has_secrets(step)
        if strict:
            return self._both(template, names, secret=secret, strict=lambda path: path[0] in strict)
        return self._both(template, names, secret=secret)

    def has_secrets(self, step: ActionStep) -> bool:
        """Whether the step's input holds a secret."""
        return self._reads_secret(step.config)

    def authored(self, step: ActionStep, names: dict[str, Any]) -> dict[str, str]:
        """For each `authored` field: how its text begins, as far as no event data wrote it."""
        if not step.authored:
            return {}
        found = step.config.beginnings(self._real(step.config, names), self._authors_part)
        return {
            place: text for place, text in found.items() if place.partition(".")[0] in step.authored
        }

    def add_vars(self, real: dict[str, Any], shown: dict[str, Any], names: dict[str, Any]) -> None:
        """Take the values of a `vars` step; where the two differ the name is a secret."""
        before = names["vars"]
        names["vars"] = {**before, **real}
        self._tainted = self._tainted | real.keys()  # a step's values may hold event data
        secret = {name for name in real if real[name] != shown[name]}
        if secret or self._shown_vars is not None:
            known = before if self._shown_vars is None else self._shown_vars
            self._shown_vars = {**known, **shown}
            self._secret_vars = (self._secret_vars - real.keys()) | secret

    def _reads_secret(self, template: Template) -> bool:
        if "secrets" in template.roots:
            return True
        if not self._secret_vars or "vars" not in template.roots:
            return False
        return any(
            path[0] == "vars" and (len(path) < 2 or path[1] in self._secret_vars)
            for path in template.paths
        )

    def _both(
        self, template: Template, names: dict[str, Any], *, secret: bool, **options: Any
    ) -> tuple[Any, Any]:
        if not secret:
            value = template.render(names, **options)
            if "state" in template.roots:
                value = detached(value)
            return value, value
        real = self._real(template, names)
        shown_vars = names["vars"] if self._shown_vars is None else self._shown_vars
        hidden = dict.fromkeys(real["secrets"], MASK)
        masked = {**names, "secrets": hidden, "vars": shown_vars}
        both = template.render(real, **options), template.render(masked, **options)
        return (detached(both[0]), detached(both[1])) if "state" in template.roots else both

    def _real(self, template: Template, names: dict[str, Any]) -> dict[str, Any]:
        wanted = {path[1] for path in template.paths if path[0] == "secrets" and len(path) > 1}
        try:
            return {**names, "secrets": {name: self._secret(name) for name in wanted}}
        except ReactorError as error:  # a secret that is not there fails the step, nothing more
            raise ActionFailed(str(error), kind="secret") from error

    def _authors_part(self, expression: Expression) -> str | None:
        """How the value of an expression begins, as far as no data wrote it; None for all of it."""
        if not self._written_by_data(expression):
            return None
        if expression.text.strip() != _PATH:
            return ""
        # The path of a file that a trigger found lies below what the trigger's author wrote.
        event = self.names.get("event") or {}
        below, path = event.get("below"), expression.evaluate(self.names)
        if not isinstance(below, str) or not isinstance(path, str):
            return ""
        return below if below == "./" or path.startswith(below) else ""

    def _written_by_data(self, expression: Expression) -> bool:
        """Whether an expression gives what came from outside: events, results, shared state."""
        if expression.roots - _OWN:
            return True
        if "vars" not in expression.roots:
            return False
        return any(
            path[0] == "vars" and (len(path) < 2 or path[1] in self._tainted)
            for path in expression.paths
        )
