"""How sources wait for a time by a clock that may be set."""

import pytest

from reactor.daemon.sources import LONGEST_NAP_SECS, wait_until
from reactor.testing import HandClock


class Napper:
    """Naps pass at once; a clock may be set in one of them."""

    def __init__(self, clock, jumps):
        self.clock = clock
        self.jumps = list(jumps)
        self.naps = []

    async def nap(self, secs):
        self.naps.append(secs)
        self.clock.turn(round(secs * 1000))
        if self.jumps:
            self.clock.jump(self.jumps.pop(0) * 1000)


@pytest.mark.parametrize(
    ("jumps", "naps"),
    [
        ([], [LONGEST_NAP_SECS, LONGEST_NAP_SECS, 15]),
        ([40], [LONGEST_NAP_SECS, 5]),
        ([3600], [LONGEST_NAP_SECS]),
        ([0, -3600], [LONGEST_NAP_SECS, LONGEST_NAP_SECS]),
    ],
)
async def test_naps_are_short_so_that_a_set_clock_is_noticed(jumps, naps):
    """A clock set forward shortens the wait, one set back ends it."""
    napper = Napper(clock := HandClock(), jumps)

    await wait_until(clock, clock.now_ms() + 75_000, napper.nap)

    assert napper.naps == naps


async def test_a_time_that_is_past_is_not_waited_for():
    """There is no nap at all."""
    napper = Napper(clock := HandClock(), [])

    await wait_until(clock, clock.now_ms(), napper.nap)

    assert napper.naps == []
