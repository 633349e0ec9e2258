"""Where the command line begins: the list of commands, and errors as one clear line."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

import click

from reactor.cli.options import common
from reactor.errors import ReactorError

INTERRUPTED = 130
# Verb → where it is. A family is imported when one of its verbs is used.
COMMANDS = {
    "run": "running:run",
    "new": "new:new",
    "check": "checking:check",
    "test": "testing:test",
    "try": "trying:try_",
    "explain": "checking:explain",
    "emit": "flows:emit",
    "start": "flows:start",
    "flows": "flows:flows",
    "pause": "flows:pause",
    "resume": "flows:resume",
    "sources": "sources:sources",
    "next": "next:next_",
    "runs": "executions:runs",
    "show": "executions:show",
    "why": "executions:why",
    "tail": "tailing:tail",
    "retry": "executions:retry",
    "replay": "replaying:replay",
    "cancel": "executions:cancel",
    "approve": "approvals:approve",
    "deny": "approvals:deny",
    "dead": "dead:dead",
    "state": "state:state",
    "backup": "upkeep:backup",
    "reload": "upkeep:reload",
    "doctor": "upkeep:doctor",
    "schema": "checking:schema",
    "describe": "checking:describe",
    "completion": "about:completion",
    "version": "about:version",
    "help": "book:help_",
}


class Commands(click.Group):
    """The commands by name, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of a day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, or None."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        found = getattr(import_module(f"reactor.cli.{module}"), name)
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; a wrong one is met with the nearest."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else "`reactor help` lists what there is"
            raise click.UsageError(f"no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`reactor COMMAND --help` shows examples, `reactor help` is the manual.",
)
@common
def root() -> None:
    """When X happens, do Y, then Z, unless A, and only if B."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; what went wrong stands on stderr."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that lacks a letter shows its number; that is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        given = None if arguments is None else list(arguments)
        code = root.main(given, prog_name="reactor", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _refused(error)
    except ReactorError as error:
        _say(str(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`); nothing more can be said to it, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 (the root of the program: told in one line)
        if os.environ.get("REACTOR_DEBUG") == "1":
            traceback.print_exc()
        _say(f"an error that nobody expected: {error!r} (REACTOR_DEBUG=1 shows where)")
        return 1


def _refused(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    _say(error.format_message())
    if context is not None:
        click.echo(f"try: {context.command_path} --help", err=True)
    return error.exit_code


def _say(message: str) -> None:
    click.echo(f"{click.style('reactor:', fg='red', bold=True)} {message}", err=True)
