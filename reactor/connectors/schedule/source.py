"""The source `schedule`: an event at each due time, once, also after a crash."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from reactor.clock import instant, to_ms
from reactor.connectors.schedule.calendar import Calendar, Daily, Every, Walls
from reactor.connectors.schedule.cron import Cron
from reactor.connectors.schedule.missed import GRACE, Missed, due_times, resumed
from reactor.errors import SourceFailed
from reactor.model.event import Received
from reactor.plugin.context import Emit, SourceContext
from reactor.plugin.spec import Complaint, Config, doc, source
from reactor.units import Duration, parse_duration

_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
# So many missed due times are one commit.
_PAGE = 100


class Schedule(Config, frozen=True):
    """When it is due, and what becomes of times that were missed."""

    cron: Annotated[
        str | None,
        doc(
            "Five fields, minute hour day month weekday, or six with seconds first; "
            "`@daily` and the like.",
            "30 7 * * mon-fri",
            form="literal",
        ),
    ] = None
    every: Annotated[
        Duration | None,
        doc("A span, aligned to the clock: `15m` is :00, :15, :30, :45.", "15m", form="literal"),
    ] = None
    at: Annotated[
        tuple[str, ...] | None, doc("Times of each day.", ["07:30", "19:30"], form="literal")
    ] = None
    tz: Annotated[
        str,
        doc(
            "The time zone (IANA); without one, `defaults.tz` of the settings.",
            "Europe/Berlin",
            form="literal",
            setting="tz",
        ),
    ] = "UTC"
    missed: Annotated[
        Missed,
        doc(
            "Due times while nobody was there: the last one, `all` of them, or none (`skip`).",
            form="literal",
        ),
    ] = "once"
    catch_up: Annotated[
        Duration, doc("Due times that are longer past are dropped.", "1h", form="literal")
    ] = Duration(86_400)
    jitter: Annotated[
        Duration, doc("Each is up to this much late, by chance.", "5m", form="literal")
    ] = Duration(0)


def calendar_of(config: Schedule) -> Calendar:
    """When a schedule is due; ValueError where it cannot be."""
    if config.cron is not None:
        walls: Walls = Cron(config.cron)
    elif config.every is not None:
        walls = Every(timedelta(seconds=config.every))
    else:
        walls = Daily([_time(text) for text in config.at or ()])
    return Calendar(walls, ZoneInfo(config.tz))


def _check(written: Mapping[str, Any]) -> Iterable[Complaint]:
    if isinstance(cron := written.get("cron"), str):
        try:
            Cron(cron)
        except ValueError as error:
            yield ("cron",), f"cron: {error}"
    if isinstance(every := written.get("every"), str):
        span = parse_duration(every)
        if not span:
            yield ("every",), f"every: {every} never happens: write a span such as 15m"
        elif span < 1:
            yield ("every",), f"every: {every} is too often: at least 1s"
    at = written.get("at")
    if at == []:
        yield ("at",), 'at never happens: write times of the day such as ["07:30"]'
    for index, text in enumerate(at or ()):
        try:
            _time(str(text))
        except ValueError as error:
            yield ("at", index), f"at: {error}"
    if isinstance(tz := written.get("tz"), str):
        try:
            ZoneInfo(tz)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield ("tz",), f"no time zone is called {tz[:60]!r}{_meant(tz)}"


def _time(text: str) -> time:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no time of the day: write hours and minutes, such as 07:30")
    return time(int(match[1]), int(match[2]), int(match[3] or 0))


def _meant(tz: str) -> str:
    known = {name.lower(): name for name in available_timezones()}
    near = get_close_matches(tz.lower(), known, 1)
    return f"; did you mean {known[near[0]]}" if near else ": write one such as Europe/Berlin"


@source(
    "schedule",
    one_of=(("cron", "every", "at"),),
    check=_check,
    outside=False,
    guarantee="exactly once for each due time; those that were missed as `missed` says",
    examples=[
        "schedule: {every: 15m}",
        'schedule: {cron: "30 7 * * mon-fri", tz: Europe/Berlin}',
        'schedule: {at: ["07:30", "19:30"], missed: skip}',
    ],
)
async def schedule(config: Schedule, emit: Emit, context: SourceContext) -> None:
    """Points in time; `event.data` is `{due, late_by}`: a time, and whole seconds."""
    await _Course(config, emit, context).run()


class _Course:
    """One schedule on its way from due time to due time."""

    def __init__(self, config: Schedule, emit: Emit, context: SourceContext) -> None:
        self._config = config
        self._emit = emit
        self._context = context
        self._calendar = calendar_of(config)

    async def run(self) -> None:
        """Emit what is due, until cancelled."""
        due = await self._begin()
        while True:
            self._context.up(f"next {_text(due, self._calendar.zone)}")
            delay = self._delay(due)
            if await self._reached(due + delay):
                due = await self._catch_up(due, delay)
            else:
                due = self._ahead(due)

    async def _begin(self) -> datetime:
        stored = await self._context.position()
        if stored in (None, "latest"):
            due = self._after(self._now())
            # From here on a time that passes while we are down is a missed one.
            await self._context.set_position(_text(due))
            return due
        try:
            noted = datetime.fromisoformat(str(stored))
        except ValueError:
            noted = None
        if noted is None or noted.tzinfo is None:
            raise SourceFailed(
                f"position {stored!r} is no time: reactor sources reset {self._context.instance}"
                " --to latest, or --to a time such as 2026-01-31T07:30:00Z",
                fatal=True,
            )
        return self._ahead(noted)

    async def _reached(self, moment: datetime) -> bool:
        """Wait for a moment; whether it is there, or the clock was set back."""
        await self._context.wait_until(to_ms(moment))
        return self._now() >= moment

    async def _catch_up(self, due: datetime, delay: timedelta) -> datetime:
        """Emit what is due by now; the due time after it."""
        now = self._now()
        if now - due > GRACE + delay:
            facts = {"source": self._context.instance, "since": _text(due)}
            self._context.log.warning("due times were missed", extra=facts)
        waiting = due_times(
            self._calendar,
            due,
            now,
            missed=self._config.missed,
            catch_up=timedelta(seconds=self._config.catch_up),
            delay=delay,
        )
        while page := list(islice(waiting, _PAGE)):
            receipts = await self._emit.many([self._received(each, now) for each in page])
            if receipts[-1].event is None or receipts[-1].duplicate:
                # Nothing was stored with it, so neither was the position.
                await self._context.set_position(_text(self._after(page[-1])))
        return self._after(now)

    def _received(self, due: datetime, now: datetime) -> Received:
        late_secs = max(0, int((now - due).total_seconds()))
        return Received(
            data={"due": _text(due, self._calendar.zone), "late_by": late_secs},
            identity=_text(due),
            position=_text(self._after(due)),
            time_ms=to_ms(due),
        )

    def _delay(self, due: datetime) -> timedelta:
        """How much later by chance; never past the next due time."""
        if not self._config.jitter:
            return timedelta()
        longest = min(timedelta(seconds=self._config.jitter), self._after(due) - due)
        return longest * self._context.chance()

    def _ahead(self, noted: datetime) -> datetime:
        due = resumed(self._calendar, noted, now := self._now())
        if due is None:
            raise SourceFailed("the schedule never happens again", fatal=True)
        if due < noted and noted > now:
            facts = {"source": self._context.instance, "noted": _text(noted)}
            self._context.log.warning("the clock ran far ahead before; going on", extra=facts)
        return due

    def _after(self, moment: datetime) -> datetime:
        due = self._calendar.after(moment)
        if due is None:
            raise SourceFailed("the schedule never happens again", fatal=True)
        return due

    def _now(self) -> datetime:
        return instant(self._context.clock.now_ms())


def _text(moment: datetime, zone: ZoneInfo | None = None) -> str:
    """RFC 3339, in UTC or as the clock of a zone shows it."""
    if zone is not None:
        moment = moment.astimezone(zone)
    return moment.isoformat().replace("+00:00", "Z")
