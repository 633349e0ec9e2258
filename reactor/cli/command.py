"""How a command is declared: its options, its examples, and the daemon that it asks."""

import json
from collections.abc import Callable
from typing import Any

import click

from reactor.cli.options import chosen, common
from reactor.cli.output import on_terminal
from reactor.errors import UsageError

NEWEST = 50


class Command(click.Command):
    """A command whose help ends with examples, one a line."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(self.examples, formatter)


class Family(click.Group):
    """A command with commands of its own; without one of them it does its own thing."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(self.examples, formatter)


def write_examples(examples: tuple[str, ...], formatter: click.HelpFormatter) -> None:
    """The examples, as they are typed."""
    with formatter.section("Examples"):
        for example in examples:
            formatter.write(f"  {example}\n")


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command; its docstring is its help."""

    def declare(function: Callable[..., Any]) -> Command:
        made: Command = click.command(name, cls=Command, examples=examples)(common(function))
        return made

    return declare


def family(
    name: str, *examples: str, alone: bool = False
) -> Callable[[Callable[..., Any]], Family]:
    """Declare a command with commands of its own; `alone`: it may also stand by itself."""

    def declare(function: Callable[..., Any]) -> Family:
        made: Family = click.group(
            name, cls=Family, examples=examples, invoke_without_command=alone
        )(common(function))
        return made

    return declare


def member(of: Family, name: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command of a family."""

    def declare(function: Callable[..., Any]) -> Command:
        made = command(name, *examples)(function)
        of.add_command(made)
        return made

    return declare


def limited(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--limit`."""
    text = "How many to show.  [default: all; 50 on a terminal]"
    option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help=text)
    return option(function)


def at_most(limit: int | None) -> int | None:
    """How many items a list shows: all of them but for people, who get the newest."""
    if limit is None and on_terminal() and not chosen().json:
        return NEWEST
    return limit


def value_of(text: str | None, option: str) -> Any:
    """The value that a JSON text stands for."""
    if text is None:
        return None
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise UsageError(
            f"{option}: {text!r} is no JSON ({error}); a text needs quotes: '\"text\"'"
        ) from None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")
