"""What may be named where: the scope of each trigger, condition, step and branch."""

import re
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from reactor.expr.scope import Scope

EVENT_FIELDS = frozenset({"id", "trigger", "source", "type", "time", "key", "data", "replay_of"})
EXECUTION_FIELDS = frozenset({"id", "flow", "version", "started", "attempt"})
ERROR_FIELDS = frozenset({"step", "kind", "message", "status", "attempts", "output", "item"})
# What event data may have written; a var that reads one of them is tainted.
DATA_ROOTS = frozenset(
    {"event", "events", "incoming", "steps", "state", "item", "error", "branches"}
)

_ELSEWHERE: Mapping[str, str] = {
    "error": "error is there in on_error, undo, finally and retry only",
    "item": "item is there beside each and inside it only",
    "index": "index is there beside each and inside it only",
    "incoming": "incoming is there in the conditions of a wait only",
    "branches": "branches is there in join only",
    "events": "events is there with batch, window, join or debounce take: all; here it is event",
}
_NO_SECRETS = "secrets are not compared in conditions: a webhook's verify compares them"
_NO_SECRETS_KEPT = "secrets are never stored: not in set, and not in vars that set reads"
_ONLY_RECEIVED = "the source evaluates this before anything else: it reads event only"
_NO_SECRETS_HANDED = (
    "secrets are never stored, and what a flow is called with is: the called flow names the secret"
)
_TOO_EARLY = "the settings of a trigger are read before there is an event"


class Names(Struct, frozen=True, kw_only=True):
    """Everything that a place in a flow may name.

    `constants` are vars known at load, `vars` those of the execution so far, `secret_vars` those
    that hold a secret. `steps` may be read; `hidden` says for other paths why not. `more` are roots
    such as `item` that exist only here.
    """

    event: frozenset[str] | None = EVENT_FIELDS
    events: bool = False
    constants: frozenset[str] = frozenset()
    vars: frozenset[str] = frozenset()
    secret_vars: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    hidden: Mapping[str, str] = {}
    more: Mapping[str, frozenset[str] | None] = {}
    env: frozenset[str] = frozenset()
    env_refused: Mapping[str, str] = {}
    tz: str = "UTC"

    def with_more(self, *names: str) -> "Names":
        """The same and these roots."""
        fields = {name: ERROR_FIELDS if name == "error" else None for name in names}
        return msgspec.structs.replace(self, more={**self.more, **fields})

    def after(self, steps: Iterable[str]) -> "Names":
        """The same when these steps have run."""
        return msgspec.structs.replace(self, steps=self.steps | frozenset(steps))

    def hiding(self, hidden: Mapping[str, str]) -> "Names":
        """The same where these paths may not be read, each with its reason."""
        return msgspec.structs.replace(self, hidden={**self.hidden, **hidden})

    def with_vars(self, names: Iterable[str], secret: Iterable[str] = ()) -> "Names":
        """The same with more vars."""
        return msgspec.structs.replace(
            self,
            vars=self.vars | frozenset(names),
            secret_vars=self.secret_vars | frozenset(secret),
        )

    def settings(self) -> Scope:
        """For what stands under a source's key: read before there is an event."""
        absent = dict.fromkeys(("event", "events", "steps", "execution", "state"), _TOO_EARLY)
        roots = {"secrets": None, "env": self.env, "vars": self.constants, "flow": None}
        return self._scope(roots, {**absent, **self._early_vars()})

    def received(self) -> Scope:
        """For what a source evaluates by itself: it knows what it received and nothing else."""
        early = ("events", "steps", "execution", "state", "vars", "env", "secrets", "now", "flow")
        return self._scope({"event": self.event}, dict.fromkeys(early, _ONLY_RECEIVED))

    def trigger(self) -> Scope:
        """For the conditions and gates of a trigger, and the conditions of a flow."""
        roots = self._roots()
        roots["vars"] = self.constants
        for later in ("steps", "execution"):
            del roots[later]
        absent = {
            "steps": "no step has run yet: conditions on steps stand on steps",
            "execution": "no execution exists yet",
            "secrets": _NO_SECRETS,
            **self._early_vars(),
            **self._secret_vars(),
        }
        return self._scope(roots, absent)

    def first(self) -> Scope:
        """For the vars of a flow: from the execution's start on."""
        roots = {**self._roots(), "secrets": None}
        del roots["steps"]
        absent = {"steps": "vars are computed before the first step: use a vars step"}
        return self._scope(roots, absent)

    def condition(self) -> Scope:
        """For conditions and other expressions of the engine."""
        return self._scope(self._roots(), {"secrets": _NO_SECRETS, **self._secret_vars()})

    def kept(self) -> Scope:
        """For what `set` stores."""
        absent = {"secrets": _NO_SECRETS_KEPT}
        absent.update({f"vars.{name}": _NO_SECRETS_KEPT for name in self.secret_vars})
        return self._scope(self._roots(), absent)

    def handed(self) -> Scope:
        """For what a called flow is given, which is stored as an event."""
        absent = {"secrets": _NO_SECRETS_HANDED}
        absent.update({f"vars.{name}": _NO_SECRETS_HANDED for name in self.secret_vars})
        return self._scope(self._roots(), absent)

    def input(self) -> Scope:
        """For what stands under an action's key."""
        return self._scope({**self._roots(), "secrets": None}, {})

    def _roots(self) -> dict[str, frozenset[str] | None]:
        roots: dict[str, frozenset[str] | None] = {
            "event": self.event,
            "steps": self.steps,
            "vars": self.vars,
            "env": self.env,
            "state": None,
            "now": None,
            "execution": EXECUTION_FIELDS,
            "flow": None,
            **self.more,
        }
        if self.events:
            roots["events"] = None
        return roots

    def _scope(
        self, roots: Mapping[str, frozenset[str] | None], absent: Mapping[str, str]
    ) -> Scope:
        missing = {name: text for name, text in _ELSEWHERE.items() if name not in roots}
        known = {f"{root}.{field}" for root in ("steps", "vars") for field in roots.get(root) or ()}
        hidden = {path: text for path, text in self.hidden.items() if path not in known}
        return Scope(roots, {**missing, **hidden, **self.env_refused, **absent}, self.tz)

    def _secret_vars(self) -> dict[str, str]:
        return {
            f"vars.{name}": f"vars.{name} holds a secret; secrets are compared by verify: "
            f"{{api-key: {{query: {name}, secrets: […]}}}}"
            for name in self.secret_vars
        }

    def _early_vars(self) -> dict[str, str]:
        return {
            f"vars.{name}": f"vars.{name} is computed when an execution starts; "
            "before that only constant vars may be used"
            for name in self.vars - self.constants
        }


def refused_env(text: str, allowed: frozenset[str]) -> dict[str, str]:
    """For each environment variable that a file names and may not read: what to do."""
    named = set(re.findall(r"\benv\.([A-Za-z_]\w*)", text)) - allowed
    return {
        f"env.{name}": f"env.{name} is not on the allow-list: add {name} to env: in reactor.yaml"
        for name in named
    }
