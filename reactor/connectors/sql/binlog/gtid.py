"""Places in the binary log: which transactions are complete, as each of the servers writes it."""

import re
from typing import Protocol


class Done(Protocol):
    """The transactions up to a place; its text is what the server takes to go on from there."""

    def add(self, gtid: str) -> None:
        """One more transaction is complete."""
        ...


class MariadbDone:
    """The last transaction of each domain, such as `0-1-42,7-1-3`."""

    def __init__(self, text: str) -> None:
        found = [one.strip() for one in text.split(",") if one.strip()]
        self._last = {_domain(one): one for one in found}

    def add(self, gtid: str) -> None:
        """The last of its domain."""
        self._last[_domain(gtid)] = gtid

    def __str__(self) -> str:
        return ",".join(self._last[domain] for domain in sorted(self._last))


class MysqlDone:
    """Intervals of each server, such as `3e11fa47-71ca-11e1-9e33-c80aa9429562:1-23:25`."""

    def __init__(self, text: str) -> None:
        from pymysqlreplication.gtid import GtidSet

        self._set = GtidSet(text.replace("\n", ""))

    def add(self, gtid: str) -> None:
        """One more of its server."""
        from pymysqlreplication.gtid import Gtid

        self._set.merge_gtid(Gtid(gtid))

    def __str__(self) -> str:
        return str(self._set)


def done(text: str, *, mariadb: bool) -> Done:
    """What a text says; ValueError if it is no place."""
    try:
        return MariadbDone(text) if mariadb else MysqlDone(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no GTID") from error


def ahead(there: str, here: str) -> int:
    """How many transactions a MariaDB that stands there has more than one that stands here."""
    told = {domain: sequence for domain, _, sequence in map(_parts, filter(None, here.split(",")))}
    found = map(_parts, filter(None, there.split(",")))
    return sum(max(0, sequence - told.get(domain, 0)) for domain, _, sequence in found)


def count(intervals: str) -> int:
    """How many transactions a text of MySQL such as `3e11fa47-…:1-23:25` names."""
    total = 0
    for part in re.findall(r":(\d+(?:-\d+)?)", intervals):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total


def _domain(gtid: str) -> int:
    return _parts(gtid)[0]


def _parts(gtid: str) -> tuple[int, int, int]:
    domain, server, sequence = map(int, gtid.split("-"))
    if min(domain, server, sequence) < 0:
        raise ValueError(f"{gtid} is no GTID")
    return domain, server, sequence
