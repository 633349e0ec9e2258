"""Commands about flows: what there is, starting them, events by hand."""

from typing import Any

import click

from reactor.cli.client import daemon
from reactor.cli.command import command, value_of
from reactor.cli.options import chosen
from reactor.cli.output import print_json, print_table, say
from reactor.errors import UsageError


@command("flows", "reactor flows", "reactor flows --json | jq -r 'select(.state == \"broken\")'")
def flows() -> None:
    """List the flows, their state, what is open."""
    items = daemon().get("flows")["items"]
    if chosen().json:
        for item in items:
            print_json(item)
        return
    print_table(("flow", "state", "triggers", "open", "file"), map(_row, items))


@command("start", "reactor start backup-now", "reactor start page --input text='disk is full'")
@click.argument("flow")
@click.option("--input", "inputs", multiple=True, metavar="K=V", help="An input; V may be JSON.")
@click.option("--trigger", metavar="ID", help="The trigger to start from.")
@click.option("--data", metavar="JSON", help="The trigger's data.")
def start(flow: str, inputs: tuple[str, ...], trigger: str | None, data: str | None) -> None:
    """Start FLOW by hand. Its conditions are not asked."""
    body = {
        "trigger": trigger,
        "data": value_of(data, "--data"),
        "inputs": dict(map(_input, inputs)),
    }
    print_receipt(daemon().post("flows", flow, "start", body=body))


@command("emit", "reactor emit order.paid --data '{\"id\": 7}'")
@click.argument("type")
@click.option("--data", metavar="JSON", help="What the event says.")
@click.option("--key", metavar="TEXT", help="What the event is about, for keys and order.")
@click.option("--id", metavar="TEXT", help="Its identity: the same one again is a duplicate.")
def emit(type: str, data: str | None, key: str | None, id: str | None) -> None:
    """Emit an event of TYPE, for flows with an `event` trigger."""
    body = {"type": type, "data": value_of(data, "--data"), "key": key, "id": id}
    print_receipt(daemon().post("events", body=body))


@command("pause", "reactor pause nightly-report")
@click.argument("flow")
def pause(flow: str) -> None:
    """Take no more events for FLOW until `resume`.

    What is open goes on. A pause lasts over restarts.
    """
    _print_state(daemon().post("flows", flow, "pause"))


@command("resume", "reactor resume nightly-report")
@click.argument("flow")
def resume(flow: str) -> None:
    """Take events for a paused FLOW again."""
    _print_state(daemon().post("flows", flow, "resume"))


def print_receipt(receipt: dict[str, Any]) -> None:
    """What became of an event, an execution a line."""
    if chosen().json:
        print_json(receipt)
        return
    if receipt["event"] is None:
        say("no flow wanted it")
        return
    if receipt["duplicate"]:
        say(f"{receipt['event']} came before: nothing new was started")
    for started in receipt["executions"]:
        say(f"{started['execution']}  {started['flow']}")
    for held in receipt["held"]:
        say(f"{receipt['event']}  held by {held}")


def _print_state(view: dict[str, Any]) -> None:
    if chosen().json:
        print_json(view)
    else:
        say(f"{view['flow']} is {view['state']}")


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    triggers = " ".join(_trigger(each) for each in item["triggers"])
    counts = " ".join(f"{count} {state}" for state, count in item["executions"].items())
    return item["flow"], item["state"], triggers, counts or "0", item["file"]


def _trigger(view: dict[str, Any]) -> str:
    count = view["errors"]
    errors = f"({count} error{'s' * (count != 1)})" if count else ""
    return f"{view['id']}{errors}"


def _input(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--input {text}: write --input NAME=VALUE")
    try:
        return name, value_of(value, "--input")
    except UsageError:
        # What is no JSON is a text, so that plain words need no quotes.
        return name, value
