"""When a failed attempt is tried again: arithmetic only."""

from collections.abc import Callable

from msgspec import Struct

from reactor.expr.parse import Expression

RETRY_AFTER_CAP_SECS = 3600.0


class Retry(Struct, frozen=True, kw_only=True):
    """Backoff of one step.

    Times in seconds, `max` counts attempts after the first (None = no limit).
    """

    max: int | None = None
    delay_secs: float = 1.0
    factor: float = 2.0
    max_delay_secs: float = 300.0
    full_jitter: bool = True
    within_secs: float | None = None
    only_if: tuple[Expression, ...] = ()
    unless: tuple[Expression, ...] = ()


def next_delay(
    retry: Retry,
    *,
    attempts: int,
    elapsed_secs: float,
    after_secs: float | None,
    chance: Callable[[], float],
) -> float | None:
    """Seconds until the next attempt, or None when the limits are reached.

    `attempts` were made so far, the first one `elapsed_secs` ago. `after_secs` (Retry-After) is
    obeyed up to
    what is left of `within`, else one hour. Full jitter draws from [0, backoff] with `chance` in
    [0, 1);
    exponential backoff with full jitter as in the AWS Architecture Blog, "Exponential Backoff And
    Jitter".
    """
    if retry.max is not None and attempts > retry.max:
        return None
    left = None if retry.within_secs is None else retry.within_secs - elapsed_secs
    if left is not None and left <= 0:
        return None
    try:
        backoff = min(retry.delay_secs * retry.factor ** (attempts - 1), retry.max_delay_secs)
    except OverflowError:
        backoff = retry.max_delay_secs
    if retry.full_jitter:
        backoff *= chance()
    if after_secs is not None:
        backoff = max(backoff, min(after_secs, RETRY_AFTER_CAP_SECS if left is None else left))
    if left is not None and backoff > left:
        return None if after_secs is None else left
    return backoff
