"""Log lines carry facts, hide secrets, and never hold the daemon up."""

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reactor.logs import Limiter, Lines, Output, configure
from reactor.secrets import Redactor

LOG = logging.getLogger("reactor.room")


class Hand:
    """A clock turned by hand."""

    secs = 0.0

    def now_ms(self) -> int:
        return int(self.secs * 1000)

    def monotonic_secs(self) -> float:
        return self.secs


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Levels are as they were after each test."""
    loggers = [logging.getLogger(name) for name in (None, "reactor")]
    levels = [logger.level for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def record(message: str = "it happened", **facts: Any) -> logging.LogRecord:
    """A record of one fixed moment."""
    at = {"name": "reactor.room", "levelname": "INFO", "created": 1_767_225_600.5}
    return logging.makeLogRecord({**at, "msg": message, **facts})


def text(made: logging.LogRecord) -> str:
    """The record as a person sees it."""
    return Lines(Redactor(), as_json=False).of(made)


def as_json(made: logging.LogRecord) -> Any:
    """The record as a machine reads it."""
    return json.loads(Lines(Redactor(), as_json=True).of(made))


def test_a_line_of_text_has_time_level_room_message_and_facts():
    """Facts follow the message as name=value, quoted where they need it."""
    line = text(record(flow="push", count=3, about="two words"))

    assert line == (
        "2026-01-01T00:00:00.500Z INFO    reactor.room: it happened "
        'flow=push count=3 about="two words"'
    )


def test_a_line_of_json_is_one_object():
    """The fixed message is `event`; facts keep their types."""
    assert as_json(record(flow="push", count=3, deep={"a": [1, None]})) == {
        "event": "it happened",
        "time": "2026-01-01T00:00:00.500Z",
        "level": "info",
        "logger": "reactor.room",
        "flow": "push",
        "count": 3,
        "deep": {"a": [1, None]},
    }


def test_a_fact_may_not_hide_the_message():
    """A fact called like one of our own fields gets an underscore."""
    line = as_json(record(event="evt_1", time=5))

    assert (line["event"], line["event_"], line["time_"]) == ("it happened", "evt_1", 5)


def test_facts_that_json_does_not_know_become_text():
    """Paths, errors and not-a-number never spoil a line."""
    line = as_json(record(error=ValueError("bad"), number=float("nan"), some={1}))

    assert (line["error"], line["number"], line["some"]) == ("bad", "nan", [1])


@pytest.mark.parametrize("evil", ["a\nb", "\x1b[31m", "\x9b31m", "\u202etxt", "\x00", "\u2028"])
def test_control_characters_are_escaped(evil):
    """No message or fact can forge a line, colour a terminal or turn text round."""
    for lines in (Lines(Redactor(), as_json=True), Lines(Redactor(), as_json=False)):
        line = lines.of(record(evil, fact=evil))

        assert evil not in line
        assert line.isprintable()


def test_json_lines_give_the_control_characters_back():
    """Escaping in JSON loses nothing."""
    assert as_json(record(fact="\x9b\u202e\n"))["fact"] == "\x9b\u202e\n"


def test_secrets_are_masked_in_message_facts_and_traceback():
    """Whatever carries a secret shows `***`, also text of an exception."""
    redactor = Redactor()
    redactor.learn("token", "s3cr3t\nvalue")
    try:
        raise ValueError("with s3cr3t\nvalue inside")
    except ValueError:
        made = record("s3cr3t\nvalue", fact=["s3cr3t\nvalue"], exc_info=sys.exc_info())

    for lines in (Lines(redactor, as_json=True), Lines(redactor, as_json=False)):
        line = lines.of(made)

        assert line.count("***") >= 3
        assert "s3cr3t" not in line


def test_a_traceback_is_indented_in_text_and_a_field_in_json():
    """An exception comes with its traceback."""
    try:
        raise ValueError("bad")
    except ValueError:
        made = record(exc_info=sys.exc_info())

    assert text(made).splitlines()[-1] == "    ValueError: bad"
    assert as_json(made)["traceback"].endswith("ValueError: bad")


def test_journald_gets_a_priority_on_each_line():
    """The level leads each line, in journald's own form."""
    made = record("a", levelname="ERROR")

    assert Lines(Redactor(), as_json=False, journal=True).of(made).startswith("<3>2026")


