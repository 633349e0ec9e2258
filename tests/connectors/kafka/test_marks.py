"""Where a partition is read on, decided without any broker."""

import pytest

from reactor.connectors.kafka.marks import Begin, Bounds, Mark, begin

BOUNDS = Bounds(10, 100)


@pytest.mark.parametrize(
    ("mark", "committed", "offset"),
    [
        (None, None, 10),
        (None, 40, 40),
        (Mark("c", 50, 40), 40, 50),
        (Mark("c", 50, 50), 60, 60),
        (Mark("c", 50, 50), None, 50),
        (Mark("c", 50, 50), 30, 30),
        (Mark("other", 50, 50), 30, 30),
        (Mark("other", 50, 50), None, 10),
        (Mark("c", 100, 100), 100, 100),
    ],
)
def test_the_further_of_both_counts_unless_an_operator_went_back(mark, committed, offset):
    """Our mark, what the group has committed, and less than we left it."""
    found = begin(mark, committed, BOUNDS, cluster="c", otherwise="earliest")

    assert found == Begin(offset)


def test_latest_begins_at_the_end():
    """Where neither we nor the group have read before."""
    assert begin(None, None, BOUNDS, cluster="c", otherwise="latest") == Begin(100)


@pytest.mark.parametrize(
    ("mark", "committed", "gap"),
    [
        (Mark("c", 5, 5), 5, "5 to 9 were deleted before we read it"),
        (Mark("c", 200, 200), 200, "it ends at 100, before our 200: made anew"),
        (None, 200, "it ends at 100, before the committed 200"),
    ],
)
def test_records_that_went_unread_are_a_gap(mark, committed, gap):
    """It goes on with the first record that is there, and says so."""
    found = begin(mark, committed, BOUNDS, cluster="c", otherwise="latest")

    assert found == Begin(10, gap)
