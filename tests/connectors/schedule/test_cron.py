"""Cron expressions: what matches, beside a reference implementation."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.connectors.schedule.cron import Cron

NEW_YEAR = datetime.fromisoformat("2026-01-01")  # a Thursday
CENTURY = timedelta(days=36_525)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
PLACES = ((0, 59, ()), (0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, MONTHS), (0, 7, DAYS))


def times(text, count, start=NEW_YEAR):
    """The first times of an expression after a start."""
    cron, found = Cron(text), [start]
    for _ in range(count):
        found.append(cron.after(found[-1]))
    return found[1:]


def shown(text, count, start=NEW_YEAR):
    """The same as text, month first."""
    return [f"{time:%m-%d %H:%M:%S}" for time in times(text, count, start)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("30 7 * * *", ["01-01 07:30:00", "01-02 07:30:00"]),
        ("*/20 * * * *", ["01-01 00:20:00", "01-01 00:40:00"]),
        ("15 30 7 * * *", ["01-01 07:30:15", "01-02 07:30:15"]),
        ("5/20 * * * *", ["01-01 00:05:00", "01-01 00:25:00"]),
        ("0 0 * * 0", ["01-04 00:00:00", "01-11 00:00:00"]),
        ("0 0 * * 7", ["01-04 00:00:00", "01-11 00:00:00"]),
        ("0 0 * * fri-sun", ["01-02 00:00:00", "01-03 00:00:00", "01-04 00:00:00"]),
        ("0 0 * * sat-7", ["01-03 00:00:00", "01-04 00:00:00", "01-10 00:00:00"]),
        ("0 0 * * MON,Wed", ["01-05 00:00:00", "01-07 00:00:00"]),
        ("0 0 1 feb,APR *", ["02-01 00:00:00", "04-01 00:00:00"]),
        ("@daily", ["01-02 00:00:00", "01-03 00:00:00"]),
        ("@Weekly", ["01-04 00:00:00", "01-11 00:00:00"]),
        ("@hourly", ["01-01 01:00:00", "01-01 02:00:00"]),
        ("@monthly", ["02-01 00:00:00", "03-01 00:00:00"]),
    ],
)
def test_the_times_of_an_expression(text, first):
    """Lists, ranges, steps, names, macros and both Sundays mean what every cron takes them for."""
    assert shown(text, len(first)) == first


def test_two_restricted_day_fields_are_alternatives():
    """The 13th and every Friday, not only a Friday the 13th."""
    assert shown("0 0 13 * fri", 3) == ["01-02 00:00:00", "01-09 00:00:00", "01-13 00:00:00"]


def test_a_day_field_that_begins_with_a_star_is_not_restricted():
    """`*/2` narrows the other field and opens no second way: odd days that are Mondays."""
    assert shown("0 0 */2 * mon", 3) == ["01-05 00:00:00", "01-19 00:00:00", "02-09 00:00:00"]


def test_a_leap_day_is_waited_for():
    """The 29th of February comes in its years only."""
    leap_days = [f"{time:%Y-%m-%d}" for time in times("0 0 29 2 *", 2)]

    assert leap_days == ["2028-02-29", "2032-02-29"]


@pytest.mark.parametrize("text", ["0 0 31 2 *", "0 0 30 feb *", "0 0 31 4,6,9,11 */2"])
def test_a_day_that_no_month_has_never_happens(text):
    """What would wait for ever is refused."""
    with pytest.raises(ValueError, match="never happens"):
        Cron(text)


def test_an_impossible_day_beside_weekdays_is_fine():
    """The weekdays alone still happen."""
    assert shown("0 0 31 2 mon", 1) == ["02-02 00:00:00"]


@pytest.mark.parametrize(
    ("text", "follows"),
    [("0 2 * * *", False), ("0 1-3 * * *", False), ("0 1,2 * * *", False),
     ("*/5 2 * * *", False), ("0 * * * *", True), ("0 */2 * * *", True), ("0 1-9/2 * * *", True)],
)  # fmt: skip
def test_a_star_or_step_in_the_hour_follows_the_clock(text, follows):
    """A fixed hour, also a list or range of them, is one that a person chose."""
    assert Cron(text).follows is follows


def field(chance, least, most, names):
    """A field as a careful person or a program might write it."""

    def number():
        value = chance.randint(least, most)
        known = value - least < len(names) and chance.random() < 0.3
        return names[value - least] if known else str(value)

    def part():
        low, high = sorted(chance.sample(range(least, most + 1), 2))
        step = chance.randint(1, max(2, (most - least) // 2))
        return chance.choice([number(), f"{low}-{high}", f"{low}-{high}/{step}", f"*/{step}"])

    if chance.random() < 0.35:
        return "*"
    first = part()
    # After a star the rest of a list says nothing new, and crons differ on what it restricts.
    more = 0 if first.startswith("*") else chance.choice([0, 0, 1, 2])
    return ",".join([first, *(number() for _ in range(more))])


def expression(chance):
    """A random expression of five or six fields that happens now and then, and its times."""
    while True:
        places = PLACES if chance.random() < 0.3 else PLACES[1:]
        text = " ".join(field(chance, *place) for place in places)
        try:
            return text, Cron(text)
        except ValueError:
            continue


@pytest.mark.slow
def test_a_reference_implementation_agrees():
    """Croniter gives the same next times for 10,000 random expressions, each from a random start.

    It is told to begin six fields with the seconds and to take a day field that begins with a star
    as unrestricted, as Vixie's cron does. It differs, and is not asked, where a list holds a star
    beside numbers, where a range runs backwards (it wraps, we refuse), and where the clock is set.
    """
    chance = random.Random(20260101)
    wrong = []
    for _ in range(10_000):
        text, cron = expression(chance)
        start = NEW_YEAR + timedelta(seconds=chance.randrange(4 * 365 * 86_400))
        reference = croniter(
            text,
            start.replace(tzinfo=UTC),
            second_at_beginning=True,
            implement_cron_bug=True,
            max_years_between_matches=50,
        )

        expected = [reference.get_next(datetime).replace(tzinfo=None) for _ in range(2)]

        first = cron.after(start)
        if (found := [first, cron.after(first)]) != expected:
            wrong.append((text, start, found, expected))
    assert wrong == []


@st.composite
def drawn(draw):
    """Lists of numbers for each field, and the expression made of them."""
    numbers = [
        sorted(draw(st.sets(st.integers(least, min(most, 28)), min_size=1, max_size=4)))
        for least, most, _ in PLACES
    ]
    return numbers, " ".join(",".join(map(str, each)) for each in numbers)


@settings(max_examples=50, deadline=None)
@given(drawn(), st.datetimes(NEW_YEAR - CENTURY / 2, NEW_YEAR + CENTURY / 2))
def test_every_time_matches_and_is_later(case, start):
    """Each time is after the last one, and its fields are among those that were asked for."""
    (seconds, minutes, hours, days, months, weekdays), text = case

    found = times(text, 5, start)

    assert found == sorted(set(found))
    assert found[0] > start
    for time in found:
        fields = (time.second, time.minute, time.hour, time.month)
        assert all(map(list.__contains__, (seconds, minutes, hours, months), fields))
        assert time.day in days or time.isoweekday() % 7 in {day % 7 for day in weekdays}
