"""Commands about `state`: values that flows share."""

from typing import Any

import click

from reactor.cli.client import daemon
from reactor.cli.command import family, member, value_of
from reactor.cli.options import chosen
from reactor.cli.output import print_json, print_table, say, when


@family("state", "reactor state ls", "reactor state get battery sensor-7")
def state() -> None:
    """Values that flows set and share."""


@member(state, "ls", "reactor state ls", "reactor state ls battery --json")
@click.argument("name", required=False)
def list_(name: str | None) -> None:
    """List values: all, or those of NAME."""
    items = daemon().get("state", name=name)["items"]
    if chosen().json:
        for item in items:
            print_json(item)
        return
    print_table(("name", "key", "until", "value"), map(_row, items))


@member(state, "get", "reactor state get last_seen", "reactor state get battery sensor-7")
@click.argument("name")
@click.argument("key", required=False)
def get(name: str, key: str | None) -> None:
    """Print a value: of NAME, or of NAME at KEY."""
    view = daemon().get(*_path(name, key))
    print_json(view if chosen().json else view["value"])


@member(state, "set", "reactor state set maintenance true --ttl 2h",
        "reactor state set battery 80 --key sensor-7")  # fmt: skip
@click.argument("name")
@click.argument("value")
@click.option("--key", metavar="TEXT", help="The key, where NAME has several values.")
@click.option("--ttl", metavar="TIME", help="Forget it after this long: 2h, 7d.")
def set_(name: str, value: str, key: str | None, ttl: str | None) -> None:
    """Store VALUE, which is JSON, under NAME; null deletes."""
    body = {"value": value_of(value, "VALUE"), "ttl": ttl}
    _done(daemon().put(*_path(name, key), body=body), "set")


@member(state, "rm", "reactor state rm battery sensor-7")
@click.argument("name")
@click.argument("key", required=False)
def remove(name: str, key: str | None) -> None:
    """Delete a value: of NAME, or of NAME at KEY."""
    daemon().delete(*_path(name, key))
    _done({"name": name, "key": key or "", "value": None, "until": None}, "deleted")


def _done(view: dict[str, Any], what: str) -> None:
    if chosen().json:
        print_json(view)
    else:
        place = f"{view['name']}[{view['key']}]" if view["key"] else view["name"]
        say(f"{place} {what}")


def _path(name: str, key: str | None) -> tuple[str, ...]:
    return ("state", name, key) if key else ("state", name)


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["name"], item["key"], when(item["until"]), item["value"]
