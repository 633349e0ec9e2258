"""Functions on time: instants in UTC, seen in a time zone where a calendar is asked for."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reactor.errors import EvaluationError
from reactor.expr.function import Function, Param
from reactor.expr.values import Fuel
from reactor.units import format_duration, parse_duration

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORMAT = re.compile(r"(?:[^%]|%[aAbBdHIjmMpSUwWxXyYfzZcGuVeFTDR%])*")
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?"
)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_MAX_FORMAT = 200
_MAX_TEXT = 200
_PARTS = ("year", "month", "day", "hour", "minute", "second", "week", "weekday", "yearday")


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name; EvaluationError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise EvaluationError(
            f"no time zone is called {name[:60]!r}: such as Europe/Berlin"
        ) from None


def _instant(value: datetime | str, tz: str = "UTC") -> datetime:
    if type(value) is datetime:
        return value
    text = str(value).strip()
    if not _RFC3339.fullmatch(text):
        raise EvaluationError(
            f"{text[:60]!r} is no time as RFC 3339 has it: parse_date(…, format) reads others"
        )
    try:
        moment = datetime.fromisoformat(text.upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone(tz))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"{text[:60]!r} is no time: {error}") from None


def _local(value: datetime | str, tz: str) -> datetime:
    try:
        return _instant(value, tz).astimezone(zone(tz))
    except OverflowError:
        raise EvaluationError("the time is out of range") from None


def _date(_fuel: Fuel, value: datetime | str, tz: str) -> str:
    return _local(value, tz).date().isoformat()


def _parse_date(_fuel: Fuel, value: Any, form: str, tz: str) -> datetime:
    try:
        if type(value) is not str:
            return datetime.fromtimestamp(value, UTC)
        if not form:
            return _instant(value, tz)
        if len(value) > _MAX_TEXT:
            raise EvaluationError(f"a time has at most {_MAX_TEXT} characters")
        moment = datetime.strptime(value, _checked(form))  # noqa: DTZ007 the zone follows
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone(tz))).astimezone(UTC)
    except (ValueError, OverflowError, OSError, re.error) as error:
        raise EvaluationError(f"{str(value)[:60]!r} is no time of this form: {error}") from None


def _format_date(_fuel: Fuel, value: datetime | str, form: str, tz: str) -> str:
    return _local(value, tz).strftime(_checked(form))


def _checked(form: str) -> str:
    # The platform's strftime knows widths such as %999999999d.
    if len(form) > _MAX_FORMAT or not form.isprintable() or not _FORMAT.fullmatch(form):
        raise EvaluationError(f'{form[:60]!r} is no format for times: such as "%Y-%m-%d %H:%M"')
    return form


def _add_time(_fuel: Fuel, value: datetime | str, span: Any) -> datetime:
    try:
        return _instant(value) + timedelta(seconds=_secs(span))
    except OverflowError:
        raise EvaluationError("the time is out of range") from None


def _secs(span: Any) -> float:
    if type(span) is not str:
        return float(span)
    sign = -1.0 if span.startswith("-") else 1.0
    try:
        return sign * parse_duration(span.lstrip("+-")[:_MAX_TEXT])
    except (ValueError, OverflowError) as error:
        raise EvaluationError(str(error)) from None


def _seconds(_fuel: Fuel, span: Any) -> int | float:
    secs = _secs(span)
    return int(secs) if secs.is_integer() else secs


def _part(_fuel: Fuel, value: datetime | str, name: str, tz: str) -> int:
    moment = _local(value, tz)
    if name == "week":
        return moment.isocalendar().week
    if name == "weekday":
        return moment.isoweekday()
    if name == "yearday":
        return moment.timetuple().tm_yday
    parts = dict(zip(_PARTS, moment.timetuple(), strict=False))
    if name not in parts:
        raise EvaluationError(f"a time has no part {name[:60]!r}: {' '.join(_PARTS)}")
    return parts[name]


def _weekday(_fuel: Fuel, value: datetime | str, tz: str) -> str:
    return _DAYS[_local(value, tz).weekday()]


def _between(_fuel: Fuel, value: datetime | str, start: str, end: str, tz: str) -> bool:
    now = _local(value, tz).time()
    begins, ends = _clock(start), _clock(end)
    if begins <= ends:
        return begins <= now < ends
    return now >= begins or now < ends


def _clock(text: str) -> time:
    match = _CLOCK.fullmatch(text.strip()[:_MAX_TEXT])
    if text.strip() == "24:00":
        return time.max
    if match is None:
        raise EvaluationError(f'{text[:60]!r} is no time of day: such as "22:00"')
    return time(int(match[1]), int(match[2]), int(match[3] or 0))


_TIME = Param("time", "time")
_TZ = Param("tz", "text", "")
_NOON = "2026-03-02T12:30:00Z"
_SPAN = format_duration(300)

FUNCTIONS = (
    Function(
        "date", (_TIME, _TZ), "text", "The day of a time, `YYYY-MM-DD`.",
        'date("2026-03-02T23:30:00Z", "Europe/Berlin")', "2026-03-03", _date,
    ),
    Function(
        "parse_date", (Param("value", "text or number"), Param("format", "text", ""), _TZ), "time",
        "The time that a text says (RFC 3339, or the given format), or of seconds since 1970.",
        'parse_date("02.03.2026 13:30", "%d.%m.%Y %H:%M", "Europe/Berlin")',
        datetime(2026, 3, 2, 12, 30, tzinfo=UTC), _parse_date,
    ),
    Function(
        "format_date", (_TIME, Param("format", "text"), _TZ), "text", "The time in the given form.",
        f'format_date("{_NOON}", "%H:%M", "Europe/Berlin")', "13:30", _format_date,
    ),
    Function(
        "add_time", (_TIME, Param("span", "text or number")), "time",
        "The time so much later, or earlier with a minus; a number is seconds.",
        f'add_time("{_NOON}", "-{_SPAN}")', datetime(2026, 3, 2, 12, 25, tzinfo=UTC), _add_time,
    ),
    Function(
        "part", (_TIME, Param("name", "text"), _TZ), "number",
        "One part of a time: year month day hour minute second week weekday (1 is Monday) yearday.",
        f'part("{_NOON}", "hour", "Europe/Berlin")', 13, _part,
    ),
    Function(
        "weekday", (_TIME, _TZ), "text", "The day of the week: mon tue wed thu fri sat sun.",
        f'weekday("{_NOON}")', "mon", _weekday,
    ),
    Function(
        "between", (_TIME, Param("start", "text"), Param("end", "text"), _TZ), "boolean",
        "Whether the time of day is from start on and before end; the span may cross midnight.",
        f'between("{_NOON}", "22:00", "13:00")', True, _between,
    ),
    Function(
        "seconds", (Param("span", "text"),), "number", "The seconds of a duration.",
        'seconds("5m")', 300, _seconds,
    ),
)  # fmt: skip
