"""Commands for whoever runs the daemon: backup, reload, doctor."""

from pathlib import Path

import click

from reactor.cli.client import daemon
from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import Progress, print_json, print_table, say
from reactor.errors import InvalidFlow, ReactorError
from reactor.failpoints import PLACES
from reactor.units import format_size


@command("backup", "reactor backup /backup/monday")
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Copy the store to a new FOLDER.

    The copy is consistent, and made while everything runs. It is a state folder of its own:
    `reactor run --state FOLDER`.
    """
    with Progress(f"copying the store to {folder}"):
        made = daemon().post("backup", body={"path": str(folder.absolute())})
    if chosen().json:
        print_json(made)
    else:
        say(f"{made['path']}  {format_size(made['bytes'])}")


@command("reload", "reactor reload")
def reload() -> None:
    """Let the daemon read flows and settings again now.

    It does so by itself when a file changes. What does not load keeps its last good version.
    """
    answer = daemon().post("reload")
    problems = answer["problems"]
    wrong = sum(problem["severity"] == "error" for problem in problems)
    if chosen().json:
        print_json(answer)
    else:
        for problem in problems:
            mark = "" if problem["severity"] == "error" else f"{problem['severity']}: "
            place = f"{problem['file']}:{problem['line']}:{problem['column']}"
            say(f"{place}: {mark}{problem['message']}")
        say(f"{answer['flows']} flow{'s' * (answer['flows'] != 1)} serve")
    if wrong:
        raise InvalidFlow(f"{wrong} error{'s' * (wrong != 1)}: `reactor check` shows the lines")


@command("doctor", "reactor doctor")
@click.option("--failpoints", is_flag=True, hidden=True)
def doctor(*, failpoints: bool) -> None:
    """Look at what usually goes wrong, and say what to do about it."""
    if failpoints:
        _list_failpoints()
        return
    items = daemon().get("doctor")["items"]
    if chosen().json:
        for item in items:
            print_json(item)
    else:
        rows = [(item["check"], item["state"], item["detail"]) for item in items]
        print_table(("check", "state", "detail"), rows)
    failed = [item["check"] for item in items if item["state"] == "failed"]
    if failed:
        raise ReactorError(f"failed: {', '.join(failed)}")


def _list_failpoints() -> None:
    if chosen().json:
        for place, truth in PLACES.items():
            print_json({"failpoint": place, "there": truth})
    else:
        print_table(("failpoint", "what is true there"), list(PLACES.items()))
