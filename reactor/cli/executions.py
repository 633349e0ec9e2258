"""Commands about executions: what ran, why, and running it again."""

from pathlib import Path
from typing import Any

import click

from reactor.cli.client import daemon
from reactor.cli.command import at_most, command, limited
from reactor.cli.options import chosen, use_state_folder
from reactor.cli.output import Progress, print_json, print_table, say, when
from reactor.cli.showing import print_run, print_why
from reactor.errors import UsageError

_SINCE = "Not older than this: 24h, or 2026-01-31T08:00:00Z."
_STATES = frozenset(["queued", "running", "waiting", "ok", "failed", "cancelled", "skipped"])
_STATE_HELP = (
    "In this state: queued, running, waiting, ok, failed, cancelled or skipped."
    " A folder is the state folder, as before the verb."
)


@command(
    "runs",
    "reactor runs --state failed --since 24h",
    "reactor runs --where 'error.status == 503' --json",
)
@click.option("--flow", metavar="NAME", help="Of this flow.")
@click.option("--state", "state", multiple=True, metavar="STATE", help=_STATE_HELP)
@click.option("--event", metavar="ID", help="Started by this event.")
@click.option("--since", metavar="WHEN", help=_SINCE)
@click.option("--where", metavar="EXPR", help="A condition on execution, event and error.")
@limited
def runs(state: tuple[str, ...], limit: int | None, **asked: str | None) -> None:
    """List executions, newest first."""
    states = ",".join(each for each in state if not _is_folder(each)) or None
    items = daemon().pages("executions", limit=at_most(limit), state=states, **asked)
    if chosen().json:
        for item in items:
            print_json(item)
        return
    names = ("execution", "flow", "state", "created", "event", "why")
    print_table(names, (_row(item) for item in items))


@command("show", "reactor show exe_01hq3kz7e9d4x")
@click.argument("execution")
def show(execution: str) -> None:
    """Show an EXECUTION with its steps.

    Each step with its attempts, times, what went in and came out.
    """
    run = daemon().get("executions", execution)
    if chosen().json:
        print_json(run)
    else:
        print_run(run)


@command("why", "reactor why evt_01hq3kz7e9d4x")
@click.argument("event")
def why(event: str) -> None:
    """Say what each flow decided about EVENT, and on which values."""
    answer = daemon().get("events", event, "decisions")
    if chosen().json:
        print_json(answer)
    else:
        print_why(answer)


@command(
    "retry",
    "reactor retry exe_01hq3kz7e9d4x",
    'reactor retry --where \'execution.flow == "invoice" and error.kind == "http"\' --since 2h',
)
@click.argument("executions", nargs=-1, metavar="[EXECUTION]...")
@click.option("--where", metavar="EXPR", help="All failed and cancelled ones that meet this.")
@click.option("--since", metavar="WHEN", help=f"With --where: {_SINCE[0].lower()}{_SINCE[1:]}")
@click.option("--from", "start", type=click.Choice(["start", "failed"]), default="start",
              help="Do all steps, or keep what was done.  [default: start]")  # fmt: skip
@click.option("--version", type=click.Choice(["original", "current"]), default="original",
              help="With the flow as it was, or as it is.  [default: original]")  # fmt: skip
def retry(
    executions: tuple[str, ...], where: str | None, since: str | None, start: str, version: str
) -> None:
    """Run executions again, each as a new one."""
    if bool(executions) == (where is not None):
        raise UsageError("retry: name executions, or choose them with --where")
    if executions and since is not None:
        raise UsageError("retry: --since goes with --where")
    client = daemon()
    chosen_ = list(executions)
    with Progress("retrying") as progress:
        if where is not None:
            # All are chosen before the first is run again: new failures are not retried too.
            found = client.pages(
                "executions", limit=None, state="failed,cancelled", since=since, where=where
            )
            chosen_ = [item["execution"] for item in found]
        made = []
        for count, execution in enumerate(chosen_, 1):
            body = {"from": start, "version": version}
            made.append(client.post("executions", execution, "retry", body=body))
            progress.at(count, len(chosen_))
    for one in made:
        if chosen().json:
            print_json(one)
        else:
            say(f"{one['execution']}  retries {one['retry_of']}")
    if not made and not chosen().json:
        say("nothing failed that meets this")


@command("cancel", "reactor cancel exe_01hq3kz7e9d4x")
@click.argument("executions", nargs=-1, required=True, metavar="EXECUTION...")
def cancel(executions: tuple[str, ...]) -> None:
    """Stop open executions.

    `finally` still runs; a second `cancel` skips that too.
    """
    client = daemon()
    for execution in executions:
        client.post("executions", execution, "cancel")
        if chosen().json:
            print_json({"execution": execution, "cancelled": True})
        else:
            say(f"{execution} is being cancelled")


def _is_folder(text: str) -> bool:
    """Whether a value of --state is the common option of that name, given after the verb."""
    folder = text not in _STATES and ("/" in text or Path(text).is_dir())
    if folder:
        use_state_folder(text)
    return folder


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    error = item["error"]
    reason = item["reason"] or (error and error["message"])
    created = when(item["created"])
    return item["execution"], item["flow"], item["state"], created, item["event"], reason
