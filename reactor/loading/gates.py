"""The gates of a trigger: checked for themselves and with each other, in the order that holds."""

from collections.abc import Iterator
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reactor.expr.parse import Expression
from reactor.loading.context import Context
from reactor.loading.values import Entry, ListValue, MapValue, Scalar
from reactor.loading.words import (
    AbsentWords,
    BatchWords,
    ChangesWords,
    DebounceWords,
    RecoversWords,
    RememberWords,
    ThrottleWords,
    TriggerWords,
)
from reactor.model.gates import (
    MOST,
    Absent,
    Batch,
    Becomes,
    Changes,
    Config,
    Count,
    Debounce,
    Gates,
    Remember,
    Throttle,
    Window,
)
from reactor.plugin.decode import DecodeFailed, decode
from reactor.units import Duration, format_duration, parse_duration

T = TypeVar("T")

GATES = (
    "remember",
    "changes",
    "becomes",
    "for",
    "recovers",
    "absent",
    "count",
    "debounce",
    "batch",
    "window",
    "throttle",
)
_WATCHING = ("changes", "becomes", "absent")
_DAY_SECS = 86_400
_NOTHING = Expression("null", frozenset(), frozenset(), "UTC")  # stands for one that is wrong


def read_gates(read: TriggerWords, value: MapValue, context: Context) -> Gates | None:
    """The gates of a trigger, None where it has none."""
    if not any(word in value.names for word in GATES):
        return None
    remember = tuple(_remember(read, value, context))
    throttle = None if read.throttle is None else _throttle(read.throttle)
    return Gates(remember=remember, chain=tuple(_chain(read, context)), throttle=throttle)


def _chain(read: TriggerWords, context: Context) -> Iterator[tuple[str, Config]]:
    if read.changes is not None:
        yield "changes", _changes(read.changes)
    if read.becomes is not None:
        yield "becomes", _becomes(read, read.becomes)
    if read.absent is not None:
        yield "absent", _absent(read)
    if read.count is not None:
        yield "count", Count(read.count.min, _ms(read.count.within))
    if read.debounce is not None:
        yield "debounce", _debounce(read.debounce)
    if read.batch is not None:
        yield "batch", _batch(read.batch)
    if read.window is not None:
        tz = read.window.tz or context.loading.defaults.tz
        yield "window", Window(every_ms=_ms(read.window.every), tz=tz, time=read.window.time)


def _remember(read: TriggerWords, value: MapValue, context: Context) -> Iterator[Remember]:
    written = value.get("remember")
    entries = written.entries if isinstance(written, MapValue) else ()
    for entry in entries:
        context.identifier(entry.key, "names of state")
        given = read.remember.get(entry.key.text)
        if isinstance(given, Expression):
            keyed = read.key is not None
            yield Remember(name=entry.key.text, value=given, keyed=keyed)
        elif (long := _long(given, RememberWords)) is not None:
            ttl = None if long.ttl is None else _ms(long.ttl)
            yield Remember(name=entry.key.text, value=long.value, key=long.key, ttl_ms=ttl)


def _changes(given: Any) -> Changes:
    if isinstance(given, Expression):
        return Changes(given)
    long = _long(given, ChangesWords)
    return Changes(_NOTHING) if long is None else Changes(long.of, long.by)


def _becomes(read: TriggerWords, when: Expression) -> Becomes:
    back, back_ms = None, 0
    if isinstance(read.recovers, Expression):
        back = read.recovers
    elif (long := _long(read.recovers, RecoversWords)) is not None:
        back, back_ms = long.at, 0 if long.for_ is None else _ms(long.for_)
    return Becomes(
        when=when,
        for_ms=0 if read.for_ is None else _ms(read.for_),
        recovers=read.recovers is not None,
        back=back,
        back_ms=back_ms,
    )


