"""The command that runs the tests of flows."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import print_json, say
from reactor.clock import SystemClock
from reactor.errors import InvalidFlow, NotFound, ReactorError, UsageError
from reactor.logs import silenced


@command("test", "reactor test", "reactor test flows/orders.yaml -k twice", "reactor test --junit "
         "report.xml")  # fmt: skip
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("-k", "part", metavar="TEXT", help="Only tests whose flow or name has this in it.")
@click.option("--junit", "junit_file", metavar="FILE", type=click.Path(path_type=Path),
              help="Also write a JUnit report.")  # fmt: skip
def test(paths: tuple[Path, ...], part: str | None, junit_file: Path | None) -> int:
    """Run the tests of flows, without touching anything outside.

    PATHS are files and folders; without any it is the flows folder.
    """
    from reactor.cli.reading import read_files, read_loading

    loading = read_loading()
    files = read_files(paths or [chosen().flows], loading=loading, tests=True)
    broken = [file for file in files if file.failed]
    found = [each for file in files for each in file.tests if part is None or _has(each, part)]
    if part is not None and not found and not broken:
        raise NotFound(f"no test has {part!r} in its name")
    clock = SystemClock()
    began = clock.monotonic_secs()
    with silenced():  # how a flow fails is in its verdict
        verdicts = asyncio.run(_run(found, loading, clock))
    secs = clock.monotonic_secs() - began
    if chosen().json:
        for each in verdicts:
            print_json(_as_json(each))
    else:
        _print(verdicts, broken, secs)
    if junit_file is not None:
        _write(junit_file, verdicts)
    if broken:
        return InvalidFlow.exit_code
    return 0 if all(each.verdict.ok for each in verdicts) else ReactorError.exit_code


async def _run(tests: Sequence[Any], loading: Any, clock: SystemClock) -> list[Any]:
    from reactor.testing.junit import Timed
    from reactor.testing.trial import run_test

    found = []
    for each in tests:
        began = clock.monotonic_secs()
        verdict = await run_test(each, loading)
        found.append(Timed(verdict, clock.monotonic_secs() - began))
    return found


def _has(test: Any, part: str) -> bool:
    return part.lower() in f"{test.flow.name}: {test.name}".lower()


def _print(verdicts: Sequence[Any], broken: Sequence[Any], secs: float) -> None:
    from reactor.problem import render_text

    for file, marks in _by_file(verdicts):
        say(f"{file} {marks}")
    for file in broken:
        for problem in file.problems:
            say(render_text(problem))
    for each in verdicts:
        if each.verdict.ok:
            continue
        test = each.verdict.test
        failed = click.style("FAILED", fg="red", bold=True)
        say(f"\n{failed} {test.flow.name}: {test.name}")
        for problem in each.verdict.problems:
            say(render_text(problem))
        for line in each.verdict.happened:
            say(f"  > {line}")
    say(("\n" if verdicts else "") + _summary(verdicts, broken, secs))


def _by_file(verdicts: Sequence[Any]) -> Iterator[tuple[str, str]]:
    marks: dict[str, str] = {}
    for each in verdicts:
        file = each.verdict.test.place.file
        mark = click.style(".", fg="green") if each.verdict.ok else click.style("F", fg="red")
        marks[file] = marks.get(file, "") + mark
    yield from marks.items()


def _summary(verdicts: Sequence[Any], broken: Sequence[Any], secs: float) -> str:
    failed = sum(not each.verdict.ok for each in verdicts)
    passed = len(verdicts) - failed
    if not verdicts and not broken:
        return "no tests: `reactor help testing` says how they are written"
    said = [f"{failed} failed"] if failed else []
    said += [f"{passed} passed"] if passed or not failed else []
    said += [f"{len(broken)} file{'s' * (len(broken) != 1)} with mistakes"] if broken else []
    return click.style(
        f"{', '.join(said)} in {secs:.2f}s", fg="red" if failed or broken else "green"
    )


def _as_json(each: Any) -> dict[str, Any]:
    test = each.verdict.test
    return {
        "flow": test.flow.name,
        "test": test.name,
        "file": test.place.file,
        "line": test.place.line,
        "ok": each.verdict.ok,
        "secs": round(each.secs, 3),
        "problems": [
            {"line": one.place.line, "column": one.place.column, "message": one.message}
            for one in each.verdict.problems
        ],
        "happened": list(each.verdict.happened),
    }


def _write(file: Path, verdicts: Sequence[Any]) -> None:
    from reactor.testing.junit import junit

    try:
        file.write_text(junit(verdicts), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--junit {file}: {error.strerror}") from error
