"""The only place that asks the time."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """What the engine may ask about time; tests turn their own by hand."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 in UTC; may jump when the machine's clock is set."""
        ...

    def monotonic_secs(self) -> float:
        """Seconds that only grow, for measuring spans."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 in UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_secs(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()


@lru_cache(maxsize=256)  # what happens in one millisecond shares its instant
def instant(ms: int) -> datetime:
    """The UTC instant of a stored time."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_ms(moment: datetime) -> int:
    """The stored form of an instant."""
    return round(moment.timestamp() * 1000)
