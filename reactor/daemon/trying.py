"""The curl line that a newcomer can paste: a request that a flow with an open webhook takes."""

import shlex
from collections.abc import Iterable
from typing import Any

import msgspec

from reactor.expr.parse import Expression, equalities
from reactor.model.flow import ActionStep, Flow, Trigger


def curl_line(flows: Iterable[Flow], listen: str, *, scheme: str = "http") -> str | None:
    """A request for the first flow whose webhook anyone may call; None if there is no such flow."""
    for flow in flows:
        for trigger in flow.triggers:
            if flow.enabled and trigger.source == "http" and trigger.config.constant:
                config = trigger.config.render({})
                if config.get("verify") == "none" and "{" not in config["path"]:
                    return _line(flow, trigger, config, f"{scheme}://{listen}")
    return None


def _line(flow: Flow, trigger: Trigger, config: dict[str, Any], address: str) -> str:
    method = config.get("method", "POST")
    url = shlex.quote(address + config["path"])
    if method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        return f"curl -X {method} {url}"
    body = msgspec.json.encode(_body(flow, trigger)).decode()
    return f"curl -X {method} {url} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def _body(flow: Flow, trigger: Trigger) -> dict[str, Any]:
    """What the flow reads of the body, with the values that its conditions ask for."""
    body: dict[str, Any] = {}
    conditions = (*trigger.only_if, *flow.only_if)
    for path in sorted(path for one in _read(flow, conditions) for path in one):
        if path[:2] in (("event", "body"), ("event", "data")):
            _put(body, path[2:], "world")
    for condition in conditions:
        for path, value in equalities(condition):
            if path[:2] in (("event", "body"), ("event", "data")):
                _put(body, path[2:], value)
    return body


def _read(flow: Flow, conditions: Iterable[Expression]) -> Iterable[frozenset[tuple[str, ...]]]:
    yield from (condition.paths for condition in conditions)
    yield from (template.paths for _, template in flow.vars)
    for step in flow.do:
        if isinstance(step, ActionStep):
            yield step.config.paths


def _put(body: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        inner = body.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        body = inner
    if path and not isinstance(body.get(path[-1]), dict):
        body[path[-1]] = value
