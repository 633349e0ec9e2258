"""The gates of a trigger, checked and compiled: what each of them was told to do."""

from typing import Literal

from msgspec import Struct

from reactor.expr.parse import Expression


class Remember(Struct, frozen=True, kw_only=True):
    """One entry of `remember`; without a key it is `state.NAME` itself."""

    name: str
    value: Expression
    key: Expression | None = None
    keyed: bool = False
    ttl_ms: int | None = None


class Changes(Struct, frozen=True):
    """`changes`: fires when a value differs from the last, a number by at least `by`."""

    of: Expression
    by: float | None = None


class Becomes(Struct, frozen=True, kw_only=True):
    """`becomes` with `for` and `recovers`; `back` None with `recovers` is its own opposite."""

    when: Expression
    for_ms: int = 0
    recovers: bool = False
    back: Expression | None = None
    back_ms: int = 0


class Absent(Struct, frozen=True, kw_only=True):
    """`absent`: fires after so long without an event; `expect` are keys awaited from the start."""

    after_ms: int
    expect: tuple[str, ...] = ()
    recovers: bool = False


class Count(Struct, frozen=True):
    """`count`: fires with the `min`-th event within a sliding time."""

    min: int
    within_ms: int


class Debounce(Struct, frozen=True, kw_only=True):
    """`debounce`: one of many that follow each other closely."""

    quiet_ms: int
    max_wait_ms: int | None = None
    take: Literal["last", "first", "all"] = "last"
    leading: bool = False


class Batch(Struct, frozen=True, kw_only=True):
    """`batch`: many events, one execution; `bisect` halves one that failed."""

    max: int
    within_ms: int | None = None
    max_bytes: int | None = None
    bisect: bool = False


class Window(Struct, frozen=True, kw_only=True):
    """`window`: all events of a span of the clock in a time zone; `time` is the event's own."""

    every_ms: int
    tz: str
    time: Expression | None = None


class Join(Struct, frozen=True, kw_only=True):
    """`join`: one event of each branch; `missing` fires when one of them does not come in time."""

    within_ms: int
    names: tuple[str, ...]
    missing: bool = False


class Throttle(Struct, frozen=True, kw_only=True):
    """`throttle`: never more than `max` starts in any span of `per`."""

    max: int
    per_ms: int
    key: Expression | None = None
    over: Literal["queue", "drop", "refuse"] = "queue"


Config = Changes | Becomes | Absent | Count | Debounce | Batch | Window | Join
MOST = 10_000  # events that one gate holds for one key; a full one lets them go


class Gates(Struct, frozen=True, kw_only=True):
    """The gates of one trigger; `chain` is in the order in which an event passes them."""

    remember: tuple[Remember, ...] = ()
    chain: tuple[tuple[str, Config], ...] = ()
    throttle: Throttle | None = None

    @property
    def holds(self) -> bool:
        """Whether an event may stay in a gate, to start something later."""
        return any(_holds(config) for _, config in self.chain)

    @property
    def collects(self) -> Literal["", "list", "map"]:
        """Whether executions see many events: as a list, or a map by branch."""
        found = ""
        for _, config in self.chain:
            if isinstance(config, Join):
                return "map"
            if isinstance(config, Count | Batch | Window) or (
                isinstance(config, Debounce) and config.take == "all"
            ):
                found = "list"
        return "list" if found else ""


def _holds(config: Config) -> bool:
    if isinstance(config, Becomes):
        return bool(config.for_ms or config.back_ms)
    if isinstance(config, Debounce):
        return not config.leading
    return not isinstance(config, Changes)
