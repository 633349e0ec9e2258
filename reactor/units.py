"""Durations (`1h30m`) and sizes (`64KiB`) as users write them."""

import re
from decimal import Decimal

_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPELLED_OUT = re.compile(
    r"([0-9]+)\s*(ms|s(?:ecs?|econds?)?|m(?:ins?|inutes?)?|h(?:rs?|ours?)?|d(?:ays?)?)"
)
# A due time this far away still fits a date; more is a slip of the finger.
_LONGEST_DAYS = 36_500
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)")
_BYTES = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
}
_LARGEST_BYTES = 8192 << 40


class Duration(float):
    """A span of time in seconds, written with units: `250ms 5s 2m 1h30m 7d`."""

    __slots__ = ()


class Size(int):
    """A number of bytes, written with a unit: `64KiB 4MiB`."""

    __slots__ = ()


def parse_duration(text: object) -> Duration:
    """Seconds of `1h30m`; ValueError with the remedy if it is no duration."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text.strip()):
        raise ValueError(_duration_hint(text))
    secs = sum(float(count) * _MS[unit] for count, unit in _DURATION_PART.findall(text)) / 1000
    if secs > _LONGEST_DAYS * 86_400:
        raise ValueError(f"{text} is too long: at most {_LONGEST_DAYS}d")
    return Duration(secs)


def parse_rate(text: object) -> tuple[int, Duration]:
    """How many in which time of `10/1s`; ValueError with the remedy if it is no rate."""
    count, slash, span = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not slash or not count.strip().isdecimal() or not int(count):
        shown = f"{text!r} is no rate" if text is not None else "a rate is missing"
        raise ValueError(f"{shown}: so many in a time, such as 10/1s or 100/1m")
    secs = parse_duration(span)
    if not secs:
        raise ValueError(f"{text!r} is no rate: the time is not 0")
    return int(count), secs


def format_duration(secs: float) -> str:
    """The shortest form of a duration, to the millisecond: `1h30m`, `250ms`."""
    ms = round(abs(secs) * 1000)
    sign = "-" if secs < 0 and ms else ""
    parts = []
    for unit, size in reversed(_MS.items()):
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + ("".join(parts) or "0s")


def parse_size(text: object) -> Size:
    """Bytes of `64KiB`; ValueError with the remedy if it is no size up to 8192TiB."""
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"{text!r} is no size: write a number with B, KiB, MiB or GiB, such as 64KiB"
        )
    size = Decimal(match[1]) * _BYTES[match[2]]
    if size > _LARGEST_BYTES:
        raise ValueError(f"{text} is too large: at most 8192TiB")
    return Size(size)


def format_size(size: int) -> str:
    """A size for people: `64KiB`, `1.5GiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.4g}{unit}"
    return f"{size}B"


def _duration_hint(value: object) -> str:
    text = str(value).strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return f"{text} what? write {text}s (units are ms s m h d)"
    if match := _SPELLED_OUT.fullmatch(text):
        unit = match[2] if match[2] == "ms" else match[2][0]
        return f"{text!r} is no duration: write {match[1]}{unit} (units are ms s m h d)"
    if match := re.fullmatch(r"([0-9]+):([0-9]{2})", text):
        return f"{text} is no duration: write {int(match[1])}m{int(match[2])}s"
    if match := re.fullmatch(r"([0-9]+)\s*(y|years?)", text):
        return f"units are ms s m h d: write {int(match[1]) * 365}d"
    if match := re.fullmatch(r"([0-9]+)\s*(w|weeks?)", text):
        return f"units are ms s m h d: write {int(match[1]) * 7}d"
    return f"{text!r} is no duration: write a number with ms, s, m, h or d, such as 30s or 1h30m"
