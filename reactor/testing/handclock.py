"""A clock that is turned by hand, and whoever waits for what it shows."""

import asyncio

from reactor.loading.flowtests import TEST_BEGINS_MS

BEGIN_MS = TEST_BEGINS_MS


class HandClock:
    """A clock that stands still until it is turned."""

    def __init__(self, now_ms: int = BEGIN_MS) -> None:
        self._now_ms = now_ms
        self._passed_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._now_ms

    def monotonic_secs(self) -> float:
        """Seconds that only grow."""
        return self._passed_ms / 1000

    def turn(self, ms: int) -> None:
        """Let time pass."""
        self._now_ms += ms
        self._passed_ms += ms

    def jump(self, ms: int) -> None:
        """Set the wall clock, as an administrator would; no time passes."""
        self._now_ms += ms


class Sleepers:
    """Sources that wait for the clock to be turned."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._asleep: dict[asyncio.Future[None], tuple[int, int]] = {}

    async def wait_until(self, ms: int) -> None:
        """Return when the clock shows this time, or was set back meanwhile."""
        now_ms = self._clock.now_ms()
        if ms <= now_ms:
            return
        asleep: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asleep[asleep] = (now_ms, ms)
        try:
            await asleep
        finally:
            self._asleep.pop(asleep, None)

    async def nap(self, secs: float) -> None:
        """Return when so much time has passed."""
        await self.wait_until(self._clock.now_ms() + round(secs * 1000))

    def times(self) -> list[int]:
        """When each of them wants to wake."""
        return [until_ms for _, until_ms in self._asleep.values()]

    def wake(self) -> None:
        """Wake those whose time has come, or whose clock was set back."""
        now_ms = self._clock.now_ms()
        for asleep, (since_ms, until_ms) in list(self._asleep.items()):
            if not since_ms <= now_ms < until_ms:
                del self._asleep[asleep]
                asleep.set_result(None)
