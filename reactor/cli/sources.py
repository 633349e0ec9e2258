"""Commands about sources: how they are, and where they go on."""

from typing import Any

import click

from reactor.cli.client import daemon
from reactor.cli.command import family, member
from reactor.cli.options import chosen
from reactor.cli.output import print_json, print_table, say


@family("sources", "reactor sources", "reactor sources reset kafka:9f2c --to latest", alone=True)
@click.pass_context
def sources(context: click.Context) -> None:
    """List the sources: whether they are up, and where they are."""
    if context.invoked_subcommand is not None:
        return
    items = daemon().get("sources")["items"]
    if chosen().json:
        for item in items:
            print_json(item)
        return
    names = ("id", "state", "flows", "position", "detail")
    print_table(names, [_row(item) for item in items])


@member(sources, "reset", "reactor sources reset kafka:9f2c --to earliest")
@click.argument("id")
@click.option("--to", required=True, metavar="WHERE", help="earliest, latest, or a position.")
def reset(id: str, to: str) -> None:
    """Let the source ID go on from another position."""
    view = daemon().post("sources", id, "reset", body={"to": to})
    if chosen().json:
        print_json(view)
    else:
        say(f"{view['id']} goes on from {to}")


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["id"], item["state"], " ".join(item["flows"]), item["position"], item["detail"]
