"""When a failed attempt is tried again: bounds that hold for all numbers."""

from hypothesis import given
from hypothesis import strategies as st

from reactor.model.retry import RETRY_AFTER_CAP_SECS, Retry, next_delay

SPANS = st.floats(0, 1e9)
RETRIES = st.builds(
    Retry,
    max=st.none() | st.integers(0, 2000),
    delay_secs=SPANS,
    factor=st.floats(1, 1e6),
    max_delay_secs=SPANS,
    full_jitter=st.booleans(),
    within_secs=st.none() | SPANS,
)
CHANCES = st.floats(0, 1, exclude_max=True)


@given(RETRIES, st.integers(1, 5000), SPANS, st.none() | SPANS, CHANCES)
def test_a_delay_is_within_every_limit(retry, attempts, elapsed, after, chance):
    """Never negative, never beyond `within`, never over what was asked for and configured."""
    delay = next_delay(
        retry, attempts=attempts, elapsed_secs=elapsed, after_secs=after, chance=lambda: chance
    )

    if delay is None:
        return
    assert retry.max is None or attempts <= retry.max
    assert delay >= 0
    if retry.within_secs is not None:
        assert elapsed + delay <= retry.within_secs * (1 + 1e-9)
    else:
        assert delay <= max(retry.max_delay_secs, min(after or 0, RETRY_AFTER_CAP_SECS))


@given(st.floats(0.1, 100), st.floats(1, 10), st.integers(1, 30))
def test_without_jitter_delays_grow_by_the_factor_up_to_the_bound(delay, factor, attempts):
    """delay, delay * factor, … and then max_delay."""
    retry = Retry(delay_secs=delay, factor=factor, max_delay_secs=300, full_jitter=False)

    found = next_delay(retry, attempts=attempts, elapsed_secs=0, after_secs=None, chance=float)

    assert found == min(delay * factor ** (attempts - 1), 300)


@given(st.integers(1, 50))
def test_max_counts_the_attempts_after_the_first(most):
    """With `max: n` there are n + 1 attempts."""
    retry = Retry(max=most, delay_secs=1, full_jitter=False)

    delays = [
        next_delay(retry, attempts=made, elapsed_secs=0, after_secs=None, chance=float)
        for made in range(1, most + 2)
    ]

    assert [delay is None for delay in delays] == [False] * most + [True]


def test_an_end_of_patience_is_not_slept_through():
    """A backoff that goes beyond `within` ends the retries now."""
    retry = Retry(within_secs=60, delay_secs=50, factor=2, full_jitter=False)

    first = next_delay(retry, attempts=1, elapsed_secs=0, after_secs=None, chance=float)
    second = next_delay(retry, attempts=2, elapsed_secs=50, after_secs=None, chance=float)

    assert (first, second) == (50, None)
