"""Places and values of the binary log that MariaDB alone does not show."""

import pytest

from reactor.connectors.sql.binlog.gtid import done
from reactor.connectors.sql.binlog.server import explained
from reactor.connectors.sql.binlog.values import json_value
from reactor.errors import DatabaseFailed, SourceFailed

SERVER = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


@pytest.mark.parametrize(
    ("start", "more", "text"),
    [
        ("", ["0-1-1", "0-2-2"], "0-2-2"),
        ("7-1-3, 0-1-42", ["0-1-43"], "0-1-43,7-1-3"),
        ("0-1-42", ["12-1-1", "2-1-1"], "0-1-42,2-1-1,12-1-1"),
    ],
)
def test_mariadb_has_a_last_transaction_of_each_domain(start, more, text):
    """Whichever server wrote it."""
    found = done(start, mariadb=True)
    for gtid in more:
        found.add(gtid)

    assert str(found) == text


@pytest.mark.parametrize(
    ("start", "more", "text"),
    [
        ("", [f"{SERVER}:1"], f"{SERVER}:1"),
        (f"{SERVER}:1-5", [f"{SERVER}:6"], f"{SERVER}:1-6"),
        (f"{SERVER}:1-5", [f"{SERVER}:7"], f"{SERVER}:1-5:7"),
        (f"{SERVER}:1-5:7", [f"{SERVER}:6"], f"{SERVER}:1-7"),
    ],
)
def test_mysql_has_intervals_of_each_server(start, more, text):
    """Transactions may end in another order than they are numbered."""
    found = done(start, mariadb=False)
    for gtid in more:
        found.add(gtid)

    assert str(found) == text


@pytest.mark.parametrize(("text", "mariadb"), [("soon", True), ("0-1", True), ("soon", False)])
def test_what_is_no_place_is_refused(text, mariadb):
    """Before a server is asked to go on from there."""
    with pytest.raises(ValueError, match="is no GTID"):
        done(text, mariadb=mariadb)


def test_json_of_mysql_is_text_inside():
    """The library leaves names and texts as bytes."""
    assert json_value({b"a": [b"x", 1, None, {b"b": True}]}) == {"a": ["x", 1, None, {"b": True}]}


@pytest.mark.parametrize(
    "text",
    [
        "Could not find GTID state requested by slave in any binlog files.",
        "Cannot replicate because the source purged required binary logs.",
    ],
)
def test_a_purged_log_is_known_by_both_servers_words(text):
    """Only a person can decide what to do then."""
    error = explained(DatabaseFailed(text, code="1236"), "0-1-42")

    assert isinstance(error, SourceFailed)
    assert error.fatal


def test_other_refusals_are_tried_again():
    """Such as a line that was given to another reader."""
    error = DatabaseFailed("log event entry exceeded max_allowed_packet", code="1236")

    assert explained(error, "0-1-42") is error
