"""`tail`: what happens, as it happens."""

import time
from typing import Any

import click

from reactor.cli.client import daemon
from reactor.cli.command import command
from reactor.cli.options import chosen
from reactor.cli.output import one_line, paint, print_json, say, when
from reactor.errors import Unreachable

# A daemon that restarts is back within seconds; who watches should not have to start again.
_AGAIN_SECS = 1.0
_LONGEST_SECS = 60.0


@command("tail", "reactor tail", "reactor tail --flow invoice --json")
@click.option("--flow", metavar="NAME", help="Of this flow only.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after so many.")
def tail(flow: str | None, limit: int | None) -> None:
    """Print what happens from now on, until Ctrl-C."""
    client = daemon()
    after: str | None = None
    told = 0
    lost = 0.0
    while True:
        try:
            for id_, happening in client.stream(after, flow=flow):
                after, lost = id_, 0.0
                _print(happening)
                told += 1
                if told == limit:
                    return
        except Unreachable:
            # The first time it is a mistake of the caller; later the daemon restarts.
            if after is None or lost >= _LONGEST_SECS:
                raise
        lost += _AGAIN_SECS
        time.sleep(_AGAIN_SECS)  # noqa: TID251 (the command line has no clock to be turned)


def _print(happening: dict[str, Any]) -> None:
    if chosen().json:
        print_json(happening)
        return
    named = [happening[name] for name in ("flow", "execution", "step", "source", "event")]
    words = [when(happening["time"]), f"{happening['kind']:<9}", paint(happening["state"] or "")]
    words += [one_line(word) for word in (*named, happening["detail"]) if word]
    say("  ".join(filter(None, words)))