def _absent(read: TriggerWords) -> Absent:
    recovers = read.recovers is not None
    long = _long(read.absent, AbsentWords)
    if long is not None:
        return Absent(after_ms=_ms(long.after), expect=long.expect, recovers=recovers)
    return Absent(after_ms=_span(read.absent), recovers=recovers)


def _debounce(read: DebounceWords) -> Debounce:
    return Debounce(
        quiet_ms=_ms(read.quiet),
        max_wait_ms=None if read.max_wait is None else _ms(read.max_wait),
        take=read.take,
        leading=read.edge == "leading",
    )


def _batch(read: BatchWords) -> Batch:
    return Batch(
        max=min(MOST, read.max or MOST),
        within_ms=None if read.within is None else _ms(read.within),
        max_bytes=None if read.max_bytes is None else int(read.max_bytes),
        bisect=read.poison == "bisect",
    )


def _throttle(read: ThrottleWords) -> Throttle:
    return Throttle(max=read.max, per_ms=_ms(read.per), key=read.key, over=read.over)


# ---- what does not go together


def check_gates(value: MapValue, source: str, context: Context) -> None:
    """Report gates that cannot work, alone or together."""
    _check_pairs(value, context)
    _check_filter(value, context)
    _check_spans(value, context)
    for word, most in (("batch", "max"), ("count", "min"), ("throttle", "max")):
        number = _inner(value, word, most)
        if isinstance(number, Scalar) and isinstance(number.value, int) and number.value > MOST:
            message = f"{word}.{most} is at most {MOST}: that is what a gate holds for one key"
            context.report.error(number, message)
    _check_throttle(value, source, context)
    _check_window(value, context)
    expect = _inner(value, "absent", "expect")
    if expect is not None and value.entry("key") is None:
        message = "expect waits for keys: add key: event.… so that events have one"
        context.report.error(expect, message)


def _check_pairs(value: MapValue, context: Context) -> None:
    report, keys = context.report, set(value.names)
    if (entry := value.entry("for")) and "becomes" not in keys:
        report.error(
            entry.key,
            "for says how long becomes must stay true: add becomes: …; "
            "to wait for silence use absent, to slow down debounce",
        )
    if (entry := value.entry("recovers")) and not keys & {"becomes", "absent"}:
        report.error(entry.key, "recovers needs becomes or absent beside it")
    elif entry is not None and "absent" in keys and not _is_true(entry):
        report.error(entry.key, "absent recovers with the next event: recovers: true")
    for word in _together(value, _WATCHING):
        others = ", ".join(_WATCHING)
        report.error(word, f"a trigger has one of {others}: write a second trigger for the other")
    for word in _together(value, _collecting(value)):
        message = f"{' and '.join(_collecting(value))} make a list of events each: keep one of them"
        report.error(word, message)
    batch = value.get("batch")
    if isinstance(batch, MapValue) and not {"max", "within", "max_bytes"} & set(batch.names):
        report.error(batch.first, "batch needs max, within or max_bytes")
    debounce = value.get("debounce")
    take = debounce.entry("take") if isinstance(debounce, MapValue) else None
    if take is not None and _text(debounce, "edge") == "leading":
        report.error(take.key, "edge: leading fires at once with the first event: drop take")


def _check_filter(value: MapValue, context: Context) -> None:
    becomes, only_if = value.get("becomes"), value.get("only_if")
    watched = becomes or value.get("changes")
    if not isinstance(watched, Scalar) or only_if is None:
        return
    for item in only_if.items if isinstance(only_if, ListValue) else (only_if,):
        if isinstance(item, Scalar) and item.text == watched.text:
            word = "becomes" if watched is becomes else "changes"
            context.report.warning(
                item,
                f"{word} sees only what the filter lets through, "
                "so it never falls back to false: drop only_if",
            )


