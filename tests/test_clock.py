"""Times as they are stored and as people read them."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from reactor.clock import SystemClock, instant, to_ms


def test_a_stored_time_is_an_instant_in_utc():
    """Milliseconds since 1970 become a datetime that knows its zone."""
    assert instant(1_767_225_600_250) == datetime(2026, 1, 1, microsecond=250_000, tzinfo=UTC)


def test_an_instant_of_any_zone_is_stored_in_utc():
    """The zone of a datetime does not change what is stored."""
    berlin = timezone(timedelta(hours=1))

    assert to_ms(datetime(2026, 1, 1, 1, tzinfo=berlin)) == 1_767_225_600_000


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_a_stored_time_survives_being_read(ms):
    """No millisecond is lost up to the year 9999."""
    assert to_ms(instant(ms)) == ms


def test_the_system_clock_counts_milliseconds():
    """It agrees with the machine's own idea of the year."""
    assert instant(SystemClock().now_ms()).year == datetime.now(UTC).year


def test_the_monotonic_clock_never_goes_back():
    """Two readings are in order."""
    clock = SystemClock()

    first, second = clock.monotonic_secs(), clock.monotonic_secs()

    assert first <= second
