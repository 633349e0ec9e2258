"""Log lines: text on a terminal, JSON lines otherwise; written by a thread, without secrets."""

import json
import logging
import math
import os
import re
import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Literal, Self, TextIO

import msgspec

from reactor.clock import Clock
from reactor.secrets import Redactor

Format = Literal["auto", "text", "json"]
Level = Literal["debug", "info", "warning", "error"]

LONGEST_QUEUE = 10_000
MOST_LIMITED_KEYS = 1000
_FLUSH_SECS = 2.0
_GATHER_SECS = 0.01
_LINES_AT_ONCE = 200
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_OURS = ("time", "level", "logger", "event", "traceback")
# Control characters, and those that turn text round or break lines for some readers.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_PLAIN = re.compile(r"[^\s\"'=]+")


class Said:
    """A line that a flow said: as much of a log record as is shown, and cheap to make."""

    __slots__ = ("created", "exc_info", "facts", "levelname", "message", "name")

    def __init__(self, level: int, name: str, message: str, facts: Mapping[str, str]) -> None:
        self.created = time.time()  # noqa: TID251 - as logging does
        self.exc_info = None
        self.facts = facts
        self.levelname = logging.getLevelName(level)
        self.message = message
        self.name = name

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        """The message."""
        return self.message


Record = logging.LogRecord | Said


class Output(logging.Handler):
    """Where log lines go: a queue with a bound, and the thread that writes it out.

    A stalled pipe never holds the daemon up: when the queue is full, lines are dropped and
    counted, and the count is told once writing goes on.
    """

    def __init__(
        self, stream: TextIO, lines: "Lines", *, longest_queue: int = LONGEST_QUEUE
    ) -> None:
        super().__init__()
        self.dropped = 0
        self.least = logging.INFO
        self._told = 0
        self._ended = False
        self._lines = lines
        self._stream = stream
        self._longest_queue = longest_queue
        self._queue: deque[Record] = deque()
        self._news = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="logs", daemon=True)
        self._thread.start()

    def say(self, level: int, name: str, message: str, facts: Mapping[str, str]) -> None:
        """Queue a line past `logging`, whose way costs more than the rest of a small flow."""
        if level >= self.least:
            self._put(Said(level, name, message, facts))

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; never blocks."""
        self._put(record)

    def _put(self, record: Record) -> None:
        if len(self._queue) >= self._longest_queue:
            self.dropped += 1
            return
        self._queue.append(record)
        if not self._news.is_set():
            self._news.set()

    def close(self) -> None:
        """Write out what is queued, for two seconds at most, and take the output off the root."""
        logging.getLogger().removeHandler(self)
        super().close()
        if self._ended:  # the interpreter closes every output once more at its end
            return
        self._ended = True
        self._end.set()
        self._news.set()
        self._thread.join(_FLUSH_SECS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_all(self) -> None:
        while not self._end.is_set() or self._queue:
            self._news.wait()
            self._news.clear()
            while self._queue:
                count = min(len(self._queue), _LINES_AT_ONCE)
                records = [self._queue[number] for number in range(count)]
                try:
                    self._write("\n".join(self._texts(records)))
                except OSError:  # nobody reads any more
                    self.dropped += count
                for _ in range(count):
                    self._queue.popleft()
            # Lines gather meanwhile: waking a thread for each costs more than the line itself.
            self._end.wait(_GATHER_SECS)

    def _texts(self, records: Iterable[Record]) -> Iterator[str]:
        for record in records:
            try:
                yield self._lines.of(record)
            except Exception:  # noqa: BLE001 -- this is where a failing line is recorded
                self.dropped += 1
        if self.dropped > self._told:
            lost, self._told = self.dropped - self._told, self.dropped
            yield self._lines.of(_dropped(lost))

    def _write(self, line: str) -> None:
        data = (line + "\n").encode("utf-8", "backslashreplace")
        try:
            number = self._stream.fileno()
        except (OSError, ValueError):  # a stream in memory
            self._stream.write(data.decode())
            return
        # Past the stream's own buffer: a thread that is stuck with the buffer's lock would make
        # the interpreter abort at its end.
        while data:
            data = data[os.write(number, data) :]


class Lines:
    """How a record looks as one line (a traceback in text may take more)."""

    def __init__(self, redactor: Redactor, *, as_json: bool, journal: bool = False) -> None:
        self._redactor = redactor
        self._as_json = as_json
        self._journal = journal

    def of(self, record: Record) -> str:
        """The record's line, with secrets masked and control characters escaped."""
        redact = self._redactor.redact_text
        if isinstance(record, Said):
            facts = {name: redact(value) for name, value in record.facts.items()}
            return self._line(record, redact(record.message), facts, "")
        facts = {
            f"{name}_" if name in _OURS else name: self._redactor.redact(_shown(value))
            for name, value in _facts(record)
        }
        message = redact(record.getMessage())
        trace = (
            redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
            if (record.exc_info and record.exc_info[0])
            else ""
        )
        return self._line(record, message, facts, trace)

    def _line(self, record: Record, message: str, facts: dict[str, Any], trace: str) -> str:
        at = _at(int(record.created * 1000))
        if self._as_json:
            line = _json_line(record, at, message, facts, trace)
        else:
            line = _text_line(record, at, message, facts, trace)
        if not self._journal:
            return line
        # journald takes the priority from here; each of its lines is an entry of its own.
        mark = f"<{_PRIORITIES.get(record.levelname, 6)}>"
        return "\n".join(mark + part for part in line.split("\n"))