def _check_spans(value: MapValue, context: Context) -> None:
    """No gate waits for no time at all."""
    for word in GATES:
        entry = value.entry(word)
        if entry is None:
            continue
        inner = entry.value.entries if isinstance(entry.value, MapValue) else (entry,)
        for each in inner:
            if each.key.text in _SPANS and seconds_of(each.value) == 0:
                context.report.error(each.value, f"{each.key.text} is more than 0s")
    quiet, wait = _inner(value, "debounce", "quiet"), _inner(value, "debounce", "max_wait")
    if wait is not None and 0 < (seconds_of(wait) or 0) < (seconds_of(quiet) or 0):
        context.report.error(wait, "max_wait is shorter than quiet, so quiet never counts")


_SPANS = frozenset({"for", "absent", "after", "within", "quiet", "max_wait", "per", "every", "ttl"})


def _check_throttle(value: MapValue, source: str, context: Context) -> None:
    throttle = value.get("throttle")
    if not isinstance(throttle, MapValue):
        return
    holding = [word for word in value.names if word in _HOLDING]
    over, key = throttle.entry("over"), throttle.entry("key")
    if over is not None and _text(throttle, "over") == "refuse":
        if source != "http":
            message = f"over: refuse answers 429, which {source} cannot hear: queue or drop"
            context.report.error(over.value, message)
        elif holding:
            message = f"over: refuse is for the caller, who is gone when {holding[0]} lets go"
            context.report.error(over.value, f"{message}: queue or drop")
    if key is not None and holding:
        message = f"what {holding[0]} lets go is throttled by the trigger's key: drop this one"
        context.report.error(key.key, message)


_HOLDING = ("for", "absent", "count", "debounce", "batch", "window", "join")


def _check_window(value: MapValue, context: Context) -> None:
    every, tz = _inner(value, "window", "every"), _inner(value, "window", "tz")
    secs = seconds_of(every)
    if every is not None and secs and _DAY_SECS % secs and secs % _DAY_SECS:
        message = (
            f"{format_duration(secs)} does not divide a day, so windows would begin at other "
            "times each day: take a part of a day such as 6h, or whole days"
        )
        context.report.error(every, message)
    if isinstance(tz, Scalar):
        try:
            ZoneInfo(tz.text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            message = f"no time zone '{tz.text}': write a name such as Europe/Paris"
            context.report.error(tz, message)


def _collecting(value: MapValue) -> list[str]:
    found: list[str] = [word for word in ("count", "batch", "window") if word in value.names]
    if _text(value.get("debounce"), "take") == "all":
        found.insert(0, "debounce take: all")
    return found


def _together(value: MapValue, words: Any) -> Iterator[Scalar]:
    """The keys of all but the first of some words that are there."""
    names = {word.partition(" ")[0] for word in words}
    found = [entry.key for entry in value.entries if entry.key.text in names]
    yield from found[1:]


def _inner(value: MapValue, word: str, name: str) -> Any:
    inner = value.get(word)
    return inner.get(name) if isinstance(inner, MapValue) else None


def _text(value: Any, name: str) -> str | None:
    found = value.get(name) if isinstance(value, MapValue) else None
    return found.text if isinstance(found, Scalar) else None


def _is_true(entry: Entry) -> bool:
    return isinstance(entry.value, Scalar) and entry.value.value is True


def seconds_of(value: Any) -> float | None:
    """The span that a scalar says, or None."""
    if not isinstance(value, Scalar):
        return None
    try:
        return float(parse_duration(value.value))
    except (TypeError, ValueError):
        return None


def _ms(span: Duration) -> int:
    return round(float(span) * 1000)


def _span(given: Any) -> int:
    try:
        return round(float(parse_duration(given)) * 1000)
    except (TypeError, ValueError):
        return 0  # said where it stands


def _long(given: Any, words: type[T]) -> T | None:
    """The long form of a gate; None where it is another, or wrong (said where it stands)."""
    if not isinstance(given, dict):
        return None
    try:
        return decode(given, words)  # type: ignore[no-any-return]
    except DecodeFailed:
        return None
