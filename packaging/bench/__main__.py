"""Measures how fast and how small Reactor is, each row beside its reference in the same run.

`.venv/bin/python packaging/bench [--quick] [--only webhook,routing]` prints a table and writes
`build/bench.json`. A missed aim is no failure: the exit code is 0 unless a measurement broke.
"""

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

import brokers
import conditions
import history
import in_process
import mariadb
import postgresql
import reading
import routing
import sleepers
import starting
import webhook
from measure import FULL, QUICK, Row
from reactor import __version__
from table import table

BUILD = Path(__file__).parents[2] / "build"
MEASURES = {
    "webhook": webhook.rows,
    "in-process": in_process.rows,
    "kafka": brokers.kafka_rows,
    "nats": brokers.nats_rows,
    "redis": brokers.redis_rows,
    "mqtt": brokers.mqtt_rows,
    "conditions": conditions.rows,
    "routing": routing.rows,
    "start": starting.rows,
    "reading": reading.rows,
    "history": history.rows,
    "sleepers": sleepers.rows,
    "postgresql": postgresql.rows,
    "mariadb": mariadb.rows,
}


def main() -> int:
    """Measure what was asked for."""
    given = _arguments()
    machine = describe_machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), end="\n\n")
    BUILD.mkdir(exist_ok=True)
    found: list[Row] = []
    began = time.perf_counter()
    for name in given.only:
        print(f"{name} …", file=sys.stderr, flush=True)
        # On the disk of the project, because a folder in memory would make fsync free.
        with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as folder:
            found += MEASURES[name](QUICK if given.quick else FULL, Path(folder))
    secs = round(time.perf_counter() - began, 1)
    result = {"machine": machine, "quick": given.quick, "secs": secs, "rows": found}
    (BUILD / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    print(table(found))
    print(f"\n{secs} s; with all facts in {BUILD.name}/bench.json")
    return 0


def describe_machine() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    return {
        "reactor": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Reactor.")
    parser.add_argument("--quick", action="store_true", help="less of everything: half a minute")
    parser.add_argument(
        "--only",
        type=_names,
        default=list(MEASURES),
        metavar="NAME,…",
        help=f"some of: {', '.join(MEASURES)}",
    )
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in MEASURES:
            raise argparse.ArgumentTypeError(f"no row {name!r}: there are {', '.join(MEASURES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
