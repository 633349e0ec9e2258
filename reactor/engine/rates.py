"""Rate limits of connections: who gets the next turn, and when; waiting is a stored time."""

from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from reactor.clock import Clock
from reactor.engine.turns import Act

_KEPT_SECS = 3600.0
_MANY = 10_000


class Rate(Struct, frozen=True):
    """At most `count` attempts over a connection in any span of `secs`."""

    connection: str
    count: int
    secs: float


FindRate = Callable[[str, Any], Rate | None]


class Rates:
    """Gives turns in the order in which they were asked for.

    `find` says which rate the action of a word with this config is under. Turns that were given are
    remembered until they are taken; after a restart they are given anew.
    """

    def __init__(self, clock: Clock, find: FindRate) -> None:
        self._clock = clock
        self._find = find
        self._turns: dict[str, deque[float]] = {}
        self._given: dict[tuple[int, str], float] = {}

    def wait(self, execution: int, act: Act) -> tuple[int, str] | None:
        """Until when, and for which connection, an attempt must wait; None: it may begin."""
        rate = self._find(act.step.action, act.config)
        if rate is None:
            return None
        now = self._clock.monotonic_secs()
        turn = self._given.pop((execution, act.path), None)
        if turn is None:
            turn = self._next(rate, now)
        if turn <= now:
            return None
        if len(self._given) > _MANY:
            self._forget(now)
        self._given[execution, act.path] = turn
        return self._clock.now_ms() + max(1, round((turn - now) * 1000)), rate.connection

    def _next(self, rate: Rate, now: float) -> float:
        turns = self._turns.get(rate.connection)
        if turns is None or turns.maxlen != rate.count:
            turns = self._turns[rate.connection] = deque(turns or (), maxlen=rate.count)
        turn = now if len(turns) < rate.count else max(now, turns[0] + rate.secs)
        turns.append(turn)
        return turn

    def _forget(self, now: float) -> None:
        """Drop turns that nobody took: their executions were cancelled."""
        self._given = {who: turn for who, turn in self._given.items() if turn > now - _KEPT_SECS}


def no_rate(word: str, config: Any) -> Rate | None:
    """No connection has a limit."""
    return None
