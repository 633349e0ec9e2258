"""`version` and `completion`: about the program itself."""

import click

from reactor import __version__
from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import print_json, say


@command("version", "reactor version", "reactor version --json")
def version() -> None:
    """Print the version."""
    if chosen().json:
        print_json({"version": __version__})
    else:
        say(f"reactor {__version__}")


@command(
    "completion",
    "reactor completion bash > /etc/bash_completion.d/reactor",
    "reactor completion fish > ~/.config/fish/completions/reactor.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands in SHELL."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    script = made(context.find_root().command, {}, "reactor", "_REACTOR_COMPLETE").source()
    click.echo(script)
