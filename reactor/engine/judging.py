"""Small judgements about a step before it begins."""

from typing import Any

from reactor.model.flow import ActionStep, AnyStep


def wanted(step: AnyStep, names: dict[str, Any]) -> bool:
    """Whether its `only_if` and `unless` let it run."""
    if not all(condition.test(names) for condition in step.only_if):
        return False
    return not any(condition.test(names) for condition in step.unless)


def reads_state(step: AnyStep) -> bool:
    """Whether it may read `state`, so that it waits for what a `set` before it stores."""
    if any("state" in condition.roots for condition in (*step.only_if, *step.unless)):
        return True
    if step.each is not None or not isinstance(step, ActionStep):
        return True
    return "state" in step.config.roots and step.action != "set"
