"""Durations (`1h30m`) and sizes (`64KiB`) as users write them."""

import re

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_SECS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)")
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


class Duration(float):
    """A span of time in seconds, written with units: `250ms 5s 2m 1h30m 7d`."""

    __slots__ = ()


class Size(int):
    """A number of bytes, written with a unit: `64KiB 4MiB`."""

    __slots__ = ()


def parse_duration(text: str) -> Duration:
    """Seconds of `1h30m`; ValueError with the remedy if the text is no duration."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text.strip()):
        raise ValueError(_duration_hint(text))
    return Duration(sum(float(n) * _SECS[unit] for n, unit in _DURATION_PART.findall(text)))


def format_duration(secs: float) -> str:
    """The shortest exact form of a duration: `1h30m`, `250ms`."""
    ms = round(secs * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> Size:
    """Bytes of `64KiB`; ValueError with the remedy if the text is no size."""
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"{text!r} is no size: write a number with B, KiB, MiB or GiB, such as 64KiB"
        )
    return Size(float(match[1]) * _BYTES[match[2]])


def format_size(size: int) -> str:
    """A size for people: `64KiB`, `1.5GiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.4g}{unit}"
    return f"{size}B"


def _duration_hint(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value} what? write {value}s (units are ms s m h d)"
    text = str(value).strip()
    if match := re.fullmatch(r"(\d+):(\d\d)", text):
        return f"{text} is no duration: write {int(match[1])}m{int(match[2])}s"
    if match := re.fullmatch(r"(\d+)\s*(y|years?)", text):
        return f"units are ms s m h d: write {int(match[1]) * 365}d"
    if match := re.fullmatch(r"(\d+)\s*(w|weeks?)", text):
        return f"units are ms s m h d: write {int(match[1]) * 7}d"
    return f"{text!r} is no duration: write a number with ms, s, m, h or d, such as 30s or 1h30m"