def test_the_journal_is_known_by_its_device_and_inode(tmp_path):
    """Only a stream that is $JOURNAL_STREAM itself gets priorities."""
    with (tmp_path / "log").open("w+") as stream:
        status = os.fstat(stream.fileno())
        mine = f"{status.st_dev}:{status.st_ino}"
        for journal in (mine, "1:2"):
            with configure("json", "info", Redactor(), stream, journal_stream=journal):
                LOG.info("a")
        stream.seek(0)
        first, second = stream.readlines()

    assert (first[:4], second[0]) == ("<6>{", "{")


@pytest.mark.parametrize(
    ("format", "stream", "begins"),
    [
        ("auto", Terminal(), "2"),
        ("auto", io.StringIO(), "{"),
        ("text", io.StringIO(), "2"),
        ("json", Terminal(), "{"),
    ],
)
def test_auto_is_text_on_a_terminal_only(format, stream, begins):
    """Without being told, a terminal gets text and everything else JSON."""
    with configure(format, "info", Redactor(), stream):
        LOG.info("a")

    assert stream.getvalue()[0] == begins


def test_the_level_counts_for_our_rooms_and_libraries_speak_from_warning_on():
    """`debug` does not open the gates of every library."""
    stream = io.StringIO()
    with configure("json", "debug", Redactor(), stream):
        LOG.debug("ours")
        logging.getLogger("aiokafka").info("theirs")
        logging.getLogger("aiokafka").warning("theirs, loud")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "ours",
        "theirs, loud",
    ]


def test_a_line_below_the_level_is_never_made():
    """What is off never looks at its facts."""

    class Loud:
        def __str__(self) -> str:
            raise AssertionError

    stream = io.StringIO()
    with configure("json", "warning", Redactor(), stream) as output:
        LOG.info("quiet", extra={"fact": Loud()})

    assert (stream.getvalue(), output.dropped) == ("", 0)


@contextmanager
def a_full_pipe() -> Iterator[tuple[int, Any]]:
    """A pipe that takes no more bytes until it is read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
    os.close(reader)


def test_a_stalled_pipe_does_not_stall_the_daemon():
    """Lines beyond the queue are dropped and counted, and the count is told afterwards."""
    with a_full_pipe() as (reader, stream):
        output = Output(stream, Lines(Redactor(), as_json=True), longest_queue=3)
        for number in range(20):
            output.emit(record(number=number))
        dropped = output.dropped
        seen = b""
        while seen.count(b"\n") < 20 - dropped + 1:
            seen += os.read(reader, 65536).lstrip(b".")
        output.close()

    events = [json.loads(line)["event"] for line in seen.splitlines()]
    assert dropped >= 16
    assert events.count("it happened") == 20 - dropped
    assert events.count("log lines were dropped") == 1


def test_a_closed_pipe_is_survived():
    """When nobody reads any more, lines are counted as dropped."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        output = Output(stream, Lines(Redactor(), as_json=True))
        output.emit(record())
        output.close()

    assert output.dropped == 1


def test_closing_twice_is_harmless():
    """The interpreter closes every output once more at its end."""
    stream = io.StringIO()
    output = configure("json", "info", Redactor(), stream)
    LOG.info("a")

    output.close()
    output.close()

    assert len(stream.getvalue().splitlines()) == 1


def test_a_repeated_warning_is_held_back_and_counted(caplog):
    """The first goes out at once; the next one after a minute says how many were held."""
    clock = Hand()
    limiter = Limiter(clock)

    for secs in (0, 1, 59, 60):
        clock.secs = float(secs)
        limiter.warning(LOG, "push", "a condition failed", flow="push")
    limiter.warning(LOG, "other", "a condition failed", flow="other")

    assert [(r.__dict__["flow"], r.__dict__.get("held")) for r in caplog.records] == [
        ("push", None),
        ("push", 2),
        ("other", None),
    ]
