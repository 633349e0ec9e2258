"""Commands about dead letters: what needs a person."""

from typing import Any

import click

from reactor.cli.client import daemon
from reactor.cli.command import at_most, family, limited, member
from reactor.cli.flows import print_receipt
from reactor.cli.options import chosen
from reactor.cli.output import print_fields, print_json, print_table, say, when


@family("dead", "reactor dead ls", "reactor dead retry ded_01hq3kz7e9d4x")
def dead() -> None:
    """Dead letters: executions and events that need a person."""


@member(dead, "ls", "reactor dead ls --flow invoice --since 7d")
@click.option("--flow", metavar="NAME", help="Of this flow.")
@click.option("--since", metavar="WHEN", help="Not older than this: 24h, 2026-01-31T08:00:00Z.")
@limited
def list_(flow: str | None, since: str | None, limit: int | None) -> None:
    """List dead letters, newest first."""
    items = daemon().pages("dead", limit=at_most(limit), flow=flow, since=since)
    if chosen().json:
        for item in items:
            print_json(item)
        return
    print_table(("id", "kind", "flow", "created", "event", "reason"), map(_row, items))


@member(dead, "show", "reactor dead show ded_01hq3kz7e9d4x")
@click.argument("id")
def show(id: str) -> None:
    """Show the dead letter ID with its event's data."""
    letter = daemon().get("dead", id)
    if chosen().json:
        print_json(letter)
        return
    times = {"created": when(letter["created"])}
    print_fields({**letter, **times}.items())


@member(dead, "retry", "reactor dead retry ded_01hq3kz7e9d4x")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def retry(ids: tuple[str, ...]) -> None:
    """Run dead letters again and take them off the list."""
    client = daemon()
    for id_ in ids:
        print_receipt(client.post("dead", id_, "retry"))


@member(dead, "drop", "reactor dead drop ded_01hq3kz7e9d4x")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def drop(ids: tuple[str, ...]) -> None:
    """Take dead letters off the list without running them again."""
    client = daemon()
    for id_ in ids:
        client.post("dead", id_, "drop")
        if chosen().json:
            print_json({"id": id_, "dropped": True})
        else:
            say(f"{id_} dropped")


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    created = when(item["created"])
    return item["id"], item["kind"], item["flow"], created, item["event"], item["reason"]
