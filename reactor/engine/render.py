"""What a step is given: its input with real secrets, and the same input as it may be stored and shown."""

from collections.abc import Callable
from typing import Any

from reactor.expr.template import Template
from reactor.model.flow import ActionStep, Flow

MASK = "***"


class Rendering:
    """The names of one execution, and templates rendered with them.

    `names` is what expressions see; secrets are put in only while a template that names them is rendered.
    """

    def __init__(self, flow: Flow, names: dict[str, Any], secret: Callable[[str], str]) -> None:
        self.names = names
        self._secret = secret
        self._secret_vars = set(flow.secret_vars)
        self._shown_vars: dict[str, Any] | None = None

    def start_vars(self, flow: Flow, stored: dict[str, Any] | None) -> dict[str, Any]:
        """Give the flow's `vars` their values: the stored ones, or computed now. Returns them without secrets."""
        self.names["vars"] = {}
        shown: dict[str, Any] = {}
        for name, template in flow.vars:
            secret = name in self._secret_vars
            if stored is not None and name in stored and not secret:
                value = masked = stored[name]
            else:
                value, masked = self._both(template, secret=secret)
            self.names["vars"][name] = value
            shown[name] = masked
        if self._secret_vars:
            self._shown_vars = shown
        return shown

    def config(self, step: ActionStep) -> tuple[Any, Any]:
        """What stands under the action's key: the real value, and the one without secrets."""
        template = step.config
        if template.constant:
            value = template.render(self.names)
            return value, value
        strict = step.strict
        secret = self.has_secrets(step)
        if strict:
            return self._both(template, secret=secret, strict=lambda path: path[0] in strict)
        return self._both(template, secret=secret)

    def has_secrets(self, step: ActionStep) -> bool:
        """Whether the step's input holds a secret."""
        return self._reads_secret(step.config)

    def add_vars(self, real: dict[str, Any], shown: dict[str, Any]) -> None:
        """Take the values of a `vars` step; where the two differ the name is a secret from now on."""
        before = self.names["vars"]
        self.names["vars"] = {**before, **real}
        secret = {name for name in real if real[name] != shown[name]}
        if secret or self._shown_vars is not None:
            known = before if self._shown_vars is None else self._shown_vars
            self._shown_vars = {**known, **shown}
            self._secret_vars = (self._secret_vars - set(real)) | secret

    def _reads_secret(self, template: Template) -> bool:
        if "secrets" in template.roots:
            return True
        if not self._secret_vars or "vars" not in template.roots:
            return False
        return any(
            path[0] == "vars" and (len(path) < 2 or path[1] in self._secret_vars)
            for path in template.paths
        )

    def _both(self, template: Template, *, secret: bool, **options: Any) -> tuple[Any, Any]:
        if not secret:
            value = template.render(self.names, **options)
            return value, value
        wanted = {path[1] for path in template.paths if path[0] == "secrets" and len(path) > 1}
        real = {**self.names, "secrets": {name: self._secret(name) for name in wanted}}
        shown_vars = self.names["vars"] if self._shown_vars is None else self._shown_vars
        masked = {**self.names, "secrets": dict.fromkeys(wanted, MASK), "vars": shown_vars}
        return template.render(real, **options), template.render(masked, **options)
