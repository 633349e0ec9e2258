"""Places in the binary log of both servers, and what lies between two of them."""

import pytest

from reactor.connectors.sql.binlog.gtid import ahead, count


@pytest.mark.parametrize(
    ("there", "here", "more"),
    [
        ("0-1-42", "0-1-40", 2),
        ("0-2-42,7-1-3", "0-1-42", 3),
        ("0-1-5", "0-1-6", 0),
        ("", "", 0),
    ],
)
def test_places_of_mariadb_are_told_apart(there, here, more):
    """Each domain counts by itself; the server of a transaction does not matter."""
    assert ahead(there, here) == more


@pytest.mark.parametrize(
    ("intervals", "many"),
    [
        ("", 0),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-23:25", 24),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:5,\n8e11fa47-71ca-11e1-9e33-c80aa9429562:1-2", 3),
    ],
)
def test_transactions_of_mysql_are_counted(intervals, many):
    """Intervals of several servers."""
    assert count(intervals) == many
