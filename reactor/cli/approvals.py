"""Commands for steps that wait for a person."""

from typing import Any

import click

from reactor.cli.client import daemon
from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import print_json, print_table, say, when
from reactor.errors import UsageError


@command("approve", "reactor approve", "reactor approve exe_01hq3kz7e9d4x --set note=looks-good")
@click.argument("execution", required=False)
@click.argument("step", required=False)
@click.option("--set", "values", multiple=True, metavar="K=V", help="A field of the form.")
@click.option("--by", metavar="NAME", help="Who says so.  [default: you]")
def approve(
    execution: str | None, step: str | None, values: tuple[str, ...], by: str | None
) -> None:
    """Approve what waits for a person; without EXECUTION list it.

    STEP is needed where several steps of an execution wait.
    """
    if execution is None:
        _list()
        return
    body = {"step": step, "form": dict(map(_pair, values)), "by": by}
    _done(daemon().post("executions", execution, "approve", body=body))


@command("deny", "reactor deny exe_01hq3kz7e9d4x --message 'not on a friday'")
@click.argument("execution")
@click.argument("step", required=False)
@click.option("--message", metavar="TEXT", help="Why not.")
@click.option("--by", metavar="NAME", help="Who says so.  [default: you]")
def deny(execution: str, step: str | None, message: str | None, by: str | None) -> None:
    """Deny what waits for a person: its step fails.

    STEP is needed where several steps of an execution wait.
    """
    body = {"step": step, "message": message, "by": by}
    _done(daemon().post("executions", execution, "deny", body=body))


def _list() -> None:
    items = daemon().get("approvals")["items"]
    if chosen().json:
        for item in items:
            print_json(item)
        return
    names = ("execution", "flow", "step", "since", "until", "form", "question")
    print_table(names, map(_row, items))


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    since, until = when(item["since"]), when(item["until"])
    form = " ".join(f"{name}=" for name in item["form"])
    return item["execution"], item["flow"], item["step"], since, until, form, item["question"]


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"--set {text!r}: write K=V, such as --set note=fine")
    return name, value


def _done(answer: dict[str, Any]) -> None:
    if chosen().json:
        print_json(answer)
    else:
        word = "approved" if answer["approved"] else "denied"
        say(f"{answer['execution']} {answer['step']} {word} by {answer['by']}")