def configure(
    format: Format,
    level: Level,
    redactor: Redactor,
    stream: TextIO,
    *,
    journal_stream: str | None = None,
) -> Output:
    """Send every log line to `stream` until the output is closed.

    `auto` is text on a terminal, else JSON. `journal_stream` is `$JOURNAL_STREAM`: where it is
    this stream, lines begin with journald's priority. Libraries speak from WARNING on.
    """
    as_json = format == "json" or (format == "auto" and not stream.isatty())
    lines = Lines(redactor, as_json=as_json, journal=_is_journal(stream, journal_stream))
    output = Output(stream, lines)
    # No line shows where in the code it was written: the search for it costs as much as the rest.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.addHandler(output)
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("reactor").setLevel(number)
    output.least = number
    logging.captureWarnings(True)
    return output


class Limiter:
    """Lets a warning through at once, and again when its time is over, with how many it held."""

    def __init__(self, clock: Clock, *, every_secs: float = 60.0) -> None:
        self._clock = clock
        self._every_secs = every_secs
        self._held: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def warning(self, logger: logging.Logger, key: str, message: str, **facts: Any) -> None:
        """Log a warning at most once in `every_secs` for each key."""
        now = self._clock.monotonic_secs()
        until, held = self._held.pop(key, (now, 0))
        if now < until:
            self._held[key] = (until, held + 1)
            return
        self._held[key] = (now + self._every_secs, 0)
        if len(self._held) > MOST_LIMITED_KEYS:
            self._held.popitem(last=False)
        if held:
            facts["held"] = held
        logger.warning(message, extra=facts)


def _is_journal(stream: TextIO, journal_stream: str | None) -> bool:
    if not journal_stream:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def _dropped(count: int) -> logging.LogRecord:
    facts = {"name": __name__, "levelname": "WARNING", "msg": "log lines were dropped"}
    return logging.makeLogRecord({**facts, "count": count})


def _facts(record: logging.LogRecord) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in vars(record).items() if name not in _STANDARD)


def _shown(value: Any) -> Any:
    """A fact as plain data: what JSON does not know becomes text."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): _shown(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(inner) for inner in value]
    return str(value)


def _json_line(record: Record, at: str, message: str, facts: dict[str, Any], trace: str) -> str:
    line = {"event": message, "time": at, "level": record.levelname.lower()}
    line |= {"logger": record.name, **facts}
    if trace:
        line["traceback"] = trace
    return _escaped(_json(line))


def _text_line(record: Record, at: str, message: str, facts: dict[str, Any], trace: str) -> str:
    words = [at, f"{record.levelname:<7}", f"{record.name}:", _escaped(message)]
    words += [f"{name}={_word(value)}" for name, value in facts.items()]
    lines = [" ".join(words)]
    lines += [f"    {_escaped(line)}" for line in trace.splitlines()]
    return "\n".join(lines)


def _word(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return _escaped(value)
    return _escaped(_json(value))


@lru_cache(maxsize=64)  # lines come many in a millisecond
def _at(created_ms: int) -> str:
    moment = datetime.fromtimestamp(created_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (UnicodeEncodeError, OverflowError):  # half a character, a number of any length
        return json.dumps(value, ensure_ascii=False)


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
