"""Why a step failed, as the journal keeps it, and whether it is tried again."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import to_builtins

from reactor.errors import ActionFailed, EvaluationError
from reactor.model.execution import Failure
from reactor.model.retry import Retry, next_delay

# What fails the same way again (semantics.md 17), and the answers of servers that may pass.
_FINAL = frozenset({"type", "decode", "denied", "fail", "too_large", "exhausted", "cancelled"})
_PASSING = frozenset({408, 425, 429})


def failure_of(step: str | None, error: Exception, *, attempts: int = 1) -> Failure:
    """The failure that an error is; an expression's error is of kind `type`."""
    if isinstance(error, ActionFailed):
        return Failure(
            step=step,
            kind=error.kind,
            message=str(error),
            status=error.status,
            attempts=attempts,
            output=error.output,
        )
    return Failure(step=step, kind="type", message=str(error), attempts=attempts)


def plain(failure: Failure) -> dict[str, Any]:
    """The failure as `error` in expressions and in the journal."""
    found: dict[str, Any] = to_builtins(failure, builtin_types=(bytes,))
    return found


def from_plain(error: Mapping[str, Any]) -> Failure:
    """The failure of a journal entry."""
    return Failure(**error)


def retryable(failure: Failure) -> ActionFailed:
    """The failure of a control step, judged by kind and status as that of an action would be."""
    status, kind = failure.status, failure.kind
    passing = status in _PASSING or status >= 500 if status is not None else kind not in _FINAL
    return ActionFailed(
        failure.message, kind=kind, status=status, transient=passing, output=failure.output
    )


def delay_secs(
    retry: Retry,
    failed: ActionFailed,
    failure: Failure,
    *,
    names: Mapping[str, Any],
    elapsed_secs: float,
    chance: Callable[[], float],
) -> float | None:
    """Seconds until the next attempt; None: not transient, not wanted, or at its limits."""
    around = {**names, "error": plain(failure)}
    try:
        if retry.only_if:
            wanted = all(condition.test(around) for condition in retry.only_if)
        else:
            wanted = failed.transient
        wanted = wanted and not any(condition.test(around) for condition in retry.unless)
    except EvaluationError:
        wanted = failed.transient
    if not wanted:
        return None
    return next_delay(
        retry,
        attempts=failure.attempts,
        elapsed_secs=elapsed_secs,
        after_secs=failed.after_secs,
        chance=chance,
    )
